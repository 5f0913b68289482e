package l402http_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402/l402http"
)

var errBroken = errors.New("the connection broke")

func (m *market) states(t *testing.T) map[l402http.State]int {
	t.Helper()
	held, err := m.store.Load(m.origin(t))
	if err != nil {
		t.Fatal(err)
	}
	states := map[l402http.State]int{}
	for _, p := range held {
		states[p.State]++
	}
	return states
}

// blind is a wallet that cannot look anything up.
type blind struct{ *fetchtest.Wallet }

func (blind) Track(context.Context, lntypes.Hash) (l402http.Receipt, error) {
	return l402http.Receipt{}, errBroken
}

// named is a wallet that says which node it is.
type named struct {
	l402http.Wallet
	node string
	err  error
}

func (n named) Node(context.Context) (string, error) { return n.node, n.err }

func TestAnotherNodeIsNotAsked(t *testing.T) {
	m := newMarket(t)
	lost := blind{m.wallet}
	m.wallet.After = func(context.Context) error { return errBroken }
	m.buyer.Wallet = named{lost, "02aa", nil}
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentUnresolved)
	m.wallet.After = nil

	stranger := newMarket(t).wallet
	for _, w := range []named{{stranger, "02bb", nil}, {stranger, "", errBroken}} {
		m.buyer.Wallet = w
		_, _, err = m.get(t, "/a")
		wantCode(t, err, l402http.CodePaymentUnresolved)
		if s := m.states(t); s[l402http.StatePending] != 1 || len(s) != 1 {
			t.Fatalf("purchases %v", s)
		}
	}

	m.buyer.Wallet = named{m.wallet, "tls:ab", nil} // says nothing of 02aa
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
}

func TestNothingIsBegunWithoutANode(t *testing.T) {
	m := newMarket(t)
	m.buyer.Wallet = named{m.wallet, "", errBroken}
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentFailed)
	if s := m.states(t); len(s) != 0 {
		t.Errorf("open purchases %v", s)
	}
}

func TestPaymentFailed(t *testing.T) {
	m := newMarket(t)
	m.wallet.Before = func(context.Context) error { return l402http.ErrNothingSent }
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentFailed)
	if s := m.states(t); len(s) != 0 {
		t.Errorf("open purchases %v", s)
	}
	m.wallet.Before = nil
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
}

func TestAnswerOfPaymentLost(t *testing.T) {
	m := newMarket(t)
	m.wallet.After = func(context.Context) error { return errBroken }
	m.mustGet(t, "/a") // tracked at once
	m.wantPayments(t, 1)
}

func TestOutcomeUnknownThenRecovered(t *testing.T) {
	m := newMarket(t)
	m.wallet.After = func(context.Context) error { return errBroken }
	m.buyer.Wallet = blind{m.wallet}
	for range 3 {
		_, _, err := m.get(t, "/a")
		wantCode(t, err, l402http.CodePaymentUnresolved)
		if !errors.Is(err, errBroken) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
	if s := m.states(t); s[l402http.StatePending] != 1 || len(s) != 1 {
		t.Fatalf("states %v", s)
	}
	m.buyer.Wallet = m.wallet
	minted := m.Minted()
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
	if m.Minted() != minted+1 {
		t.Errorf("%d challenges for a recovered token", m.Minted()-minted)
	}
}

// TestNeverReachedTheWallet pays the old invoice, not a new one: the request
// may still be on its way.
func TestNeverReachedTheWallet(t *testing.T) {
	m := newMarket(t)
	m.wallet.Before = func(context.Context) error { return errBroken }
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentUnresolved)
	held, err := m.store.Load(m.origin(t))
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	m.wallet.Before = nil
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
	if _, err := m.Ledger.Track(held[0].Hash); err != nil {
		t.Errorf("another invoice was paid: %v", err)
	}
}

func TestOldInvoiceOverTodaysLimit(t *testing.T) {
	m := newMarket(t)
	m.wallet.Before = func(context.Context) error { return errBroken }
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentUnresolved)
	m.wallet.Before, m.buyer.MaxCost = nil, 99_000
	_, _, err = m.get(t, "/a")
	wantCode(t, err, l402http.CodeOverMaxCost)
	m.wantPayments(t, 0)
}

func TestUnresolvedOfAnotherServiceDoesNotBlock(t *testing.T) {
	m := newMarket(t)
	m.wallet.Before = func(context.Context) error { return errBroken }
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentUnresolved)
	m.wallet.Before = nil
	m.mustGet(t, "/b")
	m.wantPayments(t, 1)
	if s := m.states(t); s[l402http.StatePending] != 1 || s[l402http.StatePaid] != 1 {
		t.Errorf("states %v", s)
	}
}

// TestGivenUpWhenExpired: never sent, and its invoice long expired.
func TestGivenUpWhenExpired(t *testing.T) {
	m := newMarket(t)
	old := pendingFrom(t, m, time.Now().Add(-2*time.Hour))
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
	if _, err := m.Ledger.Track(old); err == nil {
		t.Error("an expired invoice was paid")
	}
	if s := m.states(t); s[l402http.StatePending] != 0 {
		t.Errorf("states %v", s)
	}
}

// TestJustExpired: the wallet is asked once more, refuses, and only then
// another invoice is bought.
func TestJustExpired(t *testing.T) {
	m := newMarket(t)
	old := pendingFrom(t, m, time.Now().Add(-time.Hour-30*time.Second))
	asked := 0
	m.wallet.Before = func(context.Context) error {
		if asked++; asked == 1 {
			return l402http.ErrNothingSent // as lnd does with an expired one
		}
		return nil
	}
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
	if _, err := m.Ledger.Track(old); err == nil || asked != 2 {
		t.Errorf("asked %d times, old one paid: %t", asked, err == nil)
	}
}

// pendingFrom leaves a purchase behind that never reached the wallet.
func pendingFrom(t *testing.T, m *market, created time.Time) lntypes.Hash {
	t.Helper()
	i := fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage(), Created: created}
	text, hash, err := i.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Ledger.Publish(i.Preimage); err != nil {
		t.Fatal(err)
	}
	token, err := m.Token(hash, "a")
	if err != nil {
		t.Fatal(err)
	}
	p := l402http.Purchase{Origin: m.origin(t), Path: "/a", State: l402http.StatePending, Scheme: "L402",
		Invoice: text, Hash: hash, Amount: i.Amount, Created: created}
	p.Credential.Tokens = append(p.Credential.Tokens, token)
	if err := m.store.Save(p); err != nil {
		t.Fatal(err)
	}
	return hash
}

// slow is a wallet whose payments stay under way.
type slow struct{}

func (slow) Pay(ctx context.Context, _ l402http.Payment) (l402http.Receipt, error) {
	<-ctx.Done()
	return l402http.Receipt{}, ctx.Err()
}

func (slow) Track(ctx context.Context, _ lntypes.Hash) (l402http.Receipt, error) {
	<-ctx.Done()
	return l402http.Receipt{}, ctx.Err()
}

// tripper answers without a network, so that time can be false.
type tripper struct{ h http.Handler }

func (r tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w.Result(), nil
}

func TestInFlightIsWaitedForThenLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := fetchtest.Ledger(t.TempDir())
		m := &market{Seller: fetchtest.NewSeller(ledger), store: &l402http.MemoryStore{}, url: "http://shop"}
		m.buyer = &l402http.Transport{Base: tripper{m.Seller}, Wallet: slow{}, Store: m.store, Network: "regtest",
			MaxCost: 1000_000, PaymentTimeout: 20 * time.Second}
		for range 2 {
			start := time.Now()
			_, _, err := m.get(t, "/a")
			wantCode(t, err, l402http.CodePaymentUnresolved)
			if took := time.Since(start); took < 20*time.Second || took > 30*time.Second {
				t.Errorf("waited %s", took)
			}
		}
		if s := m.states(t); s[l402http.StatePending] != 1 || len(s) != 1 {
			t.Errorf("states %v", s)
		}
		m.buyer.Wallet = &fetchtest.Wallet{Ledger: ledger}
		pending, err := m.buyer.Recover(t.Context(), m.origin(t))
		if len(pending) != 1 || !errors.Is(err, l402http.ErrPaymentUnknown) {
			t.Errorf("recover: %v, %v", pending, err)
		}
	})
}

func TestWrongPreimageIsNoPayment(t *testing.T) {
	m := newMarket(t)
	m.buyer.Wallet = liar{}
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentUnresolved)
	if s := m.states(t); s[l402http.StatePending] != 1 {
		t.Errorf("states %v", s)
	}
}

// liar says that it paid.
type liar struct{}

func (liar) Pay(context.Context, l402http.Payment) (l402http.Receipt, error) {
	return l402http.Receipt{}, nil
}

func (liar) Track(context.Context, lntypes.Hash) (l402http.Receipt, error) {
	return l402http.Receipt{}, nil
}

// full is a store that is full from the n-th save on.
type full struct {
	*l402http.MemoryStore
	left int
}

var errFull = errors.New("no space left")

func (f *full) Save(p l402http.Purchase) error {
	if f.left--; f.left < 0 {
		return errFull
	}
	return f.MemoryStore.Save(p)
}

func TestFullDisk(t *testing.T) {
	t.Run("fail/no journal, no payment", func(t *testing.T) {
		m := newMarket(t)
		m.buyer.Store = &full{m.store, 0}
		if _, _, err := m.get(t, "/a"); !errors.Is(err, errFull) {
			t.Errorf("got %v", err)
		}
		m.wantPayments(t, 0)
	})
	t.Run("ok/paid but not stored: used now, recovered later", func(t *testing.T) {
		m := newMarket(t)
		m.buyer.Store = &full{m.store, 1}
		m.mustGet(t, "/a")
		if s := m.states(t); s[l402http.StatePending] != 1 {
			t.Errorf("states %v", s)
		}
		m.buyer.Store = m.store
		m.mustGet(t, "/a")
		m.wantPayments(t, 1)
	})
}
