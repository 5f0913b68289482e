package bakery

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/fault"
)

func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		ip, ipRange string
		expires     time.Time
		want        []string
		code        string
	}{
		"ok/none":               {},
		"ok/all":                {ip: "192.0.2.7", ipRange: "192.0.2.99/24", expires: now.Add(time.Minute), want: []string{"time-before 2026-11-21T12:01:00Z", "ipaddr 192.0.2.7", "iprange 192.0.2.0/24"}},
		"ok/v6":                 {ip: "2001:DB8::1", ipRange: "2001:db8::/32", want: []string{"ipaddr 2001:db8::1", "iprange 2001:db8::/32"}},
		"ok/mapped":             {ip: "::ffff:192.0.2.7", ipRange: "192.0.2.0/24", want: []string{"ipaddr 192.0.2.7", "iprange 192.0.2.0/24"}},
		"fail/no address":       {ip: "192.0.2", code: "bad_bounds"},
		"fail/a name":           {ip: "localhost", code: "bad_bounds"},
		"fail/a zone":           {ip: "fe80::1%eth0", code: "bad_bounds"},
		"fail/a network":        {ip: "192.0.2.0/24", code: "bad_bounds"},
		"fail/no network":       {ipRange: "192.0.2.7", code: "bad_bounds"},
		"fail/bits":             {ipRange: "192.0.2.0/33", code: "bad_bounds"},
		"fail/mapped network":   {ipRange: "::ffff:192.0.2.0/120", code: "bad_bounds"},
		"fail/nowhere":          {ip: "198.51.100.1", ipRange: "192.0.2.0/24", code: "bad_bounds"},
		"fail/families":         {ip: "2001:db8::1", ipRange: "192.0.2.0/24", code: "bad_bounds"},
		"fail/now is no future": {expires: now, code: "bad_bounds"},
		"fail/far away":         {expires: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), code: "bad_bounds"},
	} {
		b, err := ParseBounds(c.ip, c.ipRange)
		var got []string
		if err == nil {
			b.Expires = c.expires
			got, err = b.Caveats(now)
		}
		if fault.Code(err) != c.code || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestInspectCaveats(t *testing.T) {
	f := newFake(t)
	for caveat, want := range map[string]struct {
		words   string
		void    bool
		account string
	}{
		"time-before 2026-12-01T00:00:00Z":    {words: "only until 2026-12-01 00:00:00 UTC"},
		"time-before 2020-01-01T00:00:00.5Z":  {words: "expired at 2020-01-01 00:00:00 UTC", void: true},
		"time-before 2026-11-21T12:00:00Z":    {words: "expired at 2026-11-21 12:00:00 UTC", void: true}, // now
		"time-before tomorrow":                {words: "ends at a time that nobody can read", void: true},
		"ipaddr 192.0.2.7":                    {words: "only from address 192.0.2.7"},
		"ipaddr everywhere":                   {words: "only from address everywhere", void: true},
		"iprange 192.0.2.0/24":                {words: "only from network 192.0.2.0/24"},
		"lnd-custom account 0123456789abcdef": {words: "held to account 0123456789abcdef", account: "0123456789abcdef"},
		"lnd-custom account nobody":           {words: "held to account nobody", void: true},
		"lnd-custom budget 5":                 {words: `only while lnd has the middleware "budget 5"`},
		"phase-of-moon full":                  {words: "unknown to lnd", void: true},
		"":                                    {words: "unknown to lnd", void: true},
	} {
		r, err := Inspect(f.mintAt("5", []byte("key"), caveat), now)
		if err != nil {
			t.Fatal(err)
		}
		if r.Caveats[0].Words != want.words || r.Void != want.void || r.Account != want.account {
			t.Errorf("%q: %+v", caveat, r)
		}
		if (len(r.Warnings) == 0) != (want.account != "") {
			t.Errorf("%q: warnings %q", caveat, r.Warnings)
		}
	}
	r, err := Inspect(f.mintAt("5", []byte("key"), "time-before 2026-12-02T00:00:00Z", "time-before 2026-12-01T00:00:00Z"), now)
	if err != nil || r.Expires.Day() != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestInspectWords(t *testing.T) {
	f := newFake(t)
	for _, c := range []struct {
		ops       []*lnrpc.Op
		can, warn string
	}{
		{[]*lnrpc.Op{{Entity: "macaroon", Actions: []string{"generate"}}}, "make macaroons", mightier},
		{[]*lnrpc.Op{{Entity: "uri", Actions: []string{"/lnrpc.Lightning/BakeMacaroon"}}}, "make macaroons", mightier},
		{[]*lnrpc.Op{{Entity: "uri", Actions: []string{"/lnrpc.Lightning/SendCoins"}}}, "send coins on chain", drains},
		{[]*lnrpc.Op{{Entity: "uri", Actions: []string{"/lnrpc.Lightning/ListInvoices"}}}, "see all invoices of the node", peeks},
		{[]*lnrpc.Op{{Entity: "invoices", Actions: []string{"read"}}}, "see all invoices of the node", peeks},
		{[]*lnrpc.Op{{Entity: "uri", Actions: []string{"/lnrpc.Lightning/RestoreChannelBackups"}}}, "have peers close channels, as after a loss", closes},
		{[]*lnrpc.Op{{Entity: "uri", Actions: []string{"/lnrpc.Lightning/RegisterRPCMiddleware"}}}, "set up middleware", meddles},
		{[]*lnrpc.Op{{Entity: "uri", Actions: []string{"/routerrpc.Router/QueryMissionControl"}}}, "call /routerrpc.Router/QueryMissionControl", ""},
		{[]*lnrpc.Op{{Entity: "weather", Actions: []string{"read"}}}, "whatever lnd asks weather:read for", ""},
	} {
		r, err := Inspect(f.mint(&lnrpc.MacaroonId{StorageId: []byte("5"), Ops: c.ops}, []byte("key")), now)
		if err != nil || !slices.Equal(r.Can, []string{c.can}) || strings.Join(r.Warnings, "") != c.warn || r.Role != "" {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	raw, dir := newFake(t).mintOwn(), t.TempDir()
	for name, c := range map[string]struct {
		content []byte
		ok      bool
	}{
		"binary":  {raw, true},
		"hex":     {[]byte(hex.EncodeToString(raw) + "\n"), true},
		"empty":   {nil, false},
		"rubbish": {[]byte("secret"), false},
		"large":   {make([]byte, maxFile+1), false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(path)
		switch {
		case c.ok && (err != nil || !slices.Equal(got, raw)):
			t.Errorf("%s: %v", name, err)
		case !c.ok && (fault.Code(err) != "bad_macaroon" || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "nothing"), os.DevNull} {
		if _, err := ReadFile(path); fault.Code(err) != "bad_macaroon" {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzInspect checks that no bytes bring it down, that whatever it takes for a
// role grants only that role's methods, and that what is void says so.
func FuzzInspect(f *testing.F) {
	fake := newFake(f)
	f.Add(fake.mintOwn())
	f.Add(fake.mintAt("5", []byte("key"), "time-before 2026-12-01T00:00:00Z", "ipaddr ::1", "lnd-custom account 0123456789abcdef"))
	for _, r := range roles {
		id := &lnrpc.MacaroonId{StorageId: []byte("7")}
		for _, method := range r.Needs {
			id.Ops = append(id.Ops, &lnrpc.Op{Entity: uri, Actions: []string{method}})
		}
		f.Add(fake.mint(id, []byte("key")))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Inspect(raw, now)
		if err != nil {
			if fault.Code(err) != "bad_macaroon" {
				t.Errorf("got %v", err)
			}
			return
		}
		if r.Role != "" {
			role, err := RoleNamed(r.Role)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range r.Permissions {
				method := strings.TrimPrefix(p, "uri:")
				if !slices.Contains(role.Needs, method) && !slices.Contains(role.Takes, method) {
					t.Errorf("%s is no part of %s", p, r.Role)
				}
			}
		}
		if r.Expires != nil && !r.Expires.After(now) && !r.Void {
			t.Error("it has expired and is not void")
		}
	})
}
