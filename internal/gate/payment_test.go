package gate

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
	"github.com/leydenln/leyden/l402/mpp"

	"github.com/leydenln/leyden/internal/until"
)

const paymentServices = `authenticator: {network: regtest, tlspath: t, macdir: m, enablempp: true}
services:
  - {name: dear, pathregexp: '^/dear/.*$', address: %[1]q, price: 500}
  - {name: cheap, pathregexp: '^/cheap/.*$', address: %[1]q, price: 5}
  - {name: only, pathregexp: '^/only/.*$', address: %[1]q, price: 5, authscheme: mpp}
  - {name: token, pathregexp: '^/token/.*$', address: %[1]q, price: 5, authscheme: l402}
`

// wantsPayment is the Payment challenge of an answer.
func wantsPayment(t testing.TB, resp *http.Response) mpp.Challenge {
	t.Helper()
	c, err := mpp.ParseChallenges(resp.Header)
	if err != nil || len(c) != 1 || resp.StatusCode != http.StatusPaymentRequired {
		t.Fatalf("status %d, %s: Payment challenges %v, %v", resp.StatusCode, text(t, resp), c, err)
	}
	return c[0]
}

// payFor pays a Payment challenge and returns what to present.
func payFor(t *testing.T, node *fakeNode, c mpp.Challenge) mpp.Credential {
	t.Helper()
	charge, err := c.Charge()
	if err != nil {
		t.Fatal(err)
	}
	return mpp.Credential{Challenge: c, Preimage: node.settle(t, charge.Invoice, false)}
}

func presents(t testing.TB, c mpp.Credential) []string {
	t.Helper()
	value, err := c.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"Authorization", value}
}

// refusedWith checks that an answer is a 402 with a code and a new challenge.
func refusedWith(t *testing.T, resp *http.Response, code string) {
	t.Helper()
	if body := text(t, resp); resp.StatusCode != http.StatusPaymentRequired || !strings.Contains(body, `"`+code+`"`) {
		t.Errorf("%d %s, want %s", resp.StatusCode, body, code)
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get(mpp.HeaderReceipt) != "" {
		t.Errorf("header %v", resp.Header)
	}
	if resp.Header.Get("Www-Authenticate") == "" {
		t.Error("no new challenge")
	}
}

func TestPaymentBuysOneRequest(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(paymentServices, b.addr()))
	unpaid := get(t, g, "/cheap/x")
	c := wantsPayment(t, unpaid)
	charge, err := c.Charge()
	token := challenge(t, unpaid)
	if err != nil || charge.Amount != 5 || charge.Network != "regtest" || charge.Invoice != token.Invoice || c.Realm != g.Addr().String() {
		t.Errorf("%+v, %v; the token's invoice is %s", charge, err, token.Invoice)
	}
	paid := payFor(t, node, c)
	resp := get(t, g, "/cheap/x", presents(t, paid)...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "private" {
		t.Fatalf("%d %s", resp.StatusCode, text(t, resp))
	}
	receipt, ok, err := mpp.ParseReceipt(resp.Header)
	if err != nil || !ok || receipt.Hash != paid.Preimage.Hash() || receipt.ChallengeID != c.ID {
		t.Errorf("receipt %+v, %v, %v", receipt, ok, err)
	}
	refusedWith(t, get(t, g, "/cheap/x", presents(t, paid)...), "payment_used")
	if seen := b.requests(); len(seen) != 1 || seen[0].Header.Get("Authorization") != "" {
		t.Errorf("the backend saw %d requests, the last with %v", len(seen), seen[len(seen)-1].Header)
	}
	// The payment bought the token just as well: it is the buyer's choice.
	l402paid := l402.Credential{Tokens: token.Tokens, Preimage: paid.Preimage}
	if resp := get(t, g, "/cheap/x", "Authorization", l402paid.Authorization(l402.SchemeL402)); resp.StatusCode != http.StatusOK ||
		resp.Header.Get(mpp.HeaderReceipt) != "" {
		t.Errorf("by token: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestPaymentIsBound(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(paymentServices, b.addr()))
	cheap := payFor(t, node, wantsPayment(t, get(t, g, "/cheap/x")))
	dear := wantsPayment(t, get(t, g, "/dear/x"))
	change := func(f func(*mpp.Credential)) mpp.Credential {
		c := cheap
		f(&c)
		return c
	}
	for name, c := range map[string]struct {
		path string
		mpp.Credential
		code string
	}{
		"fail/cheap one on a dear service": {"/dear/x", cheap, "payment_wrong_service"},
		"fail/wrong preimage":              {"/cheap/x", change(func(c *mpp.Credential) { c.Preimage[0] ^= 1 }), "payment_wrong_preimage"},
		"fail/other challenge":             {"/dear/x", mpp.Credential{Challenge: dear, Preimage: cheap.Preimage}, "payment_wrong_preimage"},
		"fail/altered expiry":              {"/cheap/x", change(func(c *mpp.Credential) { c.Challenge.Expires = "2999-01-01T00:00:00Z" }), "payment_unknown_challenge"},
		"fail/other realm":                 {"/cheap/x", change(func(c *mpp.Credential) { c.Challenge.Realm = "other" }), "payment_unknown_challenge"},
		"fail/other opaque":                {"/dear/x", change(func(c *mpp.Credential) { c.Challenge.Opaque = dear.Opaque }), "payment_unknown_challenge"},
		"fail/no opaque":                   {"/cheap/x", change(func(c *mpp.Credential) { c.Challenge.Opaque = "" }), "payment_unknown_challenge"},
		"fail/other request":               {"/cheap/x", change(func(c *mpp.Credential) { c.Challenge.Request = dear.Request }), "payment_unknown_challenge"},
	} {
		t.Run(name, func(t *testing.T) { refusedWith(t, get(t, g, c.path, presents(t, c.Credential)...), c.code) })
	}
	refusedWith(t, get(t, g, "/cheap/x", "Authorization", "Payment nonsense"), "payment_malformed")
	r := httptest.NewRequest(http.MethodGet, "/cheap/x", nil)
	r.Host = "another.test"
	r.Header.Set(presents(t, cheap)[0], presents(t, cheap)[1])
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	refusedWith(t, w.Result(), "payment_unknown_challenge")
	if len(b.requests()) != 0 {
		t.Error("the backend saw a request")
	}
	if resp := get(t, g, "/cheap/x", presents(t, cheap)...); resp.StatusCode != http.StatusOK {
		t.Errorf("and then where it belongs: %d", resp.StatusCode)
	}
	// A service that is sold by L402 alone neither offers nor takes it.
	resp := get(t, g, "/token/x", presents(t, cheap)...)
	if c, _ := mpp.ParseChallenges(resp.Header); resp.StatusCode != http.StatusPaymentRequired || len(c) != 0 {
		t.Errorf("%d, %v", resp.StatusCode, c)
	}
}

func TestPaymentConcurrently(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(paymentServices, b.addr()))
	paid := presents(t, payFor(t, node, wantsPayment(t, get(t, g, "/cheap/x"))))
	var passed, refused atomic.Int32
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			switch get(t, g, "/cheap/x", append(paid, "L402-Client", l402.ClientNonce{byte(i)}.String())...).StatusCode {
			case http.StatusOK:
				passed.Add(1)
			case http.StatusPaymentRequired:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 || refused.Load() != 29 || len(b.requests()) != 1 {
		t.Errorf("%d passed, %d refused, the backend saw %d", passed.Load(), refused.Load(), len(b.requests()))
	}
}

func TestPaymentIsGivenBack(t *testing.T) {
	node := newFakeNode()
	status := http.StatusServiceUnavailable
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(mpp.HeaderReceipt, "forged")
		w.WriteHeader(status)
	}))
	defer b.Close()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(paymentServices, strings.TrimPrefix(b.URL, "http://")))
	paid := presents(t, payFor(t, node, wantsPayment(t, get(t, g, "/cheap/x"))))
	for range 3 {
		resp := get(t, g, "/cheap/x", paid...)
		if resp.StatusCode != status || resp.Header.Get(l402.HeaderCharged) != l402.ChargedNo || resp.Header.Get(mpp.HeaderReceipt) != "" {
			t.Fatalf("%d %v", resp.StatusCode, resp.Header)
		}
	}
	b.CloseClientConnections()
	status = http.StatusNotFound
	resp := get(t, g, "/cheap/x", paid...)
	if resp.StatusCode != status || resp.Header.Get(l402.HeaderCharged) != "" || resp.Header.Get(mpp.HeaderReceipt) != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	refusedWith(t, get(t, g, "/cheap/x", paid...), "payment_used")

	paid = presents(t, payFor(t, node, wantsPayment(t, get(t, g, "/cheap/x"))))
	b.Close()
	if resp := get(t, g, "/cheap/x", paid...); resp.StatusCode != http.StatusBadGateway || resp.Header.Get(l402.HeaderCharged) != l402.ChargedNo {
		t.Errorf("no backend: %d %v", resp.StatusCode, resp.Header)
	}
}

// TestPaymentAndCrash: what was answered stays used up, what was cut short is
// good again.
func TestPaymentAndCrash(t *testing.T) {
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	services := fmt.Sprintf(paymentServices, b.addr())
	services = strings.Replace(services, "enablempp: true", "enablempp: true, mpprealm: shop", 1)
	g := openGate(t, dir, node, services)
	answered := payFor(t, node, wantsPayment(t, get(t, g, "/cheap/x")))
	cut := payFor(t, node, wantsPayment(t, get(t, g, "/cheap/x")))
	if resp := get(t, g, "/cheap/x", presents(t, answered)...); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d", resp.StatusCode)
	}
	if err := g.redemptions.Redeem(t.Context(), cut.Preimage.Hash(), "cheap", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	late := payFor(t, node, wantsPayment(t, get(t, g, "/cheap/x")))
	if err := g.redemptions.Redeem(t.Context(), late.Preimage.Hash(), "cheap", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, get(t, g, "/cheap/x", presents(t, cut)...), "payment_used")
	g.redemptions.cutShort() // as when requests do not end in time
	g.redemptions.Answered(late.Preimage.Hash())
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := rotateKeys(filepath.Join(dir, keyFile), false); err != nil {
		t.Fatal(err)
	}
	g = openGate(t, dir, node, services)
	refusedWith(t, get(t, g, "/cheap/x", presents(t, answered)...), "payment_used")
	for name, c := range map[string]mpp.Credential{"crashed": cut, "stopped": late} {
		if resp := get(t, g, "/cheap/x", presents(t, c)...); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

// TestPaymentAndBrokenBody: a client that sends a body nobody can read gets
// nothing back for that, though the backend did not answer.
func TestPaymentAndBrokenBody(t *testing.T) {
	node := newFakeNode()
	began := make(chan struct{}, 1)
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{} // the work is done before the body is read
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer b.Close()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(paymentServices, strings.TrimPrefix(b.URL, "http://")))
	paid := presents(t, payFor(t, node, wantsPayment(t, get(t, g, "/cheap/x"))))
	head := "POST /cheap/x HTTP/1.1\r\nHost: " + g.Addr().String() + "\r\n" + paid[0] + ": " + paid[1] +
		"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	wait(t, began, "the backend has the request")
	if answer := converse(conn, "nonsense\r\n", patient); !strings.HasPrefix(answer, "HTTP/1.1 400") || !strings.Contains(answer, "bad_body") {
		t.Errorf("%.200q", answer)
	}
	refusedWith(t, get(t, g, "/cheap/x", paid...), "payment_used")
}

func TestPaymentAlone(t *testing.T) {
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	services := fmt.Sprintf(paymentServices, b.addr())
	g := openGate(t, dir, node, services)
	client := []string{"L402-Client", l402.ClientNonce{1}.String()}
	resp := get(t, g, "/only/x", client...)
	c := wantsPayment(t, resp)
	if lines := resp.Header.Values("Www-Authenticate"); len(lines) != 1 || resp.Header.Get("Content-Type") != mpp.ContentTypeProblem {
		t.Errorf("%q %s", lines, resp.Header.Get("Content-Type"))
	}
	var body struct {
		mpp.Problem
		Error   struct{ Code, Message string }
		Invoice string
	}
	if err := json.Unmarshal([]byte(text(t, resp)), &body); err != nil || body.Status != 402 || body.Title != "Payment Required" ||
		body.Error.Code != "payment_required" || body.Invoice == "" || strings.Contains(body.Detail, "token") {
		t.Errorf("%+v, %v", body, err)
	}
	if open, err := g.db.OpenTransactions(t.Context()); err != nil || len(open) != 1 || !open[0].Token.IsZero() {
		t.Errorf("%+v, %v", open, err)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	g = openGate(t, dir, node, services)
	until.True(t, "the client is given its challenge again", func() bool {
		again := wantsPayment(t, get(t, g, "/only/x", client...))
		return again.Request == c.Request && again.Expires == c.Expires
	})
	resp = get(t, g, "/cheap/x", "Accept", mpp.ContentTypeProblem)
	if got := resp.Header.Get("Content-Type"); got != mpp.ContentTypeProblem {
		t.Errorf("asked for a problem: %s", got)
	}
	if got := get(t, g, "/cheap/x").Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("asked for nothing: %s", got)
	}
}

func TestPaymentRevokedAndUnrecorded(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(paymentServices, b.addr()))
	revoked := payFor(t, node, wantsPayment(t, get(t, g, "/only/x")))
	if err := g.db.Revoke(t.Context(), l402.TokenID(revoked.Preimage.Hash()), time.Now(), "test"); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, get(t, g, "/only/x", presents(t, revoked)...), "payment_revoked")
	other := payFor(t, node, wantsPayment(t, get(t, g, "/only/x")))
	if err := g.db.Close(); err != nil {
		t.Fatal(err)
	}
	resp := get(t, g, "/only/x", presents(t, other)...)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get(l402.HeaderCharged) != l402.ChargedNo ||
		!strings.Contains(text(t, resp), "seller_unavailable") || len(b.requests()) != 0 {
		t.Errorf("without a database: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestPaymentInShadowIsNotUsedUp(t *testing.T) {
	d := newDoorTest(t, strings.Replace(fmt.Sprintf(paymentServices, "localhost:1"), "name: dear, pathregexp: '^/dear/.*$'", "name: dear", 1))
	c := wantsPayment(t, d.ask("/dear/x"))
	paid := presents(t, payFor(t, d.node, c))
	d.door.shadow = true
	for range 2 {
		resp := d.ask("/dear/x", paid...)
		d.want(t, resp, http.StatusOK, outcomeShadow, false)
		if resp.Header.Get(mpp.HeaderReceipt) != "" {
			t.Error("a receipt for nothing")
		}
	}
	d.door.shadow = false
	resp := d.ask("/dear/x", paid...)
	d.want(t, resp, http.StatusOK, outcomePaid, false)
	if resp.Header.Get(mpp.HeaderReceipt) == "" || d.tokens[0] != l402.TokenID(payHash(t, c)) {
		t.Errorf("limited by %v, receipt %q", d.tokens, resp.Header.Get(mpp.HeaderReceipt))
	}
}

func payHash(t *testing.T, c mpp.Challenge) [32]byte {
	t.Helper()
	charge, err := c.Charge()
	if err != nil {
		t.Fatal(err)
	}
	return *charge.Hash
}

var _ l402http.Redemptions = (*redemptions)(nil)
