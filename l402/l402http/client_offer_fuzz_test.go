package l402http_test

import (
	"net/http"
	"testing"

	"github.com/leydenln/leyden/l402/l402http"
)

// FuzzReadOffer: whatever a stranger writes, an offer that is read names a
// network, a payee, and an amount that did not overflow. The corpus has one.
func FuzzReadOffer(f *testing.F) {
	f.Add(`LSAT macaroon="x", invoice="lntbs1"`, "signet")
	f.Add(`L402 token="AA", invoice="lnbc999999999999999999999m1q"`, "mainnet")
	f.Fuzz(func(t *testing.T, header, network string) {
		resp := &http.Response{Header: http.Header{"Www-Authenticate": {header}}}
		o, ok, err := l402http.ReadOffer(resp, network)
		if ok && err != nil || !ok && o.Amount != 0 {
			t.Fatalf("ok %t with %v", ok, err)
		}
		if !ok {
			return
		}
		if network != "" && o.Network != network || o.Network == "" || len(o.Payee) != 66 {
			t.Fatalf("offer %+v", o)
		}
		if o.Amount > 99_999_999*100_000_000_000 {
			t.Fatalf("amount %d", o.Amount)
		}
	})
}
