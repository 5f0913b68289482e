package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/until"
)

// section returns the lines to type of the first block under a heading of
// docs/node.md.
func section(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/node.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## "+heading+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	_, text, _ = strings.Cut(text, "```bash\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatalf("docs/node.md: no block under %q", heading)
	}
	var lines []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// types runs what stands under a heading, with the names of this machine.
func (m *machine) types(heading string, s *ourSigner) {
	m.t.Helper()
	here := strings.NewReplacer(
		"testnet", "regtest", "signer.example:10012", s.addr, "node migrate", "node migrate --yes",
		"credentials-bundle.tar.gz.b64", filepath.Join(s.bundle(), "credentials-bundle.tar.gz.b64"),
		"node start --detach", strings.Join(m.startArgs(), " "),
	)
	for _, line := range section(m.t, heading) {
		if strings.HasPrefix(line, "leyden node start") {
			m.write("lnd.conf", m.conf(backend(m.t)), 0o600)
		}
		words := strings.Fields(here.Replace(line))
		if words[0] != "leyden" {
			m.t.Fatalf("%s: %q is not leyden's", heading, line)
		}
		m.must(words[1:]...)
	}
}

// TestPage types docs/node.md: a watch-only node, and a standalone one that
// becomes one.
func TestPage(t *testing.T) {
	t.Parallel()
	s := newOurSigner(t)
	m := newMachine(t)
	m.types("Make the wallet", s)
	identity(t, m)
	m.must("node", "stop")
	m.types("Start and stop", s)

	own := newMachine(t)
	own.create()
	own.start()
	key := identity(t, own)
	copied := newOurSigner(t, "--seed-file", own.lndDir("seed.txt"))
	own.types("Move the keys to a signer", copied)
	if identity(t, own) != key {
		t.Error("the node is another one")
	}
	c := newClient(t, own.status())
	until.True(t, "an invoice that the signer signed", func() bool { return c.invoice() == nil })
}
