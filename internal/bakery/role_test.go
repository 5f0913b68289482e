package bakery

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

func everything() Offer {
	offer := Offer{}
	for _, r := range roles {
		for _, method := range r.Needs {
			offer[method] = []macaroon.Permission{{Entity: "info", Action: "read"}}
		}
	}
	return offer
}

func TestResolve(t *testing.T) {
	for _, r := range Roles() {
		got, err := Resolve(r, everything())
		if err != nil || !slices.Equal(got, uris(r.Needs)) {
			t.Errorf("%s: %v, %v", r.Name, got, err)
		}
		if RoleOf(got) != r.Name {
			t.Errorf("%s is taken for %q", r.Name, RoleOf(got))
		}
		for _, method := range r.Needs {
			less := everything()
			delete(less, method)
			if got, err := Resolve(r, less); fault.Code(err) != "role_unavailable" || got != nil || !strings.Contains(err.Error(), method) {
				t.Errorf("%s without %s: %v, %v", r.Name, method, got, err)
			}
		}
		for _, method := range r.Takes {
			more := everything()
			more[method] = nil
			got, err := Resolve(r, more)
			if err != nil || !slices.Contains(got, macaroon.Permission{Entity: uri, Action: method}) || RoleOf(got) != r.Name {
				t.Errorf("%s with %s: %v, %v", r.Name, method, got, err)
			}
		}
	}
	if _, err := RoleNamed("admin"); fault.Code(err) != "unknown_role" {
		t.Errorf("got %v", err)
	}
}

// TestEveryMethodOfARoleHasWords keeps inspect from falling back to paths.
func TestEveryMethodOfARoleHasWords(t *testing.T) {
	for _, r := range roles {
		for _, p := range uris(slices.Concat(r.Needs, r.Takes)) {
			if phrases[p].can == "" {
				t.Errorf("%s has no words", p.Action)
			}
		}
	}
}

func TestRoleOf(t *testing.T) {
	payOnly, err := RoleNamed("pay-only")
	if err != nil {
		t.Fatal(err)
	}
	full := uris(payOnly.Needs)
	for name, c := range map[string]struct {
		permissions []macaroon.Permission
		want        string
	}{
		"ok/another order": {append(slices.Clone(full[1:]), full[0]), "pay-only"},
		"fail/less":        {full[1:], ""},
		"fail/more":        {append(slices.Clone(full), uris([]string{"/lnrpc.Lightning/SendCoins"})...), ""},
		"fail/an entity":   {append(slices.Clone(full), macaroon.Permission{Entity: "offchain", Action: "read"}), ""},
		"fail/not by uri":  {append(slices.Clone(full), macaroon.Permission{Entity: "offchain", Action: full[0].Action}), ""},
		"fail/nothing":     {nil, ""},
	} {
		if got := RoleOf(c.permissions); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestCustom(t *testing.T) {
	const info, pay = "/lnrpc.Lightning/GetInfo", "/routerrpc.Router/SendPaymentV2"
	for name, c := range map[string]struct {
		names []string
		want  []string
		code  string
	}{
		"ok/one":             {[]string{info}, []string{info}, ""},
		"ok/with uri":        {[]string{"uri:" + info, pay}, []string{info, pay}, ""},
		"ok/twice":           {[]string{info, "uri:" + info}, []string{info}, ""},
		"fail/none":          {nil, nil, "bad_permission"},
		"fail/empty":         {[]string{""}, nil, "bad_permission"},
		"fail/entity":        {[]string{"offchain:read"}, nil, "bad_permission"},
		"fail/short":         {[]string{"GetInfo"}, nil, "bad_permission"},
		"fail/not offered":   {[]string{info, "/lnrpc.Lightning/SendPaymentSync"}, nil, "no_method"},
		"fail/another case":  {[]string{"/lnrpc.lightning/getinfo"}, nil, "no_method"},
		"fail/only a slash":  {[]string{"/"}, nil, "no_method"},
		"fail/with a blank":  {[]string{info + " "}, nil, "no_method"},
		"fail/whole service": {[]string{"/lnrpc.Lightning/*"}, nil, "no_method"},
	} {
		got, err := Custom(c.names, everything())
		if fault.Code(err) != c.code || c.code == "" && !slices.Equal(got, uris(c.want)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestMatching(t *testing.T) {
	offer := Offer{
		"/lnrpc.Lightning/GetInfo":    {{Entity: "info", Action: "read"}},
		"/lnrpc.Lightning/AddInvoice": {{Entity: "invoices", Action: "write"}},
		"/x.Y/Z":                      nil,
	}
	for filter, want := range map[string]int{"": 3, "INFO": 1, "info:read": 1, "invoice": 1, ":": 2, "nothing": 0, "lnrpc": 2} {
		if got := offer.Matching(filter); len(got) != want {
			t.Errorf("%q: %v", filter, got)
		}
	}
}

// TestPageHasEveryRole keeps docs/bake.md in step: a table row for each role
// with its methods' names.
func TestPageHasEveryRole(t *testing.T) {
	page, err := os.ReadFile("../../docs/bake.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		row := regexp.MustCompile("(?m)^\\| `" + r.Name + "` .*$").FindString(string(page))
		for _, method := range r.Needs {
			name := method[strings.LastIndexByte(method, '/')+1:]
			shared := slices.Contains(common, method) || r.Name == "channel-admin" && slices.Contains(reading, method) || name == "TrackPaymentV2"
			if !shared && !strings.Contains(row, name) {
				t.Errorf("the row of %s lacks %s", r.Name, name)
			}
		}
	}
}
