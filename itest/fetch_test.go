package itest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/devnet/shop"
)

// Exit statuses of lnget.
const (
	done      = 0
	failed    = 1
	overCap   = 2
	unpaid    = 3
	noNetwork = 4
)

// lnget runs the buyer's lnget and insists on its exit status.
func lnget(t *testing.T, b *shop.Buyer, status int, args ...string) shop.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := b.Run(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != status {
		t.Fatalf("lnget %q: %s, want status %d", args, r, status)
	}
	return r
}

// gets insists on the body that lnget prints.
func gets(t *testing.T, b *shop.Buyer, want string, args ...string) {
	t.Helper()
	if r := lnget(t, b, done, args...); r.Stdout != want {
		t.Fatalf("lnget %q printed %q, want %q", args, r.Stdout, want)
	}
}

func TestPaidFetch(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	for name, tls := range map[string]bool{"HTTP": false, "HTTPS": true} {
		t.Run(name, func(t *testing.T) {
			gate, buyer := w.gate(t, tls, back.services()...), w.buyer(t)
			expect := w.payments(t)
			if tls {
				r := lnget(t, buyer, noNetwork, "-q", gate.URL+"/a")
				if !strings.Contains(r.Stderr, "certificate") {
					t.Errorf("an unknown certificate: %s", r)
				}
			}
			gets(t, buyer, answer("GET", "/free", ""), "-q", "-k", gate.URL+"/free")
			expect(0)
			gets(t, buyer, answer("GET", "/a", ""), "-q", "-k", gate.URL+"/a")
			expect(1)
			gets(t, buyer, answer("GET", "/b", ""), "-q", "-k", gate.URL+"/b")
			gets(t, buyer, answer("POST", "/c", `{"x":1}`), "-q", "-k", "-d", `{"x":1}`, gate.URL+"/c")
			expect(1)
		})
	}
	if n := back.secrets.Load(); n != 0 {
		t.Errorf("%d requests carried the buyer's credential to the backend", n)
	}
}

func TestPaidPost(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate, buyer := w.gate(t, false, back.services()...), w.buyer(t)
	body := `{"query":"` + strings.Repeat("long ", 50_000) + `"}`
	file := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	expect := w.payments(t)
	gets(t, buyer, answer("POST", "/search", body), "-q", "-X", "POST", "-d", "@"+file, gate.URL+"/search")
	expect(1)
	if n := back.requests.Load(); n != 1 {
		t.Errorf("the backend saw %d requests, want 1", n)
	}
}

func TestNothingIsPaidUnasked(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate, buyer := w.gate(t, false, back.services()...), w.buyer(t)
	expect := w.payments(t)
	r := lnget(t, buyer, done, "--no-pay", "--json", gate.URL+"/dear")
	var preview struct {
		Sat int64 `json:"invoice_amount_sat"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &preview); err != nil || preview.Sat != 5000 {
		t.Errorf("preview %s: %v", r, err)
	}
	if r := lnget(t, buyer, overCap, gate.URL+"/dear"); r.Stdout != "" || !strings.Contains(r.Stderr, "max-cost") {
		t.Errorf("over the cap: %s", r)
	}
	lnget(t, buyer, overCap, "--max-cost", "99", gate.URL+"/a")
	expect(0)
	gets(t, buyer, answer("GET", "/a", ""), "-q", "--max-cost", "100", gate.URL+"/a")
	expect(1)
}

// TestTwoAtOnce: two processes that want the same thing buy it once.
func TestTwoAtOnce(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate, buyer := w.gate(t, false, back.services()...), w.buyer(t)
	expect := w.payments(t)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			r, err := buyer.Run(t.Context(), "-q", gate.URL+"/a")
			if err != nil || r.Status != done || r.Stdout != answer("GET", "/a", "") {
				t.Errorf("%s, %v", r, err)
			}
		})
	}
	both.Wait()
	expect(1)
}

func TestTokensAreListed(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate, buyer := w.gate(t, false, back.services()...), w.buyer(t)
	gets(t, buyer, answer("GET", "/a", ""), "-q", gate.URL+"/a")
	r := lnget(t, buyer, done, "tokens", "list", "--json")
	var tokens []struct {
		Domain string `json:"domain"`
		Sat    int64  `json:"amount_paid_sat"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &tokens); err != nil {
		t.Fatalf("%v: %s", err, r)
	}
	if len(tokens) != 1 || tokens[0].Sat != 100 || !strings.Contains(tokens[0].Domain, "127.0.0.1") {
		t.Errorf("%+v", tokens)
	}
}

// TestRestarts: what was bought stays good when gate and node come back.
func TestRestarts(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate, buyer := w.gate(t, false, back.services()...), w.buyer(t)
	expect := w.payments(t)
	want := answer("GET", "/a", "")
	gets(t, buyer, want, "-q", gate.URL+"/a")

	if err := gate.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := lnget(t, buyer, noNetwork, gate.URL+"/a")
	if r.Stdout != "" || r.Stderr == "" {
		t.Errorf("without the gate: %s", r)
	}
	if err := gate.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	gets(t, buyer, want, "-q", gate.URL+"/a")
	if err := gate.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := gate.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	gets(t, buyer, want, "-q", gate.URL+"/a")

	startAgain := w.stopNode(t, w.sellerNode())
	gets(t, buyer, want, "-q", gate.URL+"/a") // tokens need no node
	r = lnget(t, w.buyer(t), failed, gate.URL+"/a")
	if strings.Contains(r.Stderr, "panic") || r.Stderr == "" {
		t.Errorf("without the seller's node: %s", r)
	}
	startAgain()
	gets(t, buyer, want, "-q", gate.URL+"/a")
	expect(1)
	late := w.buyer(t)
	await(t, "the gate sells again", func() bool { // it asks the node every three seconds
		r, err := late.Run(t.Context(), "-q", gate.URL+"/a")
		return err == nil && r.Status == done && r.Stdout == want
	})
	expect(2)
}

// TestBuyersNodeDown: one line that says what to do, and nothing is lost.
func TestBuyersNodeDown(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate, buyer := w.gate(t, false, back.services()...), w.buyer(t)
	expect := w.payments(t)
	startAgain := w.stopNode(t, w.buyerNode())
	gets(t, buyer, answer("GET", "/free", ""), "-q", gate.URL+"/free") // needs no node
	r := lnget(t, buyer, unpaid, "-q", gate.URL+"/a")
	if lines := strings.Split(strings.TrimSpace(r.Stderr), "\n"); len(lines) != 2 ||
		!strings.Contains(lines[0], w.buyerNode().RPC) || !strings.Contains(lines[1], "leyden node start") {
		t.Errorf("without the buyer's node: %s", r)
	}
	startAgain()
	expect(0)
	gets(t, buyer, answer("GET", "/a", ""), "-q", gate.URL+"/a")
	expect(1)
}
