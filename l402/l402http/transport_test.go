package l402http_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// market is a seller, a wallet, and a buyer between them.
type market struct {
	*fetchtest.Seller
	url    string
	wallet *fetchtest.Wallet
	store  *l402http.MemoryStore
	buyer  *l402http.Transport
}

func newMarket(t *testing.T) *market {
	t.Helper()
	ledger := fetchtest.Ledger(t.TempDir())
	m := &market{Seller: fetchtest.NewSeller(ledger), wallet: &fetchtest.Wallet{Ledger: ledger}, store: &l402http.MemoryStore{}}
	server := httptest.NewServer(m.Seller)
	t.Cleanup(server.Close)
	m.url = server.URL
	m.buyer = &l402http.Transport{Base: &http.Transport{}, Wallet: m.wallet, Store: m.store,
		Network: "regtest", MaxCost: 1000_000, MaxFee: 10_000, PaymentTimeout: time.Second}
	return m
}

func (m *market) origin(t *testing.T) l402http.Origin {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, m.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l402http.OriginOf(req.URL)
}

// do sends a request through the buyer, redirects not followed.
func (m *market) do(t *testing.T, req *http.Request) (status int, text string, err error) {
	t.Helper()
	resp, err := m.buyer.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (m *market) get(t *testing.T, path string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m.do(t, req)
}

func (m *market) mustGet(t *testing.T, path string) {
	t.Helper()
	status, text, err := m.get(t, path)
	if err != nil || status != 200 || !strings.HasPrefix(text, "goods of "+path) {
		t.Fatalf("get %s: %d %q, %v", path, status, text, err)
	}
}

func (m *market) wantPayments(t *testing.T, n int) {
	t.Helper()
	if got := m.Ledger.Payments(); got != n {
		t.Fatalf("%d payments, want %d", got, n)
	}
}

func wantCode(t *testing.T, err error, code string) *l402http.Error {
	t.Helper()
	var e *l402http.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
	return e
}

func TestPaysOnceAndKeepsTheToken(t *testing.T) {
	m := newMarket(t)
	for range 3 {
		m.mustGet(t, "/news/today")
	}
	m.mustGet(t, "/news/other")
	m.wantPayments(t, 1)
	seen := m.Requests()
	if len(seen) != 5 || seen[0].Authorization != "" || seen[1].Authorization == "" || seen[0].Client == "" ||
		seen[0].Client != seen[4].Client {
		t.Errorf("requests: %+v", seen)
	}
	for _, s := range seen[1:] {
		if s.Remote != seen[0].Remote {
			t.Errorf("another connection for %s", s.Path)
		}
	}
}

func TestNoCredentialLeavesThroughTheResponse(t *testing.T) {
	m := newMarket(t)
	m.mustGet(t, "/a")
	req, err := http.NewRequest(http.MethodGet, m.url+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := m.buyer.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(resp.Request.Header) != 0 || len(req.Header) != 0 {
		t.Errorf("headers %v, %v", resp.Request.Header, req.Header)
	}
}

func TestFreeIsFree(t *testing.T) {
	m := newMarket(t)
	m.buyer.Wallet = nil
	m.mustGet(t, "/free")
	m.wantPayments(t, 0)
}

func TestBodyIsSentAgain(t *testing.T) {
	const sent = `{"query":"x"}`
	hide := func(r io.Reader) io.Reader { return struct{ io.Reader }{r} }
	cases := map[string]io.Reader{
		"ok/GetBody":  strings.NewReader(sent),
		"ok/buffered": hide(strings.NewReader(sent)),
	}
	for name, body := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMarket(t)
			req, err := http.NewRequest(http.MethodPost, m.url+"/search", body)
			if err != nil {
				t.Fatal(err)
			}
			status, text, err := m.do(t, req)
			if err != nil || status != 200 || !strings.Contains(text, "you sent "+sent) {
				t.Fatalf("%d %q %v", status, text, err)
			}
			for _, s := range m.Requests() {
				if s.Body != sent {
					t.Errorf("an attempt sent %q", s.Body)
				}
			}
		})
	}
	t.Run("fail/too large to keep", func(t *testing.T) {
		m := newMarket(t)
		req, err := http.NewRequest(http.MethodPost, m.url+"/search", hide(strings.NewReader(strings.Repeat("x", 2<<20))))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = m.do(t, req)
		wantCode(t, err, l402http.CodeBodyNotReplayable)
		m.wantPayments(t, 0)
	})
}

func TestServicesOfOneOrigin(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprintf("tokens say nothing %t", bare), func(t *testing.T) {
			m := newMarket(t)
			m.NoCaveats = bare
			for range 2 {
				m.mustGet(t, "/a/x")
				m.mustGet(t, "/b/y")
			}
			m.wantPayments(t, 2)
		})
	}
}

func TestTokenStaysAtItsOrigin(t *testing.T) {
	m := newMarket(t)
	m.mustGet(t, "/a")
	other := newMarket(t)
	other.buyer = m.buyer
	other.buyer.MaxCost = 0
	_, _, err := other.get(t, "/a")
	wantCode(t, err, l402http.CodeOverMaxCost)
	if seen := other.Requests(); len(seen) != 1 || seen[0].Authorization != "" || seen[0].Client == m.Requests()[0].Client {
		t.Errorf("the other origin saw %+v", seen)
	}
}

func TestOwnAuthorizationIsLeftAlone(t *testing.T) {
	m := newMarket(t)
	req, err := http.NewRequest(http.MethodGet, m.url+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer x")
	if status, _, err := m.do(t, req); err != nil || status != http.StatusPaymentRequired {
		t.Fatalf("%d %v", status, err)
	}
	if seen := m.Requests(); len(seen) != 1 || seen[0].Authorization != "Bearer x" {
		t.Errorf("saw %+v", seen)
	}
	m.wantPayments(t, 0)
}

func TestWithoutWalletTheAnswerComesBack(t *testing.T) {
	m := newMarket(t)
	m.buyer.Wallet = nil
	req, err := http.NewRequest(http.MethodGet, m.url+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := m.buyer.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	offer, ok, err := l402http.ReadOffer(resp, "")
	if err != nil || !ok || offer.Amount != 100_000 || offer.Network != "regtest" || offer.Description != "goods" {
		t.Fatalf("%+v %t %v", offer, ok, err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "pay first\n" {
		t.Errorf("body %q", b)
	}
}

func TestManyAtOnceBuyOnce(t *testing.T) {
	m := newMarket(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if status, _, err := m.get(t, "/a"); err != nil || status != 200 {
				t.Errorf("%d %v", status, err)
			}
		})
	}
	wg.Wait()
	m.wantPayments(t, 1)
}

func TestRefusedTokens(t *testing.T) {
	t.Run("fail/fresh token refused is not paid again", func(t *testing.T) {
		m := newMarket(t)
		m.Refuse = func(*http.Request) bool { return true }
		for range 3 {
			_, _, err := m.get(t, "/a")
			wantCode(t, err, l402http.CodeTokenRefused)
		}
		m.wantPayments(t, 1)
	})
	t.Run("fail/not even for a service of another name", func(t *testing.T) {
		m := newMarket(t)
		n := 0
		m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, r *http.Request) {
			n++
			r.URL.Path = fmt.Sprintf("/service%d", n)
			challenge(t, s, w, r, fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage()})
		}
		for range 3 {
			_, _, err := m.get(t, "/a")
			wantCode(t, err, l402http.CodeTokenRefused)
		}
		m.wantPayments(t, 1)
	})
	t.Run("ok/accepted once, then bought anew", func(t *testing.T) {
		m := newMarket(t)
		m.mustGet(t, "/a")
		old := m.Requests()[1].Authorization
		m.Refuse = func(r *http.Request) bool { return r.Header.Get("Authorization") == old }
		m.mustGet(t, "/a")
		m.mustGet(t, "/a")
		m.wantPayments(t, 2)
		active, err := m.store.Load(m.origin(t))
		if err != nil || len(active) != 1 {
			t.Errorf("%d tokens left, %v", len(active), err)
		}
	})
	t.Run("ok/expired is noticed before it is sent", func(t *testing.T) {
		m := newMarket(t)
		m.ValidFor = time.Second
		m.mustGet(t, "/a")
		p, err := m.store.Load(m.origin(t))
		if err != nil || len(p) != 1 || p[0].Expired(time.Now().Add(-time.Minute)) || !p[0].Expired(time.Now().Add(2*time.Second)) {
			t.Fatalf("%+v %v", p, err)
		}
	})
	t.Run("ok/401 with a challenge, as the specification has it", func(t *testing.T) {
		m := newMarket(t)
		m.mustGet(t, "/a")
		old := m.Requests()[1].Authorization
		m.Refuse = func(r *http.Request) bool { return r.Header.Get("Authorization") == old }
		m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, r *http.Request) {
			token, invoice, err := s.Mint(r, fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage()})
			if err != nil || l402.WriteChallenge(w.Header(), token, invoice) != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusUnauthorized)
		}
		m.mustGet(t, "/a")
		m.wantPayments(t, 2)
	})
}

func TestApproveHasTheLastWord(t *testing.T) {
	m := newMarket(t)
	no := errors.New("no")
	m.buyer.Approve = func(_ context.Context, o l402http.Offer) error {
		if o.Amount != 100_000 || o.URL != m.url+"/a" {
			t.Errorf("offer %+v", o)
		}
		return no
	}
	if _, _, err := m.get(t, "/a"); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	m.wantPayments(t, 0)
}

// challenge writes a challenge for the invoice.
func challenge(t *testing.T, s *fetchtest.Seller, w http.ResponseWriter, r *http.Request, i fetchtest.Invoice) {
	t.Helper()
	token, invoice, err := s.Mint(r, i)
	if err == nil {
		err = l402.WriteChallenge(w.Header(), token, invoice)
	}
	if err != nil {
		t.Error(err)
	}
	w.WriteHeader(http.StatusPaymentRequired)
}
