package fetch

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// dealer is a shop whose goods may fail.
type dealer struct {
	*shop
	client *Client
	fail   func(w http.ResponseWriter) // instead of the goods
	server *httptest.Server
}

func newDealer(t *testing.T, change func(*Config)) *dealer {
	t.Helper()
	d := &dealer{shop: newShop(t)}
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.fail == nil {
			d.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		if d.ServeHTTP(answer, r); answer.Code == http.StatusOK {
			d.fail(w)
			return
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
	}))
	t.Cleanup(d.server.Close)
	c, w := newClient(t, change)
	w.Ledger = d.Ledger
	d.client = c
	return d
}

func (d *dealer) get(t *testing.T, path string) (warnings string, err error) {
	t.Helper()
	var heard []string
	res, err := d.client.Do(t.Context(), Request{URL: d.server.URL + path, Follow: true, Out: io.Discard,
		Warn: func(s string) { heard = append(heard, s) }})
	if res != nil && strings.Join(res.Warnings, "\n") != strings.Join(heard, "\n") {
		t.Errorf("heard %q, told %q", heard, res.Warnings)
	}
	d.client.spent = 0
	return strings.Join(heard, "\n"), err
}

func (d *dealer) memory(t *testing.T) Memory {
	t.Helper()
	m, err := d.client.Store().Memory(l402http.Origin(d.server.URL))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func expect(t *testing.T, what, warnings string, err error, code string, words ...string) {
	t.Helper()
	if err != nil && fault.Code(err) != code || err == nil && code != "" {
		t.Errorf("%s: %v, want %q", what, err, code)
	}
	for _, w := range words {
		if !strings.Contains(warnings, w) {
			t.Errorf("%s: warned %q, want %q", what, warnings, w)
		}
	}
	if len(words) == 0 && warnings != "" {
		t.Errorf("%s: warned %q", what, warnings)
	}
}

// TestMemoryOfDelivery follows an origin that delivers, fails, and delivers again.
func TestMemoryOfDelivery(t *testing.T) {
	d := newDealer(t, nil)
	warnings, err := d.get(t, "/a")
	expect(t, "the first time", warnings, err, "")
	if m := d.memory(t); m.Paid != 1 || m.Delivered != 1 || m.Failed != 0 || m.Owes != "" || len(m.Prices) != 1 || m.Prices[0].What != "a" {
		t.Errorf("%+v", m)
	}
	d.fail = func(w http.ResponseWriter) {
		w.Header().Set(l402.HeaderCharged, l402.ChargedNo)
		w.WriteHeader(http.StatusBadGateway)
	}
	warnings, err = d.get(t, "/b")
	expect(t, "it fails", warnings, err, CodeHTTPError)
	if !strings.Contains(fault.Hint(err), "costs nothing") {
		t.Errorf("hint %q", fault.Hint(err))
	}
	if m := d.memory(t); m.Paid != 2 || m.Delivered != 1 || m.Failed != 1 || m.Owes != "status 502" {
		t.Errorf("%+v", m)
	}
	d.fail = nil
	warnings, err = d.get(t, "/c")
	expect(t, "paid again", warnings, err, "", "did not deliver: status 502 (paid 2 times, failed 1 times)")
	warnings, err = d.get(t, "/d")
	expect(t, "it has delivered since", warnings, err, "")

	// What was paid for is delivered later, with nothing paid.
	d.fail = func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }
	warnings, err = d.get(t, "/e")
	expect(t, "it fails again", warnings, err, CodeHTTPError)
	d.fail = nil
	payments := d.Ledger.Payments()
	warnings, err = d.get(t, "/e")
	expect(t, "it delivers late", warnings, err, "")
	if m := d.memory(t); m.Owes != "" || m.Delivered != 4 || m.Failed != 2 || d.Ledger.Payments() != payments {
		t.Errorf("%+v, %d payments", m, d.Ledger.Payments()-payments)
	}
}

// TestMemoryOfRedirects: who leads on delivers, whatever happens there.
func TestMemoryOfRedirects(t *testing.T) {
	d := newDealer(t, nil)
	d.fail = func(w http.ResponseWriter) {
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(http.StatusFound)
	}
	_, err := d.get(t, "/a")
	if m := d.memory(t); fault.Code(err) != CodeNetwork || m.Delivered != 1 || m.Failed != 0 {
		t.Errorf("%v, %+v", err, m)
	}
	d.fail = func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	_, err = d.get(t, "/b")
	if m := d.memory(t); fault.Code(err) != CodeNetwork || m.Delivered != 1 || m.Failed != 1 || m.Owes != "the answer broke off" {
		t.Errorf("%v, %+v", err, m)
	}
}

// TestMemoryOfPrices: what was previewed or bought against what is asked now.
func TestMemoryOfPrices(t *testing.T) {
	d := newDealer(t, nil)
	d.client.transport.Wallet, d.client.cfg.L402.AutoPay = nil, false
	warnings, err := d.get(t, "/a")
	expect(t, "the preview", warnings, err, CodePaymentRequired)
	if m := d.memory(t); m.Paid != 0 || len(m.Prices) != 1 || m.Prices[0].Msat != 100_000 || m.Prices[0].Paid {
		t.Errorf("%+v", m)
	}
	d.client.transport.Wallet = &fetchtest.Wallet{Ledger: d.Ledger}
	d.Price = 150_500
	warnings, err = d.get(t, "/a")
	expect(t, "risen", warnings, err, "", `the price of "a"`, "has risen from 100 to 150.5 sat since it was previewed")
	for _, p := range mustAll(t, d) {
		if err := d.client.Store().Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	d.Price = 100_000
	warnings, err = d.get(t, "/a")
	expect(t, "fallen", warnings, err, "", "has fallen from 150.5 to 100 sat since it was bought")
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	d.Payee = key
	warnings, err = d.get(t, "/b")
	expect(t, "another payee", warnings, err, "", "wants to be paid at another node")
	warnings, err = d.get(t, "/c")
	expect(t, "and again", warnings, err, "")
}

func mustAll(t *testing.T, d *dealer) []l402http.Purchase {
	t.Helper()
	all, err := d.client.Store().All()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestMemoryRefuses: on_warning: refuse pays nobody it would warn of.
func TestMemoryRefuses(t *testing.T) {
	d := newDealer(t, func(c *Config) { c.L402.OnWarning = OnWarningRefuse })
	if _, err := d.get(t, "/a"); err != nil {
		t.Fatal(err)
	}
	path, err := d.client.store.memoryPath(l402http.Origin(d.server.URL))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Memory){
		"fail/owes":   func(m *Memory) { m.settle("status 500", time.Now()) },
		"fail/risen":  func(m *Memory) { m.price(Price{What: "b", Msat: 99_000}) },
		"fail/payee":  func(m *Memory) { m.Payee = strings.Repeat("0", 66) },
		"fail/broken": nil,
		"ok/fallen":   func(m *Memory) { m.price(Price{What: "b", Msat: 101_000}) },
	} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code := CodeWarned
		switch {
		case change == nil:
			err = os.WriteFile(path, []byte("{"), 0o600)
		default:
			err = d.client.store.Remember(l402http.Origin(d.server.URL), change)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "ok/") {
			code = ""
		}
		_, err = d.get(t, "/b")
		if err != nil && fault.Code(err) != code || err == nil && code != "" {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, p := range mustAll(t, d) {
			if p.Path == "/b" {
				_ = d.client.Store().Remove(p)
			}
		}
	}
	if n := d.Ledger.Payments(); n != 2 {
		t.Errorf("%d payments, want the first and the fallen price's", n)
	}
}

// TestMemoryIsBounded, and private.
func TestMemoryIsBounded(t *testing.T) {
	s := NewFileStore(filepath.Join(t.TempDir(), "tokens"))
	o := l402http.Origin("https://shop.example:443")
	err := s.Remember(o, func(m *Memory) {
		for i := range 1000 {
			m.price(Price{What: fmt.Sprint(i), Msat: 1})
		}
		m.price(Price{What: "999", Msat: 2})
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Memory(o)
	if err != nil || len(m.Prices) != maxPrices || m.Prices[maxPrices-1].Msat != 2 || m.Prices[maxPrices-2].What != "998" {
		t.Errorf("%d prices, %v", len(m.Prices), err)
	}
	path, _ := s.memoryPath(o)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if all, err := s.All(); err != nil || len(all) != 0 {
		t.Errorf("the memory is read as a token: %v, %v", all, err)
	}
	if long := whatOf(l402http.Offer{URL: "http://a/" + strings.Repeat("x", 10_000)}); len(long) > maxWhat {
		t.Errorf("%d bytes of a path", len(long))
	}
	for i := range maxOrigins + 1 {
		if err := os.Mkdir(filepath.Join(s.dir, fmt.Sprint(i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if !s.crowded("https://another.example:443") || s.crowded(o) {
		t.Error("prices of ever more origins would be remembered")
	}
}

// TestIdempotencyKey: paid once per origin and key, whatever the seller does.
func TestIdempotencyKey(t *testing.T) {
	d := newDealer(t, nil)
	get := func(path, key string) error {
		d.client.spent = 0
		_, err := d.client.Do(t.Context(), Request{URL: d.server.URL + path, Out: io.Discard, IdempotencyKey: key})
		return err
	}
	w := d.client.transport.Wallet.(*fetchtest.Wallet)
	for i, step := range []struct {
		path, key, code string
		payments        int
		before          func()
	}{
		{"/a", "k", "", 1, nil},
		{"/a", "k", "", 1, nil},                // its token
		{"/b", "k", CodeAlreadyBought, 1, nil}, // another service
		{"/b", "l", "", 2, nil},                // another key
		{"/c", "m", l402http.CodePaymentFailed, 2, func() { w.Ledger = fetchtest.Ledger(t.TempDir()) }},
		{"/c", "m", "", 3, func() { w.Ledger = d.Ledger }}, // that one failed
		{"/a", "k", CodeAlreadyBought, 3, func() { d.Refuse = func(*http.Request) bool { return true } }},
	} {
		if step.before != nil {
			step.before()
		}
		err := get(step.path, step.key)
		if err != nil && fault.Code(err) != step.code || err == nil && step.code != "" {
			t.Errorf("%d: %v, want %q", i, err, step.code)
		}
		if n := d.Ledger.Payments(); n != step.payments {
			t.Errorf("%d: %d payments, want %d", i, n, step.payments)
		}
	}
	for _, seen := range d.Requests() {
		if seen.Header.Get("Idempotency-Key") == "" {
			t.Error("a request without the key")
		}
	}
}
