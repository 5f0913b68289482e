package l402http_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// invoice is what a 402 asks to be paid.
func invoice(t *testing.T, resp *http.Response) string {
	t.Helper()
	c, err := l402.ParseChallenges(resp.Header)
	if err != nil || len(c) == 0 {
		t.Fatalf("status %d, challenges %v, %v", resp.StatusCode, c, err)
	}
	return c[0].Invoice
}

func TestReuseForTheSameClientOnly(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{})
	weather, news := s.sells(t, "weather", 0), s.sells(t, "news", 0)
	dear, err := s.seller.Handler(l402http.Sale{Service: "weather", Price: 200_000}, s.backend)
	if err != nil {
		t.Fatal(err)
	}
	one := invoice(t, ask(weather, alice, "L402-Client", nonce(1)))
	if again := invoice(t, ask(weather, "203.0.113.9:1", "L402-Client", nonce(1))); again != one {
		t.Error("the same client got another challenge")
	}
	seen := map[string]string{one: "first"}
	fresh := func(what string, resp *http.Response) {
		t.Helper()
		got := invoice(t, resp)
		if seen[got] != "" {
			t.Errorf("%s was given the challenge of %s", what, seen[got])
		}
		seen[got] = what
	}
	fresh("another nonce", ask(weather, alice, "L402-Client", nonce(2)))
	fresh("another service", ask(news, alice, "L402-Client", nonce(1)))
	fresh("another price", ask(dear, alice, "L402-Client", nonce(1)))
	fresh("no nonce", ask(weather, alice))
	fresh("no nonce again", ask(weather, alice))
	fresh("malformed nonce", ask(weather, alice, "L402-Client", "AA"))
	fresh("malformed nonce again", ask(weather, alice, "L402-Client", "AA"))

	paid := s.node.pay(t, ask(weather, alice, "L402-Client", nonce(1)))
	if got := ask(weather, alice, authorization(paid)...).StatusCode; got != http.StatusOK {
		t.Fatal(got)
	}
	fresh("after paying", ask(weather, alice, "L402-Client", nonce(1)))
}

func TestReuseByCookie(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{})
	h := s.sells(t, "weather", 0)
	first := ask(h, alice)
	cookies := first.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("cookies %v", cookies)
	}
	again := ask(h, alice, "Cookie", cookies[0].Name+"="+cookies[0].Value)
	if invoice(t, first) != invoice(t, again) || len(again.Cookies()) != 0 {
		t.Error("the cookie did not bring the challenge back")
	}
}

func TestReuseByAddressOnlyWhenAsked(t *testing.T) {
	s := newShop(t, l402http.SellerConfig{SameAddress: true})
	h := s.sells(t, "weather", 0)
	if invoice(t, ask(h, "192.0.2.7:1")) != invoice(t, ask(h, "192.0.2.7:2")) {
		t.Error("the same address got another challenge")
	}
	if invoice(t, ask(h, "192.0.2.7:1")) == invoice(t, ask(h, "192.0.2.8:1")) {
		t.Error("another address got the same challenge")
	}
}

func TestReuseEndsNearExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, l402http.SellerConfig{InvoiceExpiry: time.Hour})
		h := s.sells(t, "weather", 0)
		first := invoice(t, ask(h, alice, "L402-Client", nonce(1)))
		time.Sleep(40 * time.Minute)
		if invoice(t, ask(h, alice, "L402-Client", nonce(1))) != first {
			t.Error("not reused in time")
		}
		time.Sleep(6 * time.Minute)
		if invoice(t, ask(h, alice, "L402-Client", nonce(1))) == first {
			t.Error("reused near expiry")
		}
	})
}

func TestOneInvoiceForSimultaneousRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, l402http.SellerConfig{})
		s.node.hold = make(chan struct{})
		h := s.sells(t, "weather", 0)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { ask(h, alice, "L402-Client", nonce(1)) })
		}
		synctest.Wait()
		close(s.node.hold)
		wg.Wait()
		if s.node.added != 1 {
			t.Errorf("%d invoices", s.node.added)
		}
	})
}

// TestBound has few networks flood a full shop while others buy.
func TestBound(t *testing.T) {
	const bound = 30
	journal := newSellerJournal()
	s := newShop(t, l402http.SellerConfig{MaxOpen: bound, Journal: journal})
	h := s.sells(t, "weather", 0)
	var wg sync.WaitGroup
	for network := range 3 {
		for i := range 100 {
			wg.Go(func() { ask(h, fmt.Sprintf("10.0.%d.%d:1", network, i)) })
		}
	}
	wg.Wait()
	resp := ask(h, "10.0.1.250:1")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if b := read(t, resp); b.Error.Code != "too_many_unpaid" {
		t.Errorf("code %q", b.Error.Code)
	}
	added := s.node.added
	honest := map[string]l402.Credential{}
	for i := range 7 {
		addr := fmt.Sprintf("203.0.%d.1:1", i)
		first := ask(h, addr)
		for n := range 20 {
			ask(h, fmt.Sprintf("10.0.%d.1:1", n%3))
		}
		honest[addr] = s.node.pay(t, first)
	}
	for addr, c := range honest {
		if got := ask(h, addr, authorization(c)...).StatusCode; got != http.StatusOK {
			t.Errorf("honest %s: %d", addr, got)
		}
	}
	if s.node.peak > bound {
		t.Errorf("%d invoices were open at once, the bound is %d", s.node.peak, bound)
	}
	if s.node.canceled == 0 || len(journal.dropped) != s.node.canceled {
		t.Errorf("%d cancelled, %d journalled", s.node.canceled, len(journal.dropped))
	}
	if len(journal.minted) != s.node.added || added < bound {
		t.Errorf("%d journalled, %d made", len(journal.minted), s.node.added)
	}
}

// TestVictim has a newcomer push out the oldest invoice of the network that
// has most, though another network's is older.
func TestVictim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, l402http.SellerConfig{MaxOpen: 4})
		h := s.sells(t, "weather", 0)
		tick := func() { time.Sleep(time.Second) }
		older := ask(h, "203.0.113.1:1")
		var heavy []*http.Response
		for i := range 3 {
			tick()
			heavy = append(heavy, ask(h, alice, "L402-Client", nonce(byte(i))))
		}
		tick()
		s.node.cancelHold = make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { ask(h, "198.51.100.1:1") })
		synctest.Wait()
		if again := ask(h, alice, "L402-Client", nonce(0)); again.StatusCode != http.StatusTooManyRequests {
			t.Errorf("while its invoice is being cancelled: %d", again.StatusCode)
		}
		close(s.node.cancelHold)
		wg.Wait()
		if s.node.canceled != 1 {
			t.Errorf("%d cancelled", s.node.canceled)
		}
		for _, resp := range append(heavy[1:], older) {
			s.node.pay(t, resp)
		}
	})
}

// TestNetworkExchangesItsOwn: whoever does not pay keeps others of his network
// out for a minute, and not until his invoices expire.
func TestNetworkExchangesItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 3
		s := newShop(t, l402http.SellerConfig{MaxOpen: bound})
		h := s.sells(t, "weather", 0)
		first := ask(h, alice)
		time.Sleep(20 * time.Second)
		ask(h, alice)
		ask(h, alice)
		resp := ask(h, alice)
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "40" {
			t.Fatalf("full: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		time.Sleep(40 * time.Second)
		bought := ask(h, alice)
		if bought.StatusCode != http.StatusPaymentRequired || s.node.canceled != 1 || s.node.peak > bound {
			t.Errorf("after a minute: %d, %d cancelled, %d open at once", bought.StatusCode, s.node.canceled, s.node.peak)
		}
		if again := ask(h, alice); again.StatusCode != http.StatusTooManyRequests || again.Header.Get("Retry-After") != "20" {
			t.Errorf("another: %d, Retry-After %q", again.StatusCode, again.Header.Get("Retry-After"))
		}
		if got := ask(h, alice, authorization(s.node.pay(t, bought))...).StatusCode; got != http.StatusOK {
			t.Errorf("paid: %d", got)
		}
		challenges, err := l402.ParseChallenges(first.Header)
		if err != nil {
			t.Fatal(err)
		}
		if preimage := s.node.invoices[challenges[0].Invoice]; s.node.open[preimage.Hash()] {
			t.Error("the oldest can still be paid")
		}
	})
}

func TestExpiredInvoicesMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, l402http.SellerConfig{MaxOpen: 2, InvoiceExpiry: time.Minute})
		h := s.sells(t, "weather", 0)
		ask(h, alice)
		time.Sleep(10 * time.Second)
		ask(h, alice)
		resp := ask(h, alice)
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "50" {
			t.Errorf("full: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		time.Sleep(56 * time.Second)
		if got := ask(h, alice).StatusCode; got != http.StatusPaymentRequired {
			t.Errorf("after one expired: %d", got)
		}
		if got := ask(h, alice).StatusCode; got != http.StatusTooManyRequests {
			t.Errorf("full again: %d", got)
		}
		if s.seller.OpenInvoices() != 2 {
			t.Errorf("%d open", s.seller.OpenInvoices())
		}
	})
}

func TestNodeAway(t *testing.T) {
	journal := newSellerJournal()
	s := newShop(t, l402http.SellerConfig{MaxOpen: 2, Journal: journal})
	h := s.sells(t, "weather", 0)
	paid := s.node.pay(t, ask(h, alice))
	s.node.readyErr = errNode
	resp := ask(h, alice)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d", resp.StatusCode)
	}
	if b := read(t, resp); b.Error.Code != "seller_unavailable" {
		t.Errorf("code %q", b.Error.Code)
	}
	if got := ask(h, alice, authorization(paid)...).StatusCode; got != http.StatusOK {
		t.Errorf("a valid token: %d", got)
	}
	if len(journal.minted) != 1 {
		t.Errorf("%d journalled while the node was known to be away", len(journal.minted))
	}

	// The node refuses, and nothing remains.
	s.node.readyErr, s.node.addErr = nil, errNode
	if got := ask(h, alice).StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("status %d", got)
	}
	if s.seller.OpenInvoices() != 0 || len(journal.dropped) != 1 {
		t.Errorf("%d open, %d dropped", s.seller.OpenInvoices(), len(journal.dropped))
	}

	// Nobody knows what became of the invoices: they count until cancelled.
	s.node.cancelErr = errNode
	for range 2 {
		ask(h, alice, "L402-Client", nonce(1))
	}
	if s.seller.OpenInvoices() != 2 {
		t.Errorf("%d open", s.seller.OpenInvoices())
	}
	if got := ask(h, "203.0.113.1:1").StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("status %d", got)
	}
	s.node.addErr, s.node.cancelErr = nil, nil
	if got := ask(h, "203.0.113.1:1").StatusCode; got != http.StatusPaymentRequired {
		t.Errorf("after the node came back: %d", got)
	}
}

func TestNothingIsMadeThatIsNotRecorded(t *testing.T) {
	journal := newSellerJournal()
	journal.err = errNode
	s := newShop(t, l402http.SellerConfig{Journal: journal})
	if got := ask(s.sells(t, "weather", 0), alice).StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("status %d", got)
	}
	if s.node.added != 0 || s.seller.OpenInvoices() != 0 {
		t.Errorf("%d made, %d open", s.node.added, s.seller.OpenInvoices())
	}
}

// TestClientGoesAway cancels the request while its invoice is being made: the
// invoice stays in the book.
func TestClientGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, l402http.SellerConfig{})
		s.node.hold = make(chan struct{})
		h := s.sells(t, "weather", 0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		leaver := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r.WithContext(ctx)) })
		wg.Go(func() { ask(leaver, alice, "L402-Client", nonce(1)) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		if s.seller.OpenInvoices() != 1 {
			t.Error("the books were closed before the node had answered")
		}
		close(s.node.hold)
		wg.Wait()
		if got := invoice(t, ask(h, alice, "L402-Client", nonce(1))); got != "lnbcrt1" || s.node.added != 1 || s.seller.OpenInvoices() != 1 {
			t.Errorf("got %s, %d made, %d open", got, s.node.added, s.seller.OpenInvoices())
		}
	})
}

func TestRestore(t *testing.T) {
	journal := newSellerJournal()
	keys := sellerKeys(t)
	first := newShop(t, l402http.SellerConfig{Keys: keys, Journal: journal})
	before := invoice(t, ask(first.sells(t, "weather", 0), alice, "L402-Client", nonce(1)))
	ask(first.sells(t, "weather", 0), alice, "L402-Client", nonce(2))

	preimage := first.node.invoices[before]
	var open []l402http.OpenChallenge
	for _, c := range journal.minted {
		if c.Hash == preimage.Hash() {
			c.Invoice = before
		}
		open = append(open, c)
	}
	second := newShop(t, l402http.SellerConfig{Keys: keys, MaxOpen: 3, Invoicer: first.node})
	var unknown []l402http.OpenChallenge
	for _, c := range open {
		c.Invoice = ""
		unknown = append(unknown, c)
	}
	second.seller.Restore(unknown)
	second.seller.Restore(open)
	second.seller.Restore(unknown)
	if second.seller.OpenInvoices() != 2 {
		t.Errorf("%d open", second.seller.OpenInvoices())
	}
	h := second.sells(t, "weather", 0)
	if got := invoice(t, ask(h, alice, "L402-Client", nonce(1))); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
	if got := invoice(t, ask(h, alice, "L402-Client", nonce(2))); got == before {
		t.Error("a challenge of another client")
	}
	paid := first.node.pay(t, ask(h, alice, "L402-Client", nonce(1)))
	if got := ask(h, alice, authorization(paid)...).StatusCode; got != http.StatusOK {
		t.Errorf("paid after the restart: %d", got)
	}
}
