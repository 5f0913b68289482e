package l402http_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
	"github.com/leydenln/leyden/l402/mpp"
)

func newTill(t *testing.T) (*fetchtest.Till, *market) {
	t.Helper()
	m := newMarket(t)
	s := fetchtest.NewTill(m.wallet.Ledger)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	m.url = server.URL
	return s, m
}

func TestPaymentBuysOneRequest(t *testing.T) {
	_, m := newTill(t)
	var steps []string
	m.buyer.Trace = func(e l402http.Event) { steps = append(steps, fmt.Sprint(e.Step, e.Err != nil)) }
	m.mustGet(t, "/a")
	if got := strings.Join(steps, " "); got != "requestfalse journalfalse paymentfalse storefalse requestfalse receiptfalse" {
		t.Errorf("steps: %s", got)
	}
	m.wantPayments(t, 1)
	m.mustGet(t, "/a")
	m.wantPayments(t, 2)
	if held, err := m.store.Load(m.origin(t)); err != nil || len(held) != 0 {
		t.Errorf("held: %+v, %v", held, err)
	}
}

func TestPreferredScheme(t *testing.T) {
	for name, prefer := range map[string]l402.Scheme{"ok/L402": "", "ok/Payment": l402http.SchemeOfPayment} {
		t.Run(name, func(t *testing.T) {
			s, m := newTill(t)
			m.buyer.Prefer = prefer
			r := httptest.NewRequest(http.MethodGet, "/a", nil)
			s.Besides = func(h http.Header) {
				token, invoice, err := m.Mint(r, fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage()})
				if err == nil {
					err = l402.WriteChallenge(h, token, invoice)
				}
				if err != nil {
					t.Error(err)
				}
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.url+"/a", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := m.buyer.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			m.wantPayments(t, 1)
			held, err := m.store.Load(m.origin(t))
			if err != nil || (len(held) == 1 && !held[0].SingleUse()) == (prefer == l402http.SchemeOfPayment) {
				t.Errorf("%+v, %v", held, err)
			}
		})
	}
}

func TestLyingPaymentChallenges(t *testing.T) {
	tests := map[string]struct {
		change func(*fetchtest.Till)
		code   string
	}{
		"fail/amount":    {func(s *fetchtest.Till) { s.LieCharge = func(c *mpp.Charge) { c.Amount = 1 } }, l402http.CodeInvoiceMismatch},
		"fail/fraction":  {func(s *fetchtest.Till) { s.Invoice.Amount = 100_500 }, l402http.CodeInvoiceMismatch},
		"fail/dear":      {func(s *fetchtest.Till) { s.Invoice.Amount = 5_000_000 }, l402http.CodeInvoiceMismatch},
		"fail/no amount": {func(s *fetchtest.Till) { s.Invoice.Amount = 0 }, l402http.CodeNoAmount},
		"fail/hash":      {func(s *fetchtest.Till) { s.LieCharge = func(c *mpp.Charge) { c.Hash = &lntypes.Hash{1} } }, l402http.CodeInvoiceMismatch},
		"fail/network":   {func(s *fetchtest.Till) { s.LieCharge = func(c *mpp.Charge) { c.Network = "mainnet" } }, l402http.CodeInvoiceMismatch},
		"fail/expired":   {func(s *fetchtest.Till) { s.Lie = func(c *mpp.Challenge) { c.Expires = "2020-01-01T00:00:00Z" } }, l402http.CodeInvoiceExpired},
		"fail/old invoice": {func(s *fetchtest.Till) {
			s.Invoice.Created, s.Invoice.Expiry = time.Now().Add(-time.Hour), time.Minute
		}, l402http.CodeInvoiceExpired},
		"fail/garbage": {func(s *fetchtest.Till) { s.LieCharge = func(c *mpp.Charge) { c.Invoice = "lnbcrt1nonsense" } }, l402http.CodeBadInvoice},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, m := newTill(t)
			tt.change(s)
			_, _, err := m.get(t, "/a")
			wantCode(t, err, tt.code)
			m.wantPayments(t, 0)
		})
	}
}

func TestPaymentOverTheLimit(t *testing.T) {
	_, m := newTill(t)
	m.buyer.MaxCost = 99_000
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodeOverMaxCost)
	m.wantPayments(t, 0)
}

// TestPaymentOfAnotherKind: what is not spoken here comes back as it is, and
// ReadOffer says why.
func TestPaymentOfAnotherKind(t *testing.T) {
	for name, tt := range map[string]struct {
		lie  func(*mpp.Challenge)
		code string
	}{
		"fail/session":   {func(c *mpp.Challenge) { c.Intent = "session" }, l402http.CodeSchemeUnsupported},
		"fail/method":    {func(c *mpp.Challenge) { c.Method = "card" }, l402http.CodeSchemeUnsupported},
		"fail/digest":    {func(c *mpp.Challenge) { c.Digest = "sha-256=:x:" }, l402http.CodeSchemeUnsupported},
		"fail/currency":  {func(c *mpp.Challenge) { c.Request = "e30" }, l402http.CodeSchemeUnsupported},
		"fail/malformed": {func(c *mpp.Challenge) { c.Request = "+" }, l402http.CodeBadChallenge},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := newTill(t)
			s.Lie = tt.lie
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.url+"/a", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := m.buyer.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusPaymentRequired {
				t.Errorf("%s", resp.Status)
			}
			m.wantPayments(t, 0)
			_, ok, err := m.buyer.ReadOffer(resp, "")
			if ok {
				t.Error("an offer")
			}
			wantCode(t, err, tt.code)
		})
	}
}

// TestCredentialIsKept: what was paid for and not delivered is presented again,
// and nothing is paid a second time.
func TestCredentialIsKept(t *testing.T) {
	breakOff := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	tests := map[string]func(w http.ResponseWriter, r *http.Request){
		"ok/500":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"ok/429":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"ok/502":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"ok/broken off":  breakOff,
		"ok/not charged": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("L402-Charged", "no"); w.WriteHeader(429) },
	}
	for name, fails := range tests {
		t.Run(name, func(t *testing.T) {
			s, m := newTill(t)
			good := s.Deliver
			s.Deliver = fails
			if status, _, err := m.get(t, "/a"); err == nil && status == 200 {
				t.Fatal("delivered")
			}
			s.Deliver = good
			s.Restore()
			m.mustGet(t, "/a")
			m.wantPayments(t, 1)
			m.mustGet(t, "/a")
			m.wantPayments(t, 2)
		})
	}
}

func TestCredentialIsNotForAnotherPath(t *testing.T) {
	s, m := newTill(t)
	good := s.Deliver
	s.Deliver = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	if _, _, err := m.get(t, "/a"); err != nil {
		t.Fatal(err)
	}
	s.Deliver = good
	s.Restore()
	m.mustGet(t, "/b")
	m.wantPayments(t, 2)
	m.mustGet(t, "/a")
	m.wantPayments(t, 2)
}

// TestCredentialUsedUpAndNotDelivered: a seller that took the money and gave
// nothing is not paid again by itself.
func TestCredentialUsedUpAndNotDelivered(t *testing.T) {
	s, m := newTill(t)
	s.Deliver = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	if _, _, err := m.get(t, "/a"); err != nil {
		t.Fatal(err)
	}
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodeTokenRefused)
	m.wantPayments(t, 1)
}

func TestCredentialAnsweredWithAnErrorOfTheBuyer(t *testing.T) {
	s, m := newTill(t)
	s.Deliver = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	for n := range 2 {
		if status, _, err := m.get(t, "/a"); err != nil || status != http.StatusNotFound {
			t.Fatalf("%d, %v", status, err)
		}
		m.wantPayments(t, n+1)
	}
}

// getAtOnce has that many requests answered at the same time.
func (m *market) getAtOnce(t *testing.T, n int, path string) {
	t.Helper()
	var buyers sync.WaitGroup
	for range n {
		buyers.Go(func() {
			if status, text, err := m.get(t, path); err != nil || status != 200 {
				t.Errorf("%d %q, %v", status, text, err)
			}
		})
	}
	buyers.Wait()
}

func TestPaymentsAtOnce(t *testing.T) {
	_, m := newTill(t)
	m.getAtOnce(t, 8, "/a")
	m.wantPayments(t, 8)
}

// TestPaymentCutShort: an outcome that got lost is asked for, and what was paid
// for is used.
func TestPaymentCutShort(t *testing.T) {
	_, m := newTill(t)
	m.wallet.After = func(context.Context) error { return errors.New("the line went dead") }
	m.buyer.Wallet = deaf{m.wallet}
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentUnresolved)
	m.wallet.After = nil
	m.buyer.Wallet = m.wallet
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
}

// deaf is a wallet that hears of no outcome.
type deaf struct{ *fetchtest.Wallet }

func (deaf) Track(context.Context, lntypes.Hash) (l402http.Receipt, error) {
	return l402http.Receipt{}, errors.New("no answer")
}

func TestPaymentFails(t *testing.T) {
	_, m := newTill(t)
	m.wallet.Before = func(context.Context) error { return l402http.ErrNothingSent }
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodePaymentFailed)
	m.wallet.Before = nil
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
}

// TestKeptCredentialServesOne: of many that could use it one does; the others
// pay for themselves.
func TestKeptCredentialServesOne(t *testing.T) {
	s, m := newTill(t)
	good := s.Deliver
	s.Deliver = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	if _, _, err := m.get(t, "/a"); err != nil {
		t.Fatal(err)
	}
	s.Deliver = good
	s.Restore()
	m.getAtOnce(t, 8, "/a")
	m.wantPayments(t, 8)
}

// TestKeptCredentialWhilePayingIsOff: asking for a price uses nothing up.
func TestKeptCredentialWhilePayingIsOff(t *testing.T) {
	s, m := newTill(t)
	good := s.Deliver
	s.Deliver = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	if _, _, err := m.get(t, "/a"); err != nil {
		t.Fatal(err)
	}
	s.Deliver = good
	s.Restore()
	off := &l402http.Transport{Base: m.buyer.Base, Store: m.store}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.url+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := off.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusPaymentRequired || s.Used() != 0 {
		t.Errorf("%s, %d used up", resp.Status, s.Used())
	}
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
}

func TestReceiptForAnotherPayment(t *testing.T) {
	s, m := newTill(t)
	good := s.Deliver
	s.Deliver = func(w http.ResponseWriter, r *http.Request) {
		if err := (mpp.Receipt{Hash: lntypes.Hash{1}, Time: time.Now()}).Write(w.Header()); err != nil {
			t.Error(err)
		}
		good(w, r)
	}
	var receipts []error
	m.buyer.Trace = func(e l402http.Event) {
		if e.Step == "receipt" {
			receipts = append(receipts, e.Err)
		}
	}
	m.mustGet(t, "/a")
	if len(receipts) != 1 || receipts[0] == nil {
		t.Errorf("receipts: %v", receipts)
	}
	m.wantPayments(t, 1)
}

// TestPaymentLeftOpenTooLong: a challenge that has expired before its invoice is
// not paid, and nothing in its place as long as it may be.
func TestPaymentLeftOpenTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := fetchtest.Ledger(t.TempDir())
		till := fetchtest.NewTill(ledger)
		m := &market{Seller: fetchtest.NewSeller(ledger), store: &l402http.MemoryStore{}, url: "http://shop"}
		wallet := &fetchtest.Wallet{Ledger: ledger, Before: func(context.Context) error { return errBroken }}
		m.buyer = &l402http.Transport{Base: tripper{till}, Wallet: wallet, Store: m.store, Network: "regtest", MaxCost: 1000_000}
		till.Lie = func(c *mpp.Challenge) { c.Expires = time.Now().Add(time.Minute).UTC().Format(time.RFC3339) }
		_, _, err := m.get(t, "/a")
		wantCode(t, err, l402http.CodePaymentUnresolved)
		wallet.Before, till.Lie = nil, nil
		time.Sleep(2 * time.Minute)
		_, _, err = m.get(t, "/a")
		wantCode(t, err, l402http.CodePaymentUnresolved)
		m.wantPayments(t, 0)
		time.Sleep(2 * time.Hour)
		m.mustGet(t, "/a")
		m.wantPayments(t, 1)
	})
}

// signing is a node whose invoices can be paid from a ledger.
type signing struct{ ledger fetchtest.Ledger }

func (s signing) AddInvoice(_ context.Context, inv l402http.NewInvoice) (string, error) {
	text, _, err := fetchtest.Invoice{Amount: inv.Amount, Preimage: inv.Preimage}.Encode()
	return text, errors.Join(err, s.ledger.Publish(inv.Preimage))
}

func (signing) CancelInvoice(context.Context, lntypes.Hash) error { return nil }

// newOurSeller is a market whose seller is ours, which gives an unpaid challenge
// to the same buyer again.
func newOurSeller(t *testing.T) *market {
	t.Helper()
	m := newMarket(t)
	shop := newShop(t, l402http.SellerConfig{Invoicer: signing{m.Ledger}, Redemptions: newUsed(), Network: "regtest"})
	h, err := shop.seller.Handler(both("weather", 100_000), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "goods of %s", r.URL.Path)
	}))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	m.url, m.buyer.Prefer = server.URL, l402http.SchemeOfPayment
	return m
}

// TestPaymentsAtOnceFromOurSeller: one challenge is for all requests that a buyer
// makes at once, and one of them pays for it.
func TestPaymentsAtOnceFromOurSeller(t *testing.T) {
	m := newOurSeller(t)
	m.getAtOnce(t, 8, "/a")
	m.wantPayments(t, 8)
	if held, err := m.store.Load(m.origin(t)); err != nil || len(held) != 0 {
		t.Errorf("held: %+v, %v", held, err)
	}
}

// TestPaymentLeftOpenForAnotherPath: what is asked for the same invoice again is
// the same purchase.
func TestPaymentLeftOpenForAnotherPath(t *testing.T) {
	m := newOurSeller(t)
	m.wallet.Before = func(context.Context) error { return errBroken }
	_, _, err := m.get(t, "/b")
	wantCode(t, err, l402http.CodePaymentUnresolved)
	m.wallet.Before = nil
	m.mustGet(t, "/a")
	m.wantPayments(t, 1)
	m.mustGet(t, "/b")
	m.wantPayments(t, 2)
}

// forgetful cannot set aside what is spent, as when the disk is full.
type forgetful struct{ l402http.Store }

func (s forgetful) Save(p l402http.Purchase) error {
	if p.State == l402http.StateSpent {
		return errors.New("no space left on device")
	}
	return s.Store.Save(p)
}

// TestCredentialThatCouldNotBeSetAside: the seller has delivered for it, and is
// not blamed for refusing it afterwards.
func TestCredentialThatCouldNotBeSetAside(t *testing.T) {
	_, m := newTill(t)
	store := m.store
	m.buyer.Store = forgetful{store}
	m.mustGet(t, "/a")
	m.buyer.Store = store
	m.mustGet(t, "/a")
	m.wantPayments(t, 2)
	if held, err := store.Load(m.origin(t)); err != nil || len(held) != 0 {
		t.Errorf("held: %+v, %v", held, err)
	}
}
