package gate

import (
	"bufio"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
)

// TestPlainRequestOnTLSPort: only what the answerer takes is answered, and
// whatever else comes in plain is told which scheme to use.
func TestPlainRequestOnTLSPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: serving(testPair(t)), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	listener := schemeListener{l, true, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/challenge" || r.Host != "shop.example" {
			return false
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "answer")
		return true
	}}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	defer func() { _ = server.Close(); <-ended }()
	for name, c := range map[string]struct {
		request string
		status  int
		body    string
	}{
		"ok/challenge":     {"GET /challenge HTTP/1.1\r\nHost: shop.example\r\n\r\n", http.StatusOK, "answer"},
		"fail/other path":  {"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n", http.StatusBadRequest, "this port speaks https"},
		"fail/other host":  {"GET /challenge HTTP/1.1\r\nHost: other\r\n\r\n", http.StatusBadRequest, "this port speaks https"},
		"fail/malformed":   {"GET /challenge\r\n\r\n", http.StatusBadRequest, "this port speaks https"},
		"fail/not a GET":   {"POST /challenge HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n", http.StatusBadRequest, "this port speaks https"},
		"fail/long header": {"GET /challenge HTTP/1.1\r\nHost: shop.example\r\nX: " + strings.Repeat("x", 2*maxPlainRequest) + "\r\n\r\n", http.StatusBadRequest, "this port speaks https"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.body) || !resp.Close {
				t.Errorf("%d %q %v", resp.StatusCode, body, err)
			}
		})
	}
}

func TestAuthorityRoot(t *testing.T) {
	if _, err := tryGate(t, t.TempDir(), newFakeNode(), "insecure: false\nautocert: true\nservername: shop.example.com\nautocertroot: gone.pem\n"+
		"services: [{name: a, address: 'localhost:1'}]\n"); fault.Code(err) != codeBadTLS {
		t.Errorf("start: %v", err)
	}
}

func testPair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := (&Config{BaseDir: t.TempDir()}).certificate()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// TestGateWithoutItsAuthority: a gate whose authority does not answer starts,
// reloads and stops, and serves with its own certificate.
func TestGateWithoutItsAuthority(t *testing.T) {
	dir := t.TempDir()
	const config = "insecure: false\nautocert: true\nservername: shop.example.com\nautocertca: 'https://127.0.0.1:1/dir'\n" +
		"services: [{name: a, address: 'localhost:1'}]\n"
	g := openGate(t, dir, newFakeNode(), config)
	writeConfig(t, g, config+"autocertemail: shop@example.com\n")
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := g.now.Load().certificate(); c.Source != "self-signed" {
		t.Errorf("%+v", c)
	}
}
