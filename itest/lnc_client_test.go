package itest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/devnet/shop"
)

// pairedBuyer is an lnget that knows nothing of the node but ten words.
func (w *world) pairedBuyer(t *testing.T, r *relay, words string, flags ...string) *shop.Buyer {
	t.Helper()
	b := &shop.Buyer{Home: t.TempDir(), Lnget: w.program("lnget")}
	cmd := b.Command(t.Context(), append([]string{"ln", "lnc", "pair", "-", "--mailbox", r.addr, "--devserver"}, flags...)...)
	cmd.Stdin = strings.NewReader(words)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"confirmed": true`) {
		t.Fatalf("pair: %v\n%s", err, out)
	}
	return b
}

// TestLngetThroughARelay: lnget pays from an account by a session, as it does
// directly; when the session is revoked it pays nothing more, and says why.
func TestLngetThroughARelay(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	r, owner := w.relay(t), w.payer(t, 10_000)
	made := w.addSession(t, r, "--type", "account", "--account_id", owner.id)
	gate, buyer := w.gate(t, false, back.services()...), w.pairedBuyer(t, r, made.Phrase)
	expect := w.payments(t)
	gets(t, buyer, answer("GET", "/a", ""), "-q", gate.URL+"/a")
	expect(1)
	if got := owner.balance(t); got >= 10_000_000 {
		t.Errorf("balance %d msat after a payment", got)
	}
	gets(t, buyer, answer("GET", "/a", ""), "-q", gate.URL+"/a")
	expect(1)
	r.restart(t)
	if got := lnget(t, buyer, done, "ln", "status"); !strings.Contains(got.Stdout, made.ID) {
		t.Errorf("status: %s", got)
	}
	if err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), nil, "sessions", "revoke", made.ID); err != nil {
		t.Fatal(err)
	}
	if got := lnget(t, buyer, unpaid, "--json", "--max-cost", "6000", gate.URL+"/dear"); !strings.Contains(got.Stderr, `"lnc_session_not_found"`) {
		t.Errorf("a session that was revoked: %s", got)
	}
	if got := lnget(t, buyer, noNetwork, "--json", "ln", "status"); !strings.Contains(got.Stderr, `"lnc_session_not_found"`) {
		t.Errorf("a session that was revoked: %s", got)
	}
	expect(1)
	owner.check(t)
}

// TestGateThroughARelay: a gate makes its invoices by a session that can do
// nothing else, and goes on when the relay was away.
func TestGateThroughARelay(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	r := w.relay(t)
	var made madeSession
	if err := shop.Operate(t.Context(), w.program("leyden"), w.sellerNode(), &made, "sessions", "add", "--mailboxserveraddr", r.addr,
		"--devserver", "--type", "custom", "--perm", "invoices:read", "--perm", "invoices:write", "--label", "gate"); err != nil {
		t.Fatal(err)
	}
	gate := w.gateWith(t, shop.GateOptions{Words: made.Phrase, Mailbox: r.addr, Services: back.services()})
	expect := w.payments(t)
	gets(t, w.buyer(t), answer("GET", "/a", ""), "-q", gate.URL+"/a")
	expect(1)
	r.restart(t)
	buyer := w.buyer(t)
	await(t, "a sale after the relay was away", func() bool {
		got, err := buyer.Run(t.Context(), "-q", gate.URL+"/b")
		return err == nil && got.Status == done && got.Stdout == answer("GET", "/b", "")
	})
	expect(2)
}

// TestRelayOfTheGate: a buyer reaches its node through the relay of the very
// gate that it buys from, and pays there.
func TestRelayOfTheGate(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate := w.gateWith(t, shop.GateOptions{Node: w.sellerNode(), TLS: true, Relay: true, Services: back.services()})
	r, owner := &relay{w: w, addr: strings.TrimPrefix(gate.URL, "https://")}, w.payer(t, 10_000)
	made := w.addSession(t, r, "--type", "account", "--account_id", owner.id)
	for _, flags := range [][]string{nil, {"--websocket"}} {
		buyer := w.pairedBuyer(t, r, made.Phrase, flags...)
		expect := w.payments(t)
		gets(t, buyer, answer("GET", "/a", ""), "-k", "-q", gate.URL+"/a")
		expect(1)
		made = w.addSession(t, r, "--type", "account", "--account_id", owner.id)
	}
	owner.check(t)
}

// TestLngetsTakeTurns: who has paid lets others pay through the session, however
// long the goods take.
func TestLngetsTakeTurns(t *testing.T) {
	w := theWorld(t)
	began, over := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush() // the client has gone
			close(began)
			<-over
		}
		_, _ = io.WriteString(w, "goods") // the client has gone
	}))
	defer slow.Close()
	r, owner := w.relay(t), w.payer(t, 10_000)
	made := w.addSession(t, r, "--type", "account", "--account_id", owner.id)
	addr := strings.TrimPrefix(slow.URL, "http://")
	gate, buyer := w.gate(t, false, shop.Service{Name: "slow", PathRegexp: "^/slow", Address: addr, Price: 100},
		shop.Service{Name: "quick", PathRegexp: "^/", Address: addr, Price: 100, Free: []string{"^" + shop.HealthPath + "$"}}), w.pairedBuyer(t, r, made.Phrase)
	expect := w.payments(t)
	first := make(chan shop.Result, 1)
	go func() {
		got, err := buyer.Run(t.Context(), "-q", gate.URL+"/slow")
		if err != nil {
			t.Error(err)
		}
		first <- got
	}()
	<-began
	gets(t, buyer, "goods", "-q", gate.URL+"/quick")
	expect(2)
	close(over)
	if got := <-first; got.Status != done || got.Stdout != "goods" {
		t.Errorf("the slow one: %+v", got)
	}
}
