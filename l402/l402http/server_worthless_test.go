package l402http_test

import (
	"crypto/rand"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
	"github.com/leydenln/leyden/l402/mpp"
)

// asked is what a 402 asks for, of either scheme: the invoice, and the id by
// which it is revoked.
func asked(t *testing.T, resp *http.Response) (invoice string, id l402.TokenID) {
	t.Helper()
	if c, err := l402.ParseChallenges(resp.Header); err == nil && len(c) > 0 {
		minted, err := c[0].Tokens[0].Identifier()
		if err != nil {
			t.Fatal(err)
		}
		return c[0].Invoice, minted.TokenID
	}
	c, err := mpp.ParseChallenges(resp.Header)
	if err != nil || len(c) == 0 {
		t.Fatalf("status %d, challenges %v, %v", resp.StatusCode, c, err)
	}
	charge, err := c[0].Charge()
	if err != nil {
		t.Fatal(err)
	}
	return charge.Invoice, l402.TokenID(*charge.Hash)
}

// TestNobodyPaysForAWorthlessToken: a challenge whose token opens nothing any
// more is not given again, and its invoice can no longer be paid.
func TestNobodyPaysForAWorthlessToken(t *testing.T) {
	keys := func() (old, next l402.MasterKey) {
		old, err := l402.NewMasterKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if next, err = l402.NewMasterKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
		return old, next
	}
	ring := func(current l402.MasterKey, older ...l402.MasterKey) *l402.Keyring {
		r, err := l402.NewKeyring(current, older...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, c := range map[string]struct {
		drop, revoke bool
		worthless    bool
		schemes      l402http.Schemes
	}{
		"fail/key retired":                {drop: true, worthless: true},
		"fail/key retired, Payment alone": {drop: true, worthless: true, schemes: l402http.SchemePayment},
		"fail/revoked, Payment alone":     {revoke: true, worthless: true, schemes: l402http.SchemePayment},
		"ok/key kept, Payment alone":      {schemes: l402http.SchemePayment},
		"fail/revoked":                    {revoke: true, worthless: true},
		"ok/key kept":                     {},
	} {
		t.Run(name, func(t *testing.T) {
			old, next := keys()
			revoked := map[l402.TokenID]bool{}
			journal := newSellerJournal()
			cfg := l402http.SellerConfig{Keys: ring(old), Journal: journal, Redemptions: newUsed(),
				Revoked: func(id l402.TokenID) bool { return revoked[id] }}
			s := newShop(t, cfg)
			h := s.offers(t, l402http.Sale{Service: "weather", Price: 100_000, Schemes: c.schemes})
			first := ask(h, alice, "L402-Client", nonce(1))
			invoice, id := asked(t, first)
			revoked[id] = c.revoke
			cfg.Invoicer, cfg.Keys = s.node, ring(next, old)
			if c.drop {
				cfg.Keys = ring(next)
			}
			if err := s.seller.Update(cfg); err != nil {
				t.Fatal(err)
			}
			if again, _ := asked(t, ask(h, alice, "L402-Client", nonce(1))); (again != invoice) != c.worthless {
				t.Errorf("given %s after %s", again, invoice)
			}
			s.node.cancelErr = errNode
			if err := s.seller.Withdraw(t.Context(), nil); (err != nil) != c.worthless {
				t.Errorf("without a node: %v", err)
			}
			s.node.cancelErr = nil
			open := s.seller.OpenInvoices()
			if err := s.seller.Withdraw(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if c.worthless {
				if s.node.canceled != 1 || len(journal.dropped) != 1 || s.seller.OpenInvoices() != open-1 {
					t.Errorf("%d cancelled, %d open", s.node.canceled, s.seller.OpenInvoices())
				}
				first = ask(h, alice, "L402-Client", nonce(1))
			}
			presented := func() []string {
				if c.schemes == l402http.SchemePayment {
					return payment(t, s.payPayment(t, first))
				}
				return authorization(s.node.pay(t, first))
			}
			if got := ask(h, alice, presented()...).StatusCode; got != http.StatusOK {
				t.Errorf("what is paid for: %d", got)
			}
		})
	}
}

// TestBoundWhileTheNodeCancelsNothing: exchanges that fail leave the book as it
// was, whoever asks meanwhile.
func TestBoundWhileTheNodeCancelsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 5
		s := newShop(t, l402http.SellerConfig{MaxOpen: bound})
		h := s.sells(t, "weather", 0)
		for i := range bound {
			ask(h, alice, "L402-Client", nonce(byte(i)))
			time.Sleep(time.Second)
		}
		s.node.cancelErr = errNode
		for range 20 {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() { ask(h, "198.51.100.1:1", "L402-Client", nonce(byte(100+i))) })
				wg.Go(func() { ask(h, alice, "L402-Client", nonce(byte(i%bound))) })
			}
			wg.Wait()
		}
		if got := s.seller.OpenInvoices(); got != bound || s.node.added != bound {
			t.Errorf("%d open, %d made, the bound is %d", got, s.node.added, bound)
		}
	})
}
