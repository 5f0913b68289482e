package l402http_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// paperNode writes invoices that nobody can pay.
type paperNode struct{}

func (paperNode) AddInvoice(context.Context, l402http.NewInvoice) (string, error) {
	return "lnbcrt1paper", nil
}

func (paperNode) CancelInvoice(context.Context, lntypes.Hash) error { return nil }

// A handler that charges 100 sat.
func ExampleSeller_Handler() {
	master, err := l402.NewMasterKey(rand.Reader) // keep it: it verifies what it minted
	if err != nil {
		panic(err)
	}
	keys, err := l402.NewKeyring(master)
	if err != nil {
		panic(err)
	}
	seller, err := l402http.NewSeller(l402http.SellerConfig{Keys: keys, Invoicer: paperNode{}})
	if err != nil {
		panic(err)
	}
	forecast := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "sunny") })
	paid, err := seller.Handler(l402http.Sale{Service: "weather", Price: 100_000}, forecast)
	if err != nil {
		panic(err)
	}

	w := httptest.NewRecorder()
	paid.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/forecast", nil))
	fmt.Println(w.Code, http.StatusText(w.Code))
	// Output: 402 Payment Required
}

// A handler that charges only for what is not a sample.
func ExampleSeller_Judge() {
	master, err := l402.NewMasterKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys, err := l402.NewKeyring(master)
	if err != nil {
		panic(err)
	}
	seller, err := l402http.NewSeller(l402http.SellerConfig{Keys: keys, Invoicer: paperNode{}})
	if err != nil {
		panic(err)
	}
	sale := l402http.Sale{Service: "weather", Price: 100_000}
	if err := seller.Check(sale); err != nil {
		panic(err)
	}
	forecast := l402http.Anonymous(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "sunny") }))
	shop := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := seller.Judge(r, sale)
		if v.Paid {
			v = seller.Redeem(r.Context(), sale, v)
		}
		if !v.Paid && r.URL.Path != "/sample" {
			seller.Challenge(w, r, sale, v)
			return
		}
		seller.Pass(w, r, v, forecast, nil)
	})

	for _, path := range []string{"/sample", "/forecast"} {
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /sample 200
	// /forecast 402
}

// lndClient is the shape of a client of lnd: its AddInvoice and CancelInvoice
// calls.
type lndClient interface {
	AddInvoice(ctx context.Context, in lndInvoice) (lndInvoice, error)
	CancelInvoice(ctx context.Context, hash lntypes.Hash) error
}

type lndInvoice struct {
	Memo           string
	Value          lnwire.MilliSatoshi
	Expiry         time.Duration
	Preimage       lntypes.Preimage
	PaymentRequest string
}

// lndInvoicer makes an Invoicer of it.
type lndInvoicer struct{ lndClient }

func (l lndInvoicer) AddInvoice(ctx context.Context, n l402http.NewInvoice) (string, error) {
	made, err := l.lndClient.AddInvoice(ctx, lndInvoice{
		Memo: n.Memo, Value: n.Amount, Expiry: n.Expiry, Preimage: n.Preimage})
	return made.PaymentRequest, err
}

// scriptedLnd answers like a node.
type scriptedLnd struct{}

func (scriptedLnd) AddInvoice(_ context.Context, in lndInvoice) (lndInvoice, error) {
	in.PaymentRequest = fmt.Sprintf("lnbcrt%dn1%s", in.Value/100, in.Memo)
	return in, nil
}

func (scriptedLnd) CancelInvoice(context.Context, lntypes.Hash) error { return nil }

// A seller whose invoices come from lnd.
func ExampleInvoicer() {
	var node l402http.Invoicer = lndInvoicer{scriptedLnd{}}
	invoice, err := node.AddInvoice(context.Background(),
		l402http.NewInvoice{Memo: "weather", Amount: 100_000, Expiry: time.Hour})
	fmt.Println(invoice, err)
	// Output: lnbcrt1000n1weather <nil>
}
