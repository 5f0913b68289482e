package itest

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/port"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// reader is somebody who types what a page says, with a home of their own in
// which one node of the network is their Leyden node.
type reader struct {
	t     *testing.T
	w     *world
	home  string
	names *strings.Replacer // what stands on the page, and what there is here
}

func (w *world) reader(t *testing.T, n *devnet.Node, names ...string) reader {
	t.Helper()
	home := t.TempDir()
	ours, theirs := config.Home(filepath.Join(home, ".leyden")), n.Home()
	if err := os.MkdirAll(ours.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"node", "guard", "run/node.json", "run/node.pid"} {
		if err := os.Symlink(filepath.Join(string(theirs), path), filepath.Join(string(ours), path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(config.Home(w.dir).Devnet(), ours.Devnet()); err != nil {
		t.Fatal(err)
	}
	return reader{t: t, w: w, home: home, names: strings.NewReplacer(names...)}
}

// types the lines of the block that holds a text, but for those about the
// node, which runs already.
func (r reader) types(page, text string) {
	r.t.Helper()
	typed := 0
	for _, block := range blocks(readPage(r.t, page)) {
		if !strings.Contains(strings.Join(block, "\n"), text) {
			continue
		}
		for _, line := range block {
			if !strings.HasPrefix(line, "leyden node ") && !strings.HasPrefix(line, "python3 ") {
				r.line(page, line)
				typed++
			}
		}
	}
	if typed == 0 {
		r.t.Errorf("%s: no block has %q", page, text)
	}
}

// line types one line. It must succeed; what jq picks must be a number.
func (r reader) line(page, line string) string {
	r.t.Helper()
	shell, filter, filtered := strings.Cut(r.names.Replace(line), " | jq ")
	_, err := exec.LookPath("jq")
	if filtered && err == nil {
		shell += " | jq -e " + filter
	}
	cmd := exec.CommandContext(r.t.Context(), "sh", "-c", shell)
	cmd.Dir = r.home
	cmd.Env = append(devnet.Environ(), "HOME="+r.home, "PATH="+r.w.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	var said strings.Builder
	cmd.Stderr = &said
	out, runErr := cmd.Output()
	switch {
	case runErr != nil:
		r.t.Errorf("%s: %s: %v: %s%s", page, shell, runErr, out, said.String())
	case filtered && err == nil:
		if _, err := strconv.Atoi(strings.TrimSpace(string(out))); err != nil {
			r.t.Errorf("%s: %s: %v", page, shell, err)
		}
	case filtered && !json.Valid(out):
		r.t.Errorf("%s: %s: no JSON: %s", page, shell, out)
	}
	return string(out)
}

// sells is a service that answers everything with a JSON object.
func sells(t *testing.T) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]int{"price": 7}) // the client has gone
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestBuyersPages types the buyer's five minutes and the page of lnget.
func TestBuyersPages(t *testing.T) {
	w := theWorld(t)
	gate := w.gate(t, false, shop.Service{Name: "data", PathRegexp: "^/", Address: sells(t), Price: 100,
		Free: []string{"^" + shop.HealthPath + "$"}})
	expect := w.payments(t)
	for page, texts := range map[string][]string{
		"README.md":     {"accounts create", "lnget config init"},
		"docs/lnget.md": {"lnget ln status", "accounts create", "lnget tokens clear"},
	} {
		r := w.reader(t, w.buyerNode(), "https://api.example.com", gate.URL,
			"api.example.com", strings.TrimPrefix(gate.URL, "http://"), "create 50000 --save_to", "create 50000 --label agent --save_to")
		for _, text := range texts {
			r.types(page, text)
		}
		if shown := r.line(page, "lnget config show"); !strings.Contains(shown, filepath.Join(r.home, "agent.macaroon")) {
			t.Errorf("%s: lnget does not pay with the account: %s", page, shown)
		}
		r.line(page, "leyden accounts remove agent")
	}
	expect(2) // once by each reader
}

// TestPayOnlyMacaroon types what the page of lnget says about a macaroon that
// can only pay, and insists that lnget then uses it.
func TestPayOnlyMacaroon(t *testing.T) {
	w := theWorld(t)
	r := w.reader(t, w.buyerNode())
	made := filepath.Join(filepath.Dir(w.buyerNode().AdminMacaroon), "pay-only.macaroon")
	t.Cleanup(func() { _ = os.Remove(made) }) // not there if the page is wrong
	defer r.line("docs/lnget.md", "leyden bake revoke "+made)
	r.types("docs/lnget.md", "--role pay-only")
	if shown := r.line("docs/lnget.md", "lnget config show"); !strings.Contains(shown, "pay-only.macaroon") {
		t.Errorf("config init took another macaroon: %s", shown)
	}
	r.line("docs/lnget.md", "lnget ln info")
}

// TestSellersPages types the seller's five minutes and the page of the gate.
func TestSellersPages(t *testing.T) {
	w := theWorld(t)
	for page, text := range map[string]string{"README.md": "leyden gate init", "docs/gate.md": "leyden gate init"} {
		free := freePort(t)
		r := w.reader(t, w.sellerNode(), "--port 8081", "", "gate init", "gate init --port "+free,
			"8081", free, "127.0.0.1:8080", sells(t))
		r.types(page, text)
		r.line(page, "leyden gate stop || true") // as the page may have done
	}
}

// TestPrivateNetworksPage pays between the nodes as the page of devnet says,
// by hand and through a gate.
func TestPrivateNetworksPage(t *testing.T) {
	w := theWorld(t)
	free := freePort(t)
	r := w.reader(t, w.buyerNode(), "gate init", "gate init --port "+free+" --backend "+sells(t), "8081", free)
	gate := w.sellerNode().Home().Gate() // the page puts it into the node's own home
	t.Cleanup(func() { _ = os.RemoveAll(gate) })
	expect := w.payments(t)
	var invoice struct {
		PaymentRequest string `json:"payment_request"`
	}
	for _, block := range blocks(readPage(t, "docs/devnet.md")) {
		for _, line := range block {
			switch {
			case strings.Contains(line, "addinvoice"):
				if err := json.Unmarshal([]byte(r.line("docs/devnet.md", line)), &invoice); err != nil {
					t.Fatal(err)
				}
			case strings.Contains(line, "payinvoice"):
				r.line("docs/devnet.md", strings.ReplaceAll(line, "lnbcrt5u1…", invoice.PaymentRequest))
			}
		}
	}
	r.types("docs/devnet.md", "alice.yaml")
	expect(2)
}

func freePort(t *testing.T) string {
	t.Helper()
	addr, err := port.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	_, free, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return free
}
