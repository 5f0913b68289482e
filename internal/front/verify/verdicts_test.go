package verify

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/front/macaroon"
)

func TestVerdicts(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return now }
	caveats := func(texts ...string) (list []macaroon.Caveat) {
		for _, text := range texts {
			list = append(list, macaroon.Caveat{Text: text})
		}
		return list
	}
	key := verdictKey{method: "m", client: netip.MustParseAddr("10.0.0.1")}
	cases := map[string]struct {
		caveats []macaroon.Caveat
		after   time.Duration
		holds   bool
	}{
		"ok/at once":                  {holds: true},
		"ok/nearly ten seconds":       {after: 10*time.Second - 1, holds: true},
		"fail/ten seconds":            {after: 10 * time.Second},
		"ok/before its end":           {caveats: caveats("time-before 2026-01-02T03:04:08Z"), after: 3*time.Second - 1, holds: true},
		"fail/its end":                {caveats: caveats("time-before 2026-01-02T03:04:08Z"), after: 3 * time.Second},
		"fail/the earlier end":        {caveats: caveats("time-before 2027-01-02T03:04:08Z", "time-before 2026-01-02T03:04:06.5Z"), after: 1500 * time.Millisecond},
		"fail/ended":                  {caveats: caveats("time-before 2026-01-02T03:04:05Z")},
		"fail/end cannot be read":     {caveats: caveats("time-before tomorrow")},
		"fail/end cannot be read too": {caveats: caveats("time-before")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			v := newVerdicts[int](clock)
			v.keep(key, 1, c.caveats, v.now())
			now = now.Add(c.after)
			if v.holds(key) != c.holds {
				t.Errorf("holds %v", !c.holds)
			}
			other := key
			other.client = netip.MustParseAddr("10.0.0.2")
			if v.holds(other) {
				t.Error("holds for another address")
			}
		})
	}
}

func TestVerdictsForget(t *testing.T) {
	v := newVerdicts[int](time.Now)
	one, two := verdictKey{method: "one"}, verdictKey{method: "two"}
	before := v.now()
	v.keep(one, 1, nil, before)
	v.keep(two, 2, nil, before)
	v.forget(func(of int) bool { return of == 1 })
	if v.holds(one) || !v.holds(two) {
		t.Errorf("holds %v, %v", v.holds(one), v.holds(two))
	}
	v.keep(one, 1, nil, before)
	if v.holds(one) {
		t.Error("what lnd was asked before the revocation counts")
	}
	v.forget(func(int) bool { return true })
	if v.holds(two) {
		t.Error("not all forgotten")
	}
}

func TestVerdictsAreBounded(t *testing.T) {
	v := newVerdicts[int](time.Now)
	for i := range 3 * maxVerdicts {
		v.keep(verdictKey{method: strings.Repeat("x", 1+i%7) + string(rune(i))}, 0, nil, v.now())
		if len(v.kept) > maxVerdicts {
			t.Fatalf("%d kept", len(v.kept))
		}
	}
}
