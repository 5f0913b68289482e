package fetch

import (
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
)

// FuzzRecord: what is read holds together and is written back the same. Its
// corpus has a pending and a paid purchase.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodeRecord(data)
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("accepted a purchase that is not valid: %v", err)
		}
		again, err := encodeRecord(p)
		if err != nil {
			return // a year that JSON cannot write, or no room for the outcome
		}
		q, err := decodeRecord(again)
		if err != nil || q.Credential.ID() != p.Credential.ID() || q.Hash != p.Hash || q.State != p.State || q.Amount != p.Amount {
			t.Fatalf("written back as %s: %v", again, err)
		}
	})
}

// FuzzConfig: any file is either refused or makes a configuration within bounds.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(Default().YAML()))
	f.Add([]byte("l402:\n  max_cost_sats: 9223372036854775807\n"))
	f.Add([]byte("l402: {payment_timeout: 60s, auto_pay: no}\nln: {lnd: {network: regtest}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig("f.yaml", data, func(string) (string, bool) { return "", false })
		if err != nil {
			if strings.Contains(err.Error(), "fetch.Config") {
				t.Fatalf("a Go type shows: %v", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		again, err := parseConfig("f.yaml", []byte(c.YAML()), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatalf("its own YAML is refused: %v\n%s", err, c.YAML())
		}
		if again != c {
			t.Fatalf("its own YAML reads as\n%+v\nwant\n%+v", again, c)
		}
	})
}

func FuzzMacaroonPower(f *testing.F) {
	f.Add(fetchtest.Macaroon(nil, [2]string{"offchain", "write"}, [2]string{"uri", "/routerrpc.Router/SendPaymentV2"}))
	f.Add([]byte{2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := readPower(data)
		if err == nil && p.pays && p.rank == 0 {
			t.Fatalf("pays with rank 0: %+v", p)
		}
	})
}
