package l402http_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402/l402http"
)

// TestInvoiceIsBelieved has sellers write one thing and sign another.
func TestInvoiceIsBelieved(t *testing.T) {
	const limit = 1000_000 // msat
	cases := map[string]struct {
		invoice fetchtest.Invoice
		code    string // "" is paid
	}{
		"ok/at the limit":                {fetchtest.Invoice{Amount: limit}, ""},
		"ok/one msat":                    {fetchtest.Invoice{Amount: 1}, ""},
		"fail/part of a sat over":        {fetchtest.Invoice{Amount: limit + 1}, l402http.CodeOverMaxCost},
		"fail/a whole bitcoin":           {fetchtest.Invoice{Amount: 100_000_000_000}, l402http.CodeOverMaxCost},
		"fail/two whole bitcoins":        {fetchtest.Invoice{Amount: 200_000_000_000}, l402http.CodeOverMaxCost},
		"fail/no amount":                 {fetchtest.Invoice{}, l402http.CodeNoAmount},
		"fail/mainnet":                   {fetchtest.Invoice{Amount: 1000, Net: &chaincfg.MainNetParams}, l402http.CodeWrongNetwork},
		"fail/whole bitcoin of mainnet":  {fetchtest.Invoice{Amount: 100_000_000_000, Net: &chaincfg.MainNetParams}, l402http.CodeWrongNetwork},
		"fail/signet":                    {fetchtest.Invoice{Amount: 1000, Net: &chaincfg.SigNetParams}, l402http.CodeWrongNetwork},
		"fail/whole bitcoin of signet":   {fetchtest.Invoice{Amount: 100_000_000_000, Net: &chaincfg.SigNetParams}, l402http.CodeWrongNetwork},
		"fail/amountless of signet":      {fetchtest.Invoice{Net: &chaincfg.SigNetParams}, l402http.CodeWrongNetwork},
		"fail/testnet":                   {fetchtest.Invoice{Amount: 1000, Net: &chaincfg.TestNet3Params}, l402http.CodeWrongNetwork},
		"fail/expired":                   {fetchtest.Invoice{Amount: 1000, Created: time.Now().Add(-2 * time.Hour)}, l402http.CodeInvoiceExpired},
		"fail/expires this very second":  {fetchtest.Invoice{Amount: 1000, Created: time.Now().Add(-time.Hour)}, l402http.CodeInvoiceExpired},
		"ok/created in the future, fine": {fetchtest.Invoice{Amount: 1000, Created: time.Now().Add(time.Minute)}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMarket(t)
			m.buyer.MaxCost = limit
			m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, r *http.Request) {
				// What the seller writes beside the invoice is a lie.
				w.Header().Set("L402-Price", "1")
				w.Header().Set("Payment-Amount", "1")
				c.invoice.Preimage = fetchtest.NewPreimage()
				challenge(t, s, w, r, c.invoice)
			}
			if c.code == "" {
				m.mustGet(t, "/a")
				m.wantPayments(t, 1)
				return
			}
			_, _, err := m.get(t, "/a")
			e := wantCode(t, err, c.code)
			if c.code == l402http.CodeOverMaxCost && e.Price != c.invoice.Amount {
				t.Errorf("price %d, want %d", e.Price, c.invoice.Amount)
			}
			m.wantPayments(t, 0)
			if p, err := m.store.Load(m.origin(t)); err != nil || len(p) != 0 {
				t.Errorf("journalled %v, %v", p, err)
			}
		})
	}
}

func TestLimitUnderOneSat(t *testing.T) {
	m := newMarket(t)
	m.Price, m.buyer.MaxCost = 500, 700
	_, _, err := m.get(t, "/a")
	wantCode(t, err, l402http.CodeOverMaxCost)
	m.wantPayments(t, 0)
}

// TestMadeUpChallenges has sellers write nonsense. rewrite changes a good
// token and a good invoice of 1 sat.
func TestMadeUpChallenges(t *testing.T) {
	other := func(t *testing.T, s *fetchtest.Seller) string {
		text, _, err := fetchtest.Invoice{Amount: 1000, Preimage: fetchtest.NewPreimage()}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	cases := map[string]struct {
		header func(t *testing.T, s *fetchtest.Seller, token, invoice string) string
		code   string
	}{
		"fail/token of another invoice": {func(t *testing.T, s *fetchtest.Seller, token, _ string) string {
			return fmt.Sprintf(`L402 macaroon="%s", invoice="%s"`, token, other(t, s))
		}, l402http.CodeInvoiceMismatch},
		"fail/one character changed": {func(_ *testing.T, _ *fetchtest.Seller, token, invoice string) string {
			flipped := invoice[:len(invoice)-20] + flip(invoice[len(invoice)-20]) + invoice[len(invoice)-19:]
			return fmt.Sprintf(`L402 macaroon="%s", invoice="%s"`, token, flipped)
		}, l402http.CodeBadInvoice},
		"fail/amount that overflows 64 bits": {func(t *testing.T, _ *fetchtest.Seller, token, invoice string) string {
			// 184467441 bitcoins are 2^64 + 26 million sat, in msat.
			return fmt.Sprintf(`L402 macaroon="%s", invoice="%s"`, token, withPrefix(t, invoice, "lnbcrt184467441"))
		}, l402http.CodeBadInvoice},
		"fail/overflow in nano": {func(t *testing.T, _ *fetchtest.Seller, token, invoice string) string {
			return fmt.Sprintf(`L402 macaroon="%s", invoice="%s"`, token, withPrefix(t, invoice, "lnbcrt184467440737095517n"))
		}, l402http.CodeBadInvoice},
		"fail/no invoice": {func(_ *testing.T, _ *fetchtest.Seller, token, _ string) string {
			return fmt.Sprintf(`L402 macaroon="%s"`, token)
		}, l402http.CodeBadChallenge},
		"fail/invoice is nonsense": {func(_ *testing.T, _ *fetchtest.Seller, token, _ string) string {
			return fmt.Sprintf(`L402 macaroon="%s", invoice="lnbcrt"`, token)
		}, l402http.CodeBadInvoice},
		"fail/token is nonsense": {func(_ *testing.T, _ *fetchtest.Seller, _, invoice string) string {
			return fmt.Sprintf(`L402 macaroon="AAAA", invoice="%s"`, invoice)
		}, l402http.CodeBadChallenge},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMarket(t)
			m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, r *http.Request) {
				token, invoice, err := s.Mint(r, fetchtest.Invoice{Amount: 1000, Preimage: fetchtest.NewPreimage()})
				if err != nil {
					t.Error(err)
				}
				w.Header().Set("WWW-Authenticate", c.header(t, s, token.Base64(), invoice))
				w.WriteHeader(http.StatusPaymentRequired)
			}
			_, _, err := m.get(t, "/a")
			wantCode(t, err, c.code)
			m.wantPayments(t, 0)
		})
	}
}

// flip returns another bech32 character.
func flip(c byte) string {
	if c == 'q' {
		return "p"
	}
	return "q"
}

// withPrefix gives an invoice another human-readable part and a checksum that
// fits it.
func withPrefix(t *testing.T, invoice, prefix string) string {
	t.Helper()
	_, data, err := bech32.DecodeNoLimit(invoice)
	if err != nil {
		t.Fatal(err)
	}
	text, err := bech32.Encode(prefix, data)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPaymentRequiredOfAnotherKind(t *testing.T) {
	m := newMarket(t)
	m.Challenge = func(_ *fetchtest.Seller, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Payment id="x", method="card"`)
		w.WriteHeader(http.StatusPaymentRequired)
	}
	if status, _, err := m.get(t, "/a"); err != nil || status != http.StatusPaymentRequired {
		t.Errorf("%d %v", status, err)
	}
}

// TestSellerRaisesThePrice pays no more than the limit, however often asked.
func TestSellerRaisesThePrice(t *testing.T) {
	m := newMarket(t)
	price := lnwire.MilliSatoshi(900_000)
	m.Refuse = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/dear") }
	m.Challenge = func(s *fetchtest.Seller, w http.ResponseWriter, r *http.Request) {
		price += 50_000
		challenge(t, s, w, r, fetchtest.Invoice{Amount: price, Preimage: fetchtest.NewPreimage()})
	}
	_, _, err := m.get(t, "/dear")
	wantCode(t, err, l402http.CodeTokenRefused)
	m.wantPayments(t, 1)
	price = 1000_000
	_, _, err = m.get(t, "/other")
	wantCode(t, err, l402http.CodeOverMaxCost)
	m.wantPayments(t, 1)
}
