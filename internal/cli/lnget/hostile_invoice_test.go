package lnget_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402/l402http"
)

var quiet = log.New(io.Discard, "", 0)

// charge answers 402 with that invoice and a token for hash, or for the
// invoice's own when hash is nil; more is added to the challenge.
func (v *victim) charge(w http.ResponseWriter, r *http.Request, i fetchtest.Invoice, hash *lntypes.Hash, change func(invoice string) string) {
	i.Preimage = fetchtest.NewPreimage()
	text, own, err := i.Encode()
	if err != nil {
		panic(err)
	}
	if err := v.ledger.Publish(i.Preimage); err != nil {
		panic(err)
	}
	if hash == nil {
		hash = &own
	}
	token, err := v.seller.Token(*hash, "news")
	if err != nil {
		panic(err)
	}
	if change != nil {
		text = change(text)
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`L402 macaroon="%s", invoice="%s", amount="1", price="1"`, token.Base64(), text))
	w.WriteHeader(http.StatusPaymentRequired)
	fmt.Fprint(w, `{"amount": 1, "price_sat": 1}`)
}

// TestHostileInvoices: what is paid is decided by the signed invoice alone.
func TestHostileInvoices(t *testing.T) {
	const sat = 1000
	cases := map[string]struct {
		invoice fetchtest.Invoice
		hash    *lntypes.Hash
		change  func(string) string
		network string
		exit    int
		code    string
	}{
		"lying amount":           {fetchtest.Invoice{Amount: 5000 * sat}, nil, nil, "", 2, l402http.CodeOverMaxCost},
		"one msat over":          {fetchtest.Invoice{Amount: 1000*sat + 1}, nil, nil, "", 2, l402http.CodeOverMaxCost},
		"two bitcoins":           {fetchtest.Invoice{Amount: 200_000_000 * sat}, nil, nil, "", 2, l402http.CodeOverMaxCost},
		"two bitcoins, mainnet":  {fetchtest.Invoice{Amount: 200_000_000 * sat, Net: &chaincfg.MainNetParams}, nil, nil, "mainnet", 2, l402http.CodeOverMaxCost},
		"two bitcoins, signet":   {fetchtest.Invoice{Amount: 200_000_000 * sat, Net: &chaincfg.SigNetParams}, nil, nil, "signet", 2, l402http.CodeOverMaxCost},
		"amount beyond 64 bits":  {fetchtest.Invoice{Amount: 2 * sat}, nil, amountOf("99999999999999999999"), "", 1, l402http.CodeBadInvoice},
		"no amount":              {fetchtest.Invoice{}, nil, nil, "", 1, l402http.CodeNoAmount},
		"of signet":              {fetchtest.Invoice{Amount: 2 * sat, Net: &chaincfg.SigNetParams}, nil, nil, "", 1, l402http.CodeWrongNetwork},
		"of mainnet":             {fetchtest.Invoice{Amount: 2 * sat, Net: &chaincfg.MainNetParams}, nil, nil, "", 1, l402http.CodeWrongNetwork},
		"of testnet, for signet": {fetchtest.Invoice{Amount: 2 * sat, Net: &chaincfg.TestNet3Params}, nil, nil, "signet", 1, l402http.CodeWrongNetwork},
		"expired":                {fetchtest.Invoice{Amount: 2 * sat, Created: time.Now().Add(-2 * time.Hour)}, nil, nil, "", 1, l402http.CodeInvoiceExpired},
		"of another token":       {fetchtest.Invoice{Amount: 2 * sat}, &lntypes.Hash{1}, nil, "", 1, l402http.CodeInvoiceMismatch},
		"a bit of it changed":    {fetchtest.Invoice{Amount: 2 * sat}, nil, flip, "", 1, l402http.CodeBadInvoice},
		"its amount changed":     {fetchtest.Invoice{Amount: 2_000_000 * sat}, nil, amountOf("20n"), "", 1, l402http.CodeBadInvoice},
		"without a signature":    {fetchtest.Invoice{Amount: 2 * sat}, nil, func(s string) string { return s[:len(s)-110] }, "", 1, l402http.CodeBadInvoice},
		"mixed case":             {fetchtest.Invoice{Amount: 2 * sat}, nil, func(s string) string { return strings.ToUpper(s[:9]) + s[9:] }, "", 1, l402http.CodeBadInvoice},
		"of nothing":             {fetchtest.Invoice{Amount: 2 * sat}, nil, func(string) string { return "" }, "", 1, l402http.CodeBadChallenge},
		"of a megabyte":          {fetchtest.Invoice{Amount: 2 * sat}, nil, func(s string) string { return s + strings.Repeat("q", 200<<10) }, "", 1, l402http.CodeBadChallenge},
		"not one":                {fetchtest.Invoice{Amount: 2 * sat}, nil, func(string) string { return "lightning:pay-me" }, "", 1, l402http.CodeBadChallenge},
		"of Bolt 12":             {fetchtest.Invoice{Amount: 2 * sat}, nil, func(string) string { return "lno1qgsqvgnwgcg35z6ee2h3yczraddm72xrfua9uve2rlrm9deu7xyfzrc" }, "", 1, l402http.CodeWrongNetwork},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			if c.network != "" {
				v.env = append(v.env, "LNGET_LN_LND_NETWORK="+c.network)
			}
			url := v.serve(func(w http.ResponseWriter, r *http.Request) { v.charge(w, r, c.invoice, c.hash, c.change) })
			v.expect(v.run("--json", url), c.exit, c.code)
			v.expect(v.run("--json", "-o", "out", url), c.exit, c.code)
			v.paid(0)
			if calls := v.node.Calls.Load(); calls > 2 { // which node it is
				t.Errorf("the node was called %d times", calls)
			}
		})
	}
}

// amountOf writes another amount into an invoice.
func amountOf(text string) func(string) string {
	return func(invoice string) string {
		rest := strings.TrimLeft(invoice[len("lnbcrt"):], "0123456789")
		if rest[0] != '1' {
			rest = rest[1:]
		}
		return "lnbcrt" + text + rest
	}
}

// flip changes one character of the data.
func flip(invoice string) string {
	b := []byte(invoice)
	at := len(b) - 50
	b[at] = "qp"[bytes.IndexByte([]byte("q"), b[at])+1]
	return string(b)
}

// TestHostilePrices: what was previewed is not what is asked for then.
func TestHostilePrices(t *testing.T) {
	v := newVictim(t)
	url := v.serve(v.seller.ServeHTTP) + "/news"
	if r := v.run("--no-pay", "--json", url); r.exit != 0 || !strings.Contains(r.out, `"invoice_amount_sat": 100`) {
		t.Fatalf("%+v", r)
	}
	v.seller.Price = 900_000
	refusing := append([]string{}, v.env...)
	v.env = append(v.env, "LNGET_L402_ON_WARNING=refuse")
	v.expect(v.run("--json", url), 1, fetch.CodeWarned)
	v.paid(0)
	v.env = refusing
	if r := v.run("--no-pay", "--json", url); !strings.Contains(r.out, "has risen from 100 to 900 sat") {
		t.Errorf("the second preview does not warn: %s", r.out)
	}
	v.seller.Price = 950_000
	if r := v.run("--json", "-o", "out", url); r.exit != 0 || !strings.Contains(r.out, "has risen from 900 to 950 sat") {
		t.Errorf("the purchase does not warn: %+v", r)
	}
	v.paid(1)
}

// TestHostileAfterPayment: the seller has the money, and then…
func TestHostileAfterPayment(t *testing.T) {
	n := 0
	again := func(v *victim, w http.ResponseWriter, r *http.Request) {
		v.charge(w, r, fetchtest.Invoice{Amount: 2000}, nil, nil)
	}
	cases := map[string]struct {
		goods func(v *victim, w http.ResponseWriter, r *http.Request)
		exit  int
		code  string
		later string // code of the next run
	}{
		"asks again": {again, 1, l402http.CodeTokenRefused, l402http.CodeTokenRefused},
		"asks for more": {func(v *victim, w http.ResponseWriter, r *http.Request) {
			v.charge(w, r, fetchtest.Invoice{Amount: 900_000}, nil, nil)
		}, 1, l402http.CodeTokenRefused, l402http.CodeTokenRefused},
		"says 401": {answering(401), 1, l402http.CodeTokenRefused, l402http.CodeTokenRefused},
		"says 401 and 402": {func(v *victim, w http.ResponseWriter, r *http.Request) {
			if n++; n%2 == 0 {
				w.WriteHeader(401)
				return
			}
			again(v, w, r)
		}, 1, l402http.CodeTokenRefused, l402http.CodeTokenRefused},
		"says 500":             {answering(500), 1, fetch.CodeHTTPError, fetch.CodeHTTPError},
		"says 402 and no more": {answering(402), 1, fetch.CodePaymentRequired, fetch.CodePaymentRequired},
		"hangs up":             {func(*victim, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 4, fetch.CodeNetwork, fetch.CodeNetwork},
		"stops halfway": {func(_ *victim, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
		}, 4, fetch.CodeNetwork, fetch.CodeNetwork},
		"never answers": {func(_ *victim, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 4, fetch.CodeNetwork, fetch.CodeNetwork},
		"leads in circles": {func(_ *victim, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/news", http.StatusFound)
		}, 1, fetch.CodeRedirects, fetch.CodeRedirects},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			v.env = append(v.env, "LNGET_HTTP_TIMEOUT=3s")
			url := v.serve(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					again(v, w, r)
					return
				}
				c.goods(v, w, r)
			}) + "/news"
			v.run("-q", "-o", "file", v.serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "mine") }))
			v.expect(v.run("--json", "-o", "file", url), c.exit, c.code)
			v.paid(1)
			v.expect(v.run("--json", "-o", "file", url), c.exit, c.later)
			v.paid(1)
			v.kept("file", "mine")
		})
	}
}

func answering(code int) func(*victim, http.ResponseWriter, *http.Request) {
	return func(_ *victim, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// TestHostilePaymentScheme: what stands beside the invoice does not count, and
// what cannot be read does not hide what can.
func TestHostilePaymentScheme(t *testing.T) {
	offer := func(v *victim, amount string, price int64) string {
		i := fetchtest.Invoice{Amount: lnwire.MilliSatoshi(price * 1000), Preimage: fetchtest.NewPreimage()}
		text, hash, err := i.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := v.ledger.Publish(i.Preimage); err != nil {
			t.Fatal(err)
		}
		request := fmt.Sprintf(`{"amount":"%s","currency":"sat","methodDetails":{"invoice":"%s","network":"regtest","paymentHash":"%s"}}`, amount, text, hash)
		return `Payment id="x", realm="shop", method="lightning", intent="charge", request="` + base64.RawURLEncoding.EncodeToString([]byte(request)) + `"`
	}
	cases := map[string]struct {
		header   func(v *victim) string
		exit     int
		code     string
		payments int
	}{
		"lying amount":     {func(v *victim) string { return offer(v, "1", 900) }, 1, l402http.CodeInvoiceMismatch, 0},
		"over the limit":   {func(v *victim) string { return offer(v, "5000", 5000) }, 2, l402http.CodeOverMaxCost, 0},
		"amount of words":  {func(v *victim) string { return offer(v, "one", 1) }, 1, l402http.CodeBadChallenge, 0},
		"paid for nothing": {func(v *victim) string { return offer(v, "2", 2) }, 1, l402http.CodeTokenRefused, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			header := c.header(v)
			url := v.serve(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("WWW-Authenticate", header)
				w.WriteHeader(http.StatusPaymentRequired)
			})
			for range 2 {
				v.expect(v.run("--json", "-o", "out", url), c.exit, c.code)
				v.paid(c.payments)
			}
		})
	}
	t.Run("beside a good one", func(t *testing.T) {
		v := newVictim(t)
		url := v.serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("WWW-Authenticate", `Payment id="x", request="%%%"`)
			if r.Header.Get("Authorization") == "" {
				w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
			}
			answer := httptest.NewRecorder()
			v.seller.ServeHTTP(answer, r)
			for _, c := range answer.Header()["Www-Authenticate"] {
				w.Header().Add("WWW-Authenticate", c)
			}
			w.WriteHeader(answer.Code)
		})
		v.expect(v.run("--json", url+"/news"), 0, "")
		v.expect(v.run("--json", "--prefer-scheme", "payment", url+"/sport"), 0, "")
		v.paid(2)
	})
}
