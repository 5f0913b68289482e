package itest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/testbin"
)

// TestMailboxPage types the page of the relay.
func TestMailboxPage(t *testing.T) {
	const page = "docs/mailbox.md"
	addr := net.JoinHostPort("127.0.0.1", freePort(t))
	figures := net.JoinHostPort("127.0.0.1", freePort(t))
	r := reader{t: t, w: &world{bin: testbin.Dir(t)}, home: t.TempDir(), names: strings.NewReplacer(
		"mailbox start --detach", "mailbox start --detach --listen "+addr, "127.0.0.1:9001", figures,
		"fullchain.pem", ".leyden/mailbox/tls.cert", "privkey.pem", ".leyden/mailbox/tls.key")}
	defer r.line(page, "leyden mailbox stop")
	r.types(page, "--name relay.example")
	if shown := r.line(page, "leyden mailbox status"); !strings.Contains(shown, addr) {
		t.Errorf("the relay listens elsewhere: %s", shown)
	}
	r.types(page, "--tlscert")
	r.types(page, "/metrics")
	shown := r.line(page, "curl -s http://127.0.0.1:9001/metrics")
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(shown) {
		name, ok := strings.CutPrefix(line, "# TYPE leyden_mailbox_")
		if name, _, _ = strings.Cut(name, " "); ok && !strings.Contains(string(text), "`"+name) {
			t.Errorf("%s does not say what %s is", page, name)
		}
	}
}
