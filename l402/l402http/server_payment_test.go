package l402http_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"pgregory.net/rapid"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
	"github.com/leydenln/leyden/l402/mpp"
)

// used is Redemptions in memory.
type used struct {
	mu       sync.Mutex
	until    map[lntypes.Hash]time.Time
	answered map[lntypes.Hash]bool
	err      error
}

func newUsed() *used {
	return &used{until: map[lntypes.Hash]time.Time{}, answered: map[lntypes.Hash]bool{}}
}

func (u *used) Redeem(_ context.Context, hash lntypes.Hash, _ string, until time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return u.err
	}
	if _, ok := u.until[hash]; ok {
		return mpp.ErrUsed
	}
	u.until[hash] = until
	return nil
}

func (u *used) Restore(_ context.Context, hash lntypes.Hash) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.until, hash)
	return u.err
}

func (u *used) Answered(hash lntypes.Hash) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answered[hash] = true
}

// paymentShop sells by both schemes.
func paymentShop(t testing.TB) (*shop, *used) {
	u := newUsed()
	return newShop(t, l402http.SellerConfig{Redemptions: u, Realm: "shop", Network: "regtest"}), u
}

func both(service string, price lnwire.MilliSatoshi) l402http.Sale {
	return l402http.Sale{Service: service, Price: price, Schemes: l402http.SchemeL402 | l402http.SchemePayment}
}

// offers returns the handler of a sale before the shop's backend.
func (s *shop) offers(t testing.TB, sale l402http.Sale) http.Handler {
	t.Helper()
	h, err := s.seller.Handler(sale, s.backend)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// payPayment pays the Payment challenge of an answer.
func (s *shop) payPayment(t testing.TB, resp *http.Response) mpp.Credential {
	t.Helper()
	found, err := mpp.ParseChallenges(resp.Header)
	if err != nil || len(found) != 1 {
		t.Fatalf("status %d: Payment challenges %v, %v", resp.StatusCode, found, err)
	}
	charge, err := found[0].Charge()
	if err != nil {
		t.Fatal(err)
	}
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	preimage, ok := s.node.invoices[charge.Invoice]
	if !ok || charge.Hash == nil || preimage.Hash() != *charge.Hash {
		t.Fatalf("invoice %q cannot be paid, or has another hash", charge.Invoice)
	}
	delete(s.node.open, preimage.Hash())
	s.seller.Settled(preimage.Hash())
	return mpp.Credential{Challenge: found[0], Preimage: preimage}
}

func payment(t testing.TB, c mpp.Credential) []string {
	t.Helper()
	value, err := c.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return []string{l402.HeaderAuthorization, value}
}

func TestPaymentIsGoodForOneRequest(t *testing.T) {
	s, u := paymentShop(t)
	h := s.offers(t, both("weather", 100_000))
	unpaid := ask(h, alice)
	if lines := unpaid.Header.Values("Www-Authenticate"); len(lines) != 3 || !strings.HasPrefix(lines[2], "Payment ") {
		t.Errorf("challenges %q", lines)
	}
	c := s.payPayment(t, unpaid)
	resp := ask(h, alice, payment(t, c)...)
	receipt, ok, err := mpp.ParseReceipt(resp.Header)
	if resp.StatusCode != http.StatusOK || !ok || err != nil || receipt.Hash != c.Preimage.Hash() || receipt.ChallengeID != c.Challenge.ID {
		t.Errorf("%d, receipt %+v, %v, %v", resp.StatusCode, receipt, ok, err)
	}
	if hash := c.Preimage.Hash(); !u.answered[hash] || u.until[hash].Before(time.Now().Add(l402http.PaymentGrace)) {
		t.Errorf("answered %v, remembered until %v", u.answered[hash], u.until[hash])
	}
	again := ask(h, alice, payment(t, c)...)
	if b := read(t, again); again.StatusCode != http.StatusPaymentRequired || b.Error.Code != "payment_used" {
		t.Errorf("again: %d %+v", again.StatusCode, b)
	}
	if len(s.backend.seen) != 1 || s.backend.seen[0].Get("Authorization") != "" {
		t.Errorf("the backend saw %v", s.backend.seen)
	}
	token := s.node.pay(t, again)
	if resp := ask(h, alice, append(payment(t, c), authorization(token)...)...); resp.StatusCode != http.StatusOK ||
		resp.Header.Get(mpp.HeaderReceipt) != "" {
		t.Errorf("a used credential and a good token: %d", resp.StatusCode)
	}
}

func TestPaymentPrices(t *testing.T) {
	s, _ := paymentShop(t)
	c := s.payPayment(t, ask(s.offers(t, both("weather", 100_000)), alice))
	if b := read(t, ask(s.offers(t, both("weather", 101_000)), alice, payment(t, c)...)); b.Error.Code != "payment_underpaid" {
		t.Errorf("after the price rose: %+v", b)
	}
	if resp := ask(s.offers(t, both("weather", 99_000)), alice, payment(t, c)...); resp.StatusCode != http.StatusOK {
		t.Errorf("after the price fell: %d", resp.StatusCode)
	}
	for name, sale := range map[string]l402http.Sale{
		"part of a sat":  both("weather", 1500),
		"unknown scheme": {Service: "weather", Price: 1000, Schemes: 4},
		"constraint":     {Service: "weather", Price: 1000, Constraints: []l402.Caveat{{Key: "services", Value: "x:0"}}},
		"preimage":       {Service: "weather", Price: 1000, Constraints: []l402.Caveat{{Key: "preimage", Value: "x"}}},
		"capability":     {Service: "weather", Price: 1000, Capabilities: []string{"a,b"}},
	} {
		if _, err := s.seller.Handler(sale, s.backend); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := newShop(t, l402http.SellerConfig{}).seller.Handler(both("weather", 1000), s.backend); err == nil {
		t.Error("Payment without Redemptions")
	}
}

// TestPaymentAfterItsEnd: who paid in time is served for a day.
func TestPaymentAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := paymentShop(t)
		h := s.offers(t, both("weather", 100_000))
		late, tooLate := s.payPayment(t, ask(h, alice)), s.payPayment(t, ask(h, alice))
		time.Sleep(l402http.DefaultInvoiceExpiry + l402http.PaymentGrace - time.Second)
		if resp := ask(h, alice, payment(t, late)...); resp.StatusCode != http.StatusOK {
			t.Errorf("late: %d", resp.StatusCode)
		}
		time.Sleep(2 * time.Second)
		if b := read(t, ask(h, alice, payment(t, tooLate)...)); b.Error.Code != "payment_expired" {
			t.Errorf("too late: %+v", b)
		}
	})
}

func TestPaymentIsRestored(t *testing.T) {
	s, u := paymentShop(t)
	status := http.StatusBadGateway
	h, err := s.seller.Handler(both("weather", 100_000), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(l402.HeaderCharged, "no")
		w.Header().Set(mpp.HeaderReceipt, "forged")
		w.Header().Set("Cache-Control", "max-age=1")
		w.WriteHeader(status)
	}))
	if err != nil {
		t.Fatal(err)
	}
	c := s.payPayment(t, ask(h, alice))
	want := func(name string, wantStatus int, charged, receipt bool) {
		t.Helper()
		resp := ask(h, alice, payment(t, c)...)
		if resp.StatusCode != wantStatus || (resp.Header.Get(l402.HeaderCharged) != "no") != charged || (resp.Header.Get(mpp.HeaderReceipt) != "") != receipt {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
	}
	want("fails", status, false, false)
	want("fails again", status, false, false)
	u.err = errors.New("disk full")
	want("cannot be used up", http.StatusServiceUnavailable, false, false)
	u.err = nil
	status = http.StatusForbidden
	want("refused by the backend", status, true, false)
	want("used", http.StatusPaymentRequired, true, false)

	c = s.payPayment(t, ask(h, alice))
	status = http.StatusNoContent
	want("nothing to say", status, true, true)
}

// TestPaymentThatCannotBeRestored is not said to be as good as before.
func TestPaymentThatCannotBeRestored(t *testing.T) {
	s, u := paymentShop(t)
	h, err := s.seller.Handler(both("weather", 100_000), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		u.err = errors.New("disk full")
		w.WriteHeader(http.StatusBadGateway)
	}))
	if err != nil {
		t.Fatal(err)
	}
	c := s.payPayment(t, ask(h, alice))
	if resp := ask(h, alice, payment(t, c)...); resp.StatusCode != http.StatusBadGateway || resp.Header.Get(l402.HeaderCharged) != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if u.answered[c.Preimage.Hash()] {
		t.Error("a restart would not restore it")
	}
}

// TestFailuresOfGRPC: a call that fails at once has used nothing up; one that
// the backend refuses has.
func TestFailuresOfGRPC(t *testing.T) {
	for status, charged := range map[string]bool{"0": true, "5": true, "7": true, "13": false, "14": false, "2": false, "x": false} {
		s, _ := paymentShop(t)
		h, err := s.seller.Handler(both("weather", 100_000), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Grpc-Status", status)
		}))
		if err != nil {
			t.Fatal(err)
		}
		c := s.payPayment(t, ask(h, alice))
		if resp := ask(h, alice, payment(t, c)...); (resp.Header.Get(l402.HeaderCharged) != "no") != charged {
			t.Errorf("grpc-status %s: %v", status, resp.Header)
		}
	}
}

func TestPaymentOverGRPC(t *testing.T) {
	s, _ := paymentShop(t)
	h := s.offers(t, both("weather", 100_000))
	for asked, want := range map[string]string{
		"application/grpc+proto": "application/grpc", "application/grpc-web+proto": "application/grpc-web",
		"application/grpc-web-text": "application/grpc-web-text",
	} {
		resp := ask(h, alice, "Content-Type", asked)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Grpc-Status") != "13" || resp.Header.Get("Content-Type") != want ||
			resp.Header.Get("Grpc-Message") != "payment required" || len(resp.Header.Values("Www-Authenticate")) != 3 {
			t.Errorf("%s: %d %v", asked, resp.StatusCode, resp.Header)
		}
		s.node.readyErr = errNode
		if resp := ask(h, alice, "Content-Type", asked); resp.Header.Get("Grpc-Status") != "14" {
			t.Errorf("%s, no node: %d %v", asked, resp.StatusCode, resp.Header)
		}
		s.node.readyErr = nil
	}
}

func TestProblemBody(t *testing.T) {
	s, _ := paymentShop(t)
	type problem struct {
		body
		mpp.Problem
	}
	for name, c := range map[string]struct {
		schemes      l402http.Schemes
		accept, want string
		problem      bool
	}{
		"ok/both":         {l402http.SchemeL402 | l402http.SchemePayment, "", "application/json", true},
		"ok/both, asked":  {l402http.SchemeL402 | l402http.SchemePayment, "application/problem+json", mpp.ContentTypeProblem, true},
		"ok/Payment only": {l402http.SchemePayment, "*/*", mpp.ContentTypeProblem, true},
		"ok/L402 only":    {l402http.SchemeL402, "application/problem+json", "application/json", false},
	} {
		h := s.offers(t, l402http.Sale{Service: "weather", Price: 1000, Schemes: c.schemes})
		resp := ask(h, alice, "Accept", c.accept)
		var got problem
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if resp.Header.Get("Content-Type") != c.want || got.Error.Code != "payment_required" || (got.Status == 402) != c.problem {
			t.Errorf("%s: %s %+v", name, resp.Header.Get("Content-Type"), got)
		}
		bad := ask(h, alice, "Authorization", "Payment AAAA")
		got = problem{}
		if err := json.NewDecoder(bad.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if c.problem && (got.Error.Code != "payment_malformed" || !strings.HasSuffix(got.Type, "/malformed-credential")) {
			t.Errorf("%s: malformed: %+v", name, got)
		}
	}
}

// TestPaymentPassesOnceWhatWasPaidFor is the property of Judge and Redeem
// together, over all orders of buying, presenting, altering and failing.
func TestPaymentPassesOnceWhatWasPaidFor(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, _ := paymentShop(t)
		status := http.StatusOK
		asked := 0
		backend := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(status)
		})
		prices := map[string]lnwire.MilliSatoshi{"cheap": 1000, "dear": 900_000}
		shopOf := map[string]http.Handler{}
		for service, price := range prices {
			h, err := s.seller.Handler(both(service, price), backend)
			if err != nil {
				rt.Fatal(err)
			}
			shopOf[service] = h
		}
		type bought struct {
			service string
			mpp.Credential
			good bool
		}
		var purse []*bought
		services := rapid.SampledFrom([]string{"cheap", "dear"})
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			service := services.Draw(rt, "service")
			if len(purse) == 0 || rapid.IntRange(0, 3).Draw(rt, "buy") == 0 {
				purse = append(purse, &bought{service, s.payPayment(t, ask(shopOf[service], alice)), true})
				continue
			}
			b := purse[rapid.IntRange(0, len(purse)-1).Draw(rt, "which")]
			c, honest := b.Credential, true
			switch rapid.IntRange(0, 5).Draw(rt, "mischief") {
			case 0:
				c.Preimage[rapid.IntRange(0, 31).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
				honest = false
			case 1:
				other := purse[rapid.IntRange(0, len(purse)-1).Draw(rt, "other")]
				c.Challenge.Opaque = other.Challenge.Opaque
				honest = other.Challenge.Opaque == b.Challenge.Opaque
			case 2:
				other := purse[rapid.IntRange(0, len(purse)-1).Draw(rt, "other")]
				c.Challenge.Request = other.Challenge.Request
				honest = other == b
			case 3:
				c.Challenge.Expires = time.Now().Add(99 * time.Hour).UTC().Format(time.RFC3339)
				honest = false
			}
			status = rapid.SampledFrom([]int{200, 404, 500, 503}).Draw(rt, "status")
			before := asked
			resp := ask(shopOf[service], alice, payment(t, c)...)
			want := honest && b.good && b.service == service
			if passed := asked > before; passed != want {
				rt.Fatalf("%s on %s (good %v, honest %v): passed %v", b.service, service, b.good, honest, passed)
			}
			if want {
				b.good = status >= 500
				if _, receipt, _ := mpp.ParseReceipt(resp.Header); receipt != (status == 200) {
					rt.Fatalf("status %d, receipt %v", status, receipt)
				}
			}
		}
	})
}

// TestPassWantsARedeemedPayment: forgetting Redeem must not make a credential
// good for ever.
func TestPassWantsARedeemedPayment(t *testing.T) {
	s, _ := paymentShop(t)
	sale := both("weather", 100_000)
	c := s.payPayment(t, ask(s.offers(t, sale), alice))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(payment(t, c)[0], payment(t, c)[1])
	r.Host = "seller.test"
	v := s.seller.Judge(r, sale)
	if !v.Paid {
		t.Fatal(v.Refusal)
	}
	defer func() {
		if recover() == nil || len(s.backend.seen) != 0 {
			t.Error("passed")
		}
	}()
	s.seller.Pass(httptest.NewRecorder(), r, v, s.backend, nil)
}

// TestChangingTheSchemes: what is sold by Payment alone is not opened by tokens
// of before, and a challenge without a token is not given to who needs one.
func TestChangingTheSchemes(t *testing.T) {
	s, _ := paymentShop(t)
	old, alone := s.offers(t, both("weather", 100_000)), both("weather", 100_000)
	alone.Schemes = l402http.SchemePayment
	only := s.offers(t, alone)
	token := s.node.pay(t, ask(old, alice))
	if resp := ask(only, alice, authorization(token)...); resp.StatusCode != http.StatusPaymentRequired {
		t.Errorf("a token where none is sold: %d", resp.StatusCode)
	}
	first := ask(only, alice, "L402-Client", nonce(1))
	if lines := first.Header.Values("Www-Authenticate"); len(lines) != 1 || !strings.HasPrefix(lines[0], "Payment ") {
		t.Errorf("challenges %q", lines)
	}
	if lines := ask(old, alice, "L402-Client", nonce(1)).Header.Values("Www-Authenticate"); len(lines) != 3 {
		t.Errorf("challenges %q", lines)
	}
}

// TestNothingWrittenIsAnAnswer as it is for the server: 200 and no body.
func TestNothingWrittenIsAnAnswer(t *testing.T) {
	s, u := paymentShop(t)
	h, err := s.seller.Handler(both("weather", 100_000), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if err != nil {
		t.Fatal(err)
	}
	c := s.payPayment(t, ask(h, alice))
	resp := ask(h, alice, payment(t, c)...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get(mpp.HeaderReceipt) == "" || !u.answered[c.Preimage.Hash()] {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

// TestWatchingDoesNotHideTheConnection: whoever upgrades or streams needs it,
// and interim answers are none.
func TestWatchingDoesNotHideTheConnection(t *testing.T) {
	done := make(chan error, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		failed := l402http.Pass(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			switch r.URL.Path {
			case "/flush":
				done <- c.Flush()
			case "/hints":
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusBadGateway)
			default:
				conn, _, err := c.Hijack()
				if err == nil {
					_ = conn.Close()
				}
				done <- err
			}
		}), nil)
		if failed != (r.URL.Path == "/hints") {
			t.Errorf("%s: failed %v", r.URL.Path, failed)
		}
	}))
	defer server.Close()
	for _, path := range []string{"/flush", "/hijack"} {
		if resp, err := http.Get(server.URL + path); err == nil {
			_ = resp.Body.Close()
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	resp, err := http.Get(server.URL + "/hints")
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusBadGateway || resp.Header.Get(l402.HeaderCharged) != l402.ChargedNo {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

// TestPaymentRealmIsTheHost in whatever spelling the buyer names it.
func TestPaymentRealmIsTheHost(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{Redemptions: newUsed()})
	h := s.offers(t, both("weather", 100_000))
	from := func(host string, headers ...string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		r.Host, r.RemoteAddr = host, alice
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	for name, c := range map[string]struct {
		bought, used string
		status       int
	}{
		"ok/case":          {"Shop.Example", "shop.example", http.StatusOK},
		"ok/dot":           {"shop.example.", "shop.example", http.StatusOK},
		"ok/https port":    {"shop.example:443", "shop.example", http.StatusOK},
		"ok/http port":     {"shop.example", "shop.example.:80", http.StatusOK},
		"ok/IPv6":          {"[2001:DB8::80]", "[2001:db8::80]:443", http.StatusOK},
		"fail/other port":  {"shop.example:8080", "shop.example", http.StatusPaymentRequired},
		"fail/other host":  {"shop.example", "shop.example.org", http.StatusPaymentRequired},
		"fail/end of IPv6": {"[2001:db8::80]", "[2001:db8:]", http.StatusPaymentRequired},
	} {
		t.Run(name, func(t *testing.T) {
			c2 := s.payPayment(t, from(c.bought))
			if got := from(c.used, payment(t, c2)...).StatusCode; got != c.status {
				t.Errorf("bought at %s, used at %s: %d, want %d", c.bought, c.used, got, c.status)
			}
		})
	}
}

// TestDeadlineOfTheClient: a call that ends by the client's own deadline has
// been answered; one that ends by the backend's has not.
func TestDeadlineOfTheClient(t *testing.T) {
	for name, c := range map[string]struct {
		timeout string
		charged bool
	}{"ok/backend's": {"", false}, "fail/client's": {"1m", true}} {
		t.Run(name, func(t *testing.T) {
			s, _ := paymentShop(t)
			h, err := s.seller.Handler(both("weather", 100_000), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Grpc-Status", "4")
			}))
			if err != nil {
				t.Fatal(err)
			}
			paid := s.payPayment(t, ask(h, alice))
			headers := payment(t, paid)
			if c.timeout != "" {
				headers = append(headers, "Grpc-Timeout", c.timeout)
			}
			if resp := ask(h, alice, headers...); (resp.Header.Get(l402.HeaderCharged) != "no") != c.charged {
				t.Errorf("%v", resp.Header)
			}
		})
	}
}

// TestUpgradeIsAnAnswer: what a WebSocket was paid with is used up as it begins,
// and not when it ends, which may be when the gate is cut short.
func TestUpgradeIsAnAnswer(t *testing.T) {
	s, u := paymentShop(t)
	answered := make(chan bool, 1)
	h, err := s.seller.Handler(both("weather", 100_000), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		u.mu.Lock()
		defer u.mu.Unlock()
		answered <- len(u.answered) == 1
	}))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	credential := payment(t, s.payPayment(t, ask(h, alice)))
	req.Header.Set(credential[0], credential[1])
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
	if !<-answered {
		t.Error("not used up while the connection lives")
	}
}
