package gate

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store"
)

func newPool(t *testing.T, pem []byte) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return pool
}

// TestBadStart breaks one thing at a time. Each is one clear error, and what
// was there stays as it was.
func TestBadStart(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	garbage := strings.Repeat("garbage ", 1000)
	for name, c := range map[string]struct {
		file, content string
		mode          os.FileMode
		extra         string
		code, message string
	}{
		"fail/port in use":         {extra: "listenaddr: " + busy.Addr().String(), code: "port_in_use", message: busy.Addr().String()},
		"fail/corrupt database":    {file: "gate.db", content: garbage, mode: 0o600, code: store.CodeCorrupt, message: "gate.db"},
		"fail/readable key":        {file: keyFile, content: strings.Repeat("ab", 32), mode: 0o644, code: "insecure_file", message: keyFile},
		"fail/malformed key":       {file: keyFile, content: "abc\n", mode: 0o600, code: "bad_key_file", message: "line 1"},
		"fail/empty key file":      {file: keyFile, content: "# nothing\n", mode: 0o600, code: "bad_key_file", message: "no key"},
		"fail/twice the same key":  {file: keyFile, content: strings.Repeat("ab", 32) + "\n" + strings.Repeat("ab", 32), mode: 0o600, code: "bad_key_file", message: "twice"},
		"fail/readable TLS key":    {file: "tls.key", content: "x", mode: 0o644, extra: "insecure: false", code: codeBadTLS, message: "tls.cert"},
		"fail/no such certificate": {extra: "insecure: false\ntlscertpath: a.pem\ntlskeypath: b.pem", code: codeBadTLS, message: "b.pem"},
		"fail/no such static root": {extra: "servestatic: true\nstaticroot: nowhere", code: CodeBadConfig, message: "staticroot"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, c.file)
			if c.file != "" {
				if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.Contains(c.extra, "insecure:") {
				c.extra += "\ninsecure: true"
			}
			if !strings.Contains(c.extra, "listenaddr:") {
				c.extra += "\nlistenaddr: 127.0.0.1:0"
			}
			cfg, err := Parse(filepath.Join(dir, "gate.yaml"), fmt.Appendf(nil,
				"authenticator: {network: regtest, tlspath: t, macdir: m}\nservices: [{name: a, address: 'localhost:1'}]\n%s\n", c.extra), dir)
			if err != nil {
				t.Fatal(err)
			}
			_, err = start(t.Context(), cfg, slog.New(slog.DiscardHandler), newFakeNode().dial)
			if fault.Code(err) != c.code || !strings.Contains(err.Error(), c.message) {
				t.Fatalf("got %q %v, want %q with %q", fault.Code(err), err, c.code, c.message)
			}
			if c.file == "" {
				return
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != c.content {
				t.Errorf("%s was changed: %v", c.file, err)
			}
		})
	}
}

func TestNodeFilesMissing(t *testing.T) {
	dir := t.TempDir()
	cfg, err := Parse(filepath.Join(dir, "gate.yaml"), []byte("listenaddr: 127.0.0.1:0\ninsecure: true\n"+
		"authenticator: {network: regtest, tlspath: no.cert, macdir: m}\nservices: [{name: a, address: 'localhost:1'}]\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), cfg, slog.New(slog.DiscardHandler)); fault.Code(err) != "bad_certificate" || fault.Hint(err) == "" {
		t.Errorf("no certificate: %v", err)
	}
}
