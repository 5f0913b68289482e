package l402http_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// deal is a token as its holder knows it.
type deal struct {
	credential l402.Credential
	caveats    []l402.Caveat
	paid       bool // the holder has the preimage
	ours       bool // minted by the seller and not changed
}

// opens is the model of Judge: may the deal open the service with the
// capability now? It knows nothing of how that is found out.
func (d deal) opens(service, capability string, now time.Time) bool {
	if !d.paid || !d.ours {
		return false
	}
	values := func(key string) []string {
		var all []string
		for _, c := range d.caveats {
			if c.Key == key {
				all = append(all, c.Value)
			}
		}
		return all
	}
	services := values("services")
	if len(services) == 0 || !shrinking(services) || !slices.Contains(strings.Split(last(services), ","), service+":0") {
		return false
	}
	able := values(service + "_capabilities")
	if !shrinking(able) || len(able) > 0 && capability != "" && !slices.Contains(strings.Split(last(able), ","), capability) {
		return false
	}
	previous := int64(1 << 62)
	for _, text := range values(service + "_valid_until") {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > previous {
			return false
		}
		previous = n
	}
	return now.Unix() < previous && shrinking(values("regions"))
}

// shrinking reports whether each list holds only what the one before it held.
func shrinking(lists []string) bool {
	for i := 1; i < len(lists); i++ {
		before := strings.Split(lists[i-1], ",")
		for _, item := range strings.Split(lists[i], ",") {
			if !slices.Contains(before, item) {
				return false
			}
		}
	}
	return true
}

func last(all []string) string { return all[len(all)-1] }

// TestJudgePassesWhatWasPaidForAndNothingElse holds for every chain of caveats
// that holders add, for tokens of another seller, changed ones and unpaid ones.
func TestJudgePassesWhatWasPaidForAndNothingElse(t *testing.T) {
	shops := []*shop{newShop(t, l402http.SellerConfig{}), newShop(t, l402http.SellerConfig{})}
	sale := func(service string) l402http.Sale {
		return l402http.Sale{Service: service, Price: 1000, Capabilities: []string{"read", "write"},
			Constraints: []l402.Caveat{{Key: "regions", Value: "eu,us"}},
			Conditions:  []l402.Condition{l402.Narrowing("regions")},
			Capability:  func(r *http.Request) string { return r.URL.Query().Get("needs") }}
	}
	services := []string{"a", "ab"}
	buy := func(s *shop, service string) deal {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		s.seller.Challenge(w, r, sale(service), l402http.Verdict{})
		c := s.node.pay(t, w.Result())
		s.seller.Settled(c.Preimage.Hash())
		caveats, err := c.Tokens[0].Caveats()
		if err != nil {
			t.Fatal(err)
		}
		return deal{c, caveats, true, s == shops[0]}
	}
	now := time.Now()
	caveat := rapid.Custom(func(t *rapid.T) l402.Caveat {
		service := rapid.SampledFrom(services).Draw(t, "of")
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return l402.Caveat{Key: "services", Value: rapid.SampledFrom([]string{"a:0", "ab:0", "a:0,ab:0"}).Draw(t, "services")}
		case 1:
			return l402.Caveat{Key: service + "_capabilities",
				Value: rapid.SampledFrom([]string{"read", "write", "write,read", "own"}).Draw(t, "capabilities")}
		case 2:
			return l402.Caveat{Key: service + "_valid_until",
				Value: strconv.FormatInt(now.Unix()+rapid.Int64Range(-2, 2).Draw(t, "hours")*3600, 10)}
		case 3:
			return l402.Caveat{Key: "regions", Value: rapid.SampledFrom([]string{"eu", "us", "eu,us", "eu,cn"}).Draw(t, "regions")}
		default:
			return l402.Caveat{Key: rapid.StringMatching(`[a-z]{1,4}`).Draw(t, "key"), Value: rapid.String().Draw(t, "value")}
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		shop := shops[0]
		if rapid.IntRange(0, 9).Draw(rt, "shop") == 9 {
			shop = shops[1]
		}
		d := buy(shop, rapid.SampledFrom(services).Draw(rt, "bought"))
		for _, c := range rapid.SliceOfN(caveat, 0, 5).Draw(rt, "caveats") {
			token, err := d.credential.Tokens[0].Attenuate(c)
			if err != nil {
				rt.Fatal(err)
			}
			d.credential.Tokens, d.caveats = []l402.Token{token}, append(d.caveats, c)
		}
		switch rapid.IntRange(0, 9).Draw(rt, "mischief") {
		case 0:
			d.credential.Preimage[rapid.IntRange(0, 31).Draw(rt, "byte")] ^= 1
			d.paid = false
		case 1:
			raw, err := d.credential.Tokens[0].MarshalBinary()
			if err != nil {
				rt.Fatal(err)
			}
			raw[rapid.IntRange(0, len(raw)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			changed, err := l402.ParseToken(base64Of(raw))
			if err != nil {
				return // no token any more
			}
			d.credential.Tokens, d.ours = []l402.Token{changed}, false
		}
		for _, service := range services {
			for _, needs := range []string{"", "read", "write"} {
				r := httptest.NewRequest(http.MethodGet, "/?needs="+needs, nil)
				r.Header.Set("Authorization", d.credential.Authorization(l402.SchemeL402))
				v := shops[0].seller.Judge(r, sale(service))
				if want := d.opens(service, needs, now); v.Paid != want {
					rt.Fatalf("%v (refusal %v) opens %s %q: %v, want %v", d.caveats, v.Refusal, service, needs, v.Paid, want)
				}
				if v.Paid == (v.Refusal != nil) || v.Paid && v.Hash != d.credential.Preimage.Hash() {
					rt.Fatalf("verdict %+v", v)
				}
			}
		}
	})
}
