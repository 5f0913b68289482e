package l402http_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// TestManyTokensOfOneOrigin buys more than one request ever tries, from a
// seller whose tokens say nothing: what is paid for is always presented too.
func TestManyTokensOfOneOrigin(t *testing.T) {
	m := newMarket(t)
	m.NoCaveats = true
	for i := range 12 {
		m.mustGet(t, fmt.Sprintf("/a/%d", i))
		m.wantPayments(t, i+1)
	}
	for i := range 12 {
		m.mustGet(t, fmt.Sprintf("/a/%d", i))
	}
	m.wantPayments(t, 12)
}

// TestManyTokensAndOnePending: that a request has tried enough does not make it
// forget a payment whose outcome it learns.
func TestManyTokensAndOnePending(t *testing.T) {
	m := newMarket(t)
	m.NoCaveats = true
	for i := range 7 {
		m.mustGet(t, fmt.Sprintf("/a/%d", i))
	}
	m.wallet.After = func(context.Context) error { return errBroken }
	m.buyer.Wallet = blind{m.wallet}
	_, _, err := m.get(t, "/b")
	wantCode(t, err, l402http.CodePaymentUnresolved)
	m.buyer.Wallet = m.wallet
	m.mustGet(t, "/b")
	m.wantPayments(t, 8)
}

// TestTokenIsKeptUntilItIsReplaced: a purchase that fails costs no token.
func TestTokenIsKeptUntilItIsReplaced(t *testing.T) {
	t.Run("ok/refused for a while", func(t *testing.T) {
		m := newMarket(t)
		m.mustGet(t, "/a")
		m.Refuse = func(*http.Request) bool { return true }
		m.buyer.MaxCost = 99_000
		_, _, err := m.get(t, "/a")
		wantCode(t, err, l402http.CodeOverMaxCost)
		m.Refuse = nil
		m.mustGet(t, "/a")
		m.wantPayments(t, 1)
	})
	t.Run("ok/the clock was ahead for a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ledger := fetchtest.Ledger(t.TempDir())
			m := &market{Seller: fetchtest.NewSeller(ledger), store: &l402http.MemoryStore{}, url: "http://shop"}
			m.ValidFor = time.Hour
			m.buyer = &l402http.Transport{Base: tripper{m.Seller}, Wallet: &fetchtest.Wallet{Ledger: ledger},
				Store: m.store, Network: "regtest", MaxCost: 1000_000}
			m.mustGet(t, "/a")
			time.Sleep(2 * time.Hour)
			m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, r *http.Request) {
				challenge(t, s, w, r, fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage(),
					Created: time.Now().Add(-2 * time.Hour)}) // the seller's clock is right
			}
			_, _, err := m.get(t, "/a")
			wantCode(t, err, l402http.CodeInvoiceExpired)
			if s := m.states(t); s[l402http.StatePaid] != 1 {
				t.Errorf("states %v", s)
			}
		})
	})
}

// TestRefusedWithoutAChallenge: 401 alone says that the token is no longer
// good; what to pay is asked for without it.
func TestRefusedWithoutAChallenge(t *testing.T) {
	for name, fresh := range map[string]bool{"ok/accepted before": false, "fail/never accepted": true} {
		t.Run(name, func(t *testing.T) {
			m := newMarket(t)
			if !fresh {
				m.mustGet(t, "/a")
			}
			paid := m.Ledger.Payments()
			bad := map[string]bool{}
			if !fresh {
				bad[m.Requests()[1].Authorization] = true
			}
			m.Refuse = func(r *http.Request) bool { return fresh || bad[r.Header.Get("Authorization")] }
			m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				challenge(t, s, w, r, fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage()})
			}
			if fresh {
				_, _, err := m.get(t, "/a")
				wantCode(t, err, l402http.CodeTokenRefused)
			} else {
				m.mustGet(t, "/a")
			}
			m.wantPayments(t, paid+1)
		})
	}
}

// TestInvoiceOfAnotherPurchase: an invoice that another purchase has, from
// this origin or another, is not bought: its token would be lost, its preimage
// told to a stranger, and its price counted twice.
func TestInvoiceOfAnotherPurchase(t *testing.T) {
	again := func(t *testing.T, m *market, first l402http.Purchase) {
		m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, _ *http.Request) {
			token, err := s.Token(first.Hash, "a")
			if err == nil {
				err = l402.WriteChallenge(w.Header(), token, first.Invoice)
			}
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusPaymentRequired)
		}
	}
	bought := func(t *testing.T) (*market, l402http.Purchase) {
		m := newMarket(t)
		m.mustGet(t, "/a")
		held, err := m.store.Load(m.origin(t))
		if err != nil || len(held) != 1 {
			t.Fatal(held, err)
		}
		return m, held[0]
	}
	t.Run("fail/of this origin", func(t *testing.T) {
		m, first := bought(t)
		again(t, m, first)
		m.Refuse = func(*http.Request) bool { return true }
		_, _, err := m.get(t, "/a")
		wantCode(t, err, l402http.CodeInvoiceReused)
		m.Refuse = nil
		m.mustGet(t, "/a")
		m.wantPayments(t, 1)
	})
	t.Run("fail/of another origin", func(t *testing.T) {
		m, first := bought(t)
		thief := newMarket(t)
		again(t, thief, first)
		thief.buyer = m.buyer
		_, _, err := thief.get(t, "/a")
		wantCode(t, err, l402http.CodeInvoiceReused)
		for _, r := range thief.Requests() {
			if r.Authorization != "" {
				t.Error("the thief was told the preimage")
			}
		}
		if p, err := m.store.Load(thief.origin(t)); err != nil || len(p) != 0 {
			t.Errorf("journalled %v, %v", p, err)
		}
	})
	t.Run("ok/of a purchase that failed", func(t *testing.T) {
		m := newMarket(t)
		i := fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage()}
		text, hash, err := i.Encode()
		if err != nil || m.Ledger.Publish(i.Preimage) != nil {
			t.Fatal(err)
		}
		again(t, m, l402http.Purchase{Hash: hash, Invoice: text})
		m.wallet.Before = func(context.Context) error { return l402http.ErrNothingSent }
		_, _, err = m.get(t, "/a")
		wantCode(t, err, l402http.CodePaymentFailed)
		m.wallet.Before = nil
		m.mustGet(t, "/a")
		m.wantPayments(t, 1)
	})
}

// TestJustExpiredOverTodaysLimit: to a node whose clock is behind ours the old
// invoice may be good, so that the limit holds for it.
func TestJustExpiredOverTodaysLimit(t *testing.T) {
	m := newMarket(t)
	pendingFrom(t, m, time.Now().Add(-time.Hour-30*time.Second))
	m.buyer.MaxCost = 99_000
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodeOverMaxCost)
	m.wantPayments(t, 0)

	m.buyer.MaxCost = 100_000
	no := errors.New("no")
	m.buyer.Approve = func(context.Context, l402http.Offer) error { return no }
	if _, _, err := m.get(t, "/a"); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	m.wantPayments(t, 0)
}

// dripping is a body that never ends, a byte a second.
type dripping struct {
	closed chan struct{}
	close  func()
}

func newDripping() dripping {
	closed := make(chan struct{})
	return dripping{closed, sync.OnceFunc(func() { close(closed) })}
}

func (d dripping) Read(b []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		b[0] = '.'
		return 1, nil
	case <-d.closed:
		return 0, io.ErrClosedPipe
	}
}

func (d dripping) Close() error { d.close(); return nil }

// TestChallengeThatNeverEnds pays and goes on although the body of the 402
// keeps dripping.
func TestChallengeThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := fetchtest.Ledger(t.TempDir())
		m := &market{Seller: fetchtest.NewSeller(ledger), store: &l402http.MemoryStore{}, url: "http://shop"}
		base := tripper{m.Seller}
		m.buyer = &l402http.Transport{Wallet: &fetchtest.Wallet{Ledger: ledger}, Store: m.store, Network: "regtest",
			MaxCost: 1000_000, Base: roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(r)
				if err == nil && resp.StatusCode == http.StatusPaymentRequired {
					resp.Body = newDripping()
				}
				return resp, err
			})}
		start := time.Now()
		m.mustGet(t, "/a")
		if took := time.Since(start); took > time.Minute {
			t.Errorf("waited %s for the rest of a 402", took)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSellerThatTurns accepts a token once and refuses it ever after, with 401
// and 402 by turns: each run buys at most once, and says so in the end.
func TestSellerThatTurns(t *testing.T) {
	m := newMarket(t)
	seen := map[string]int{}
	m.Refuse = func(r *http.Request) bool {
		a := r.Header.Get("Authorization")
		seen[a]++
		return seen[a] > 1
	}
	turn := 0
	m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, r *http.Request) {
		if turn++; turn%2 == 0 && strings.Contains(r.Header.Get("Authorization"), ":") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		challenge(t, s, w, r, fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage()})
	}
	for i := range 4 {
		if _, _, err := m.get(t, "/a"); err != nil {
			t.Fatal(err)
		}
		if paid := m.Ledger.Payments(); paid > i+1 {
			t.Fatalf("run %d: %d payments", i+1, paid)
		}
	}
}

// TestInFlightOfAnotherThingDoesNotBlock: a payment that a seller holds, or that
// a node has lost track of, stops what it was for and nothing else.
func TestInFlightOfAnotherThingDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := fetchtest.Ledger(t.TempDir())
		m := &market{Seller: fetchtest.NewSeller(ledger), store: &l402http.MemoryStore{}, url: "http://shop"}
		m.buyer = &l402http.Transport{Base: tripper{m.Seller}, Wallet: slow{}, Store: m.store, Network: "regtest", MaxCost: 1000_000}
		_, _, err := m.get(t, "/a")
		wantCode(t, err, l402http.CodePaymentUnresolved)
		m.buyer.Wallet = holding{&fetchtest.Wallet{Ledger: ledger}}
		m.mustGet(t, "/b")
		_, _, err = m.get(t, "/a")
		wantCode(t, err, l402http.CodePaymentUnresolved)
		if s := m.states(t); s[l402http.StatePending] != 1 || s[l402http.StatePaid] != 1 {
			t.Errorf("states %v", s)
		}
		m.wantPayments(t, 1)
	})
}

// holding is a wallet that pays, while what it did before stays under way.
type holding struct{ *fetchtest.Wallet }

func (holding) Track(ctx context.Context, _ lntypes.Hash) (l402http.Receipt, error) {
	return slow{}.Track(ctx, lntypes.Hash{})
}

// TestTokenThatIsOverBeforeItIsBought: a seller whose tokens say that they are
// over, or are by the time they are refused, is paid once at most for a request.
func TestTokenThatIsOverBeforeItIsBought(t *testing.T) {
	t.Run("fail/over in the challenge", func(t *testing.T) {
		m := newMarket(t)
		m.ValidFor = -time.Hour
		_, _, err := m.get(t, "/a")
		wantCode(t, err, l402http.CodeBadChallenge)
		m.wantPayments(t, 0)
	})
	t.Run("fail/over when it is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ledger := fetchtest.Ledger(t.TempDir())
			m := &market{Seller: fetchtest.NewSeller(ledger), store: &l402http.MemoryStore{}, url: "http://shop"}
			m.ValidFor = 3 * time.Second
			m.Refuse = func(*http.Request) bool { time.Sleep(5 * time.Second); return true }
			m.buyer = &l402http.Transport{Base: tripper{m.Seller}, Wallet: &fetchtest.Wallet{Ledger: ledger},
				Store: m.store, Network: "regtest", MaxCost: 1000_000}
			_, _, err := m.get(t, "/a")
			wantCode(t, err, l402http.CodeTokenRefused)
			m.wantPayments(t, 1)
		})
	})
	t.Run("fail/left open until it was over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ledger := fetchtest.Ledger(t.TempDir())
			m := &market{Seller: fetchtest.NewSeller(ledger), store: &l402http.MemoryStore{}, url: "http://shop"}
			m.ValidFor = time.Minute
			wallet := &fetchtest.Wallet{Ledger: ledger, Before: func(context.Context) error { return errBroken }}
			m.buyer = &l402http.Transport{Base: tripper{m.Seller}, Wallet: wallet, Store: m.store, Network: "regtest", MaxCost: 1000_000}
			_, _, err := m.get(t, "/a")
			wantCode(t, err, l402http.CodePaymentUnresolved)
			wallet.Before = nil
			time.Sleep(2 * time.Minute)
			_, _, err = m.get(t, "/a")
			wantCode(t, err, l402http.CodePaymentUnresolved)
			m.wantPayments(t, 0)
			time.Sleep(2 * time.Hour)
			m.mustGet(t, "/a")
			m.wantPayments(t, 1)
		})
	})
}

// TestApprovalThatTakesTooLong: what has expired while the user thought about it
// is not paid.
func TestApprovalThatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := fetchtest.Ledger(t.TempDir())
		m := &market{Seller: fetchtest.NewSeller(ledger), store: &l402http.MemoryStore{}, url: "http://shop"}
		m.buyer = &l402http.Transport{Base: tripper{m.Seller}, Wallet: &fetchtest.Wallet{Ledger: ledger},
			Store: m.store, Network: "regtest", MaxCost: 1000_000,
			Approve: func(context.Context, l402http.Offer) error { time.Sleep(2 * time.Hour); return nil }}
		_, _, err := m.get(t, "/a")
		wantCode(t, err, l402http.CodeInvoiceExpired)
		m.wantPayments(t, 0)
	})
}
