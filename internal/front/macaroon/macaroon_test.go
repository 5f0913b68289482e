package macaroon_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/front/macaroon"
)

const account = "lnd-custom account 0123456789abcdef"

func mint(t testing.TB, version gomacaroon.Version, caveats ...string) []byte {
	t.Helper()
	m, err := gomacaroon.New([]byte("root key"), []byte("id"), "lnd", version)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAccount(t *testing.T) {
	cases := map[string]struct {
		caveats []string
		id      string
		bad     bool
	}{
		"ok/none":                   {},
		"ok/other caveats":          {caveats: []string{"ipaddr 127.0.0.1", "time-before 2030-01-01T00:00:00Z"}},
		"ok/other custom":           {caveats: []string{"lnd-custom leyden-budget x", "lnd-custom acc 0123456789abcdef"}},
		"ok/account":                {caveats: []string{account}, id: "0123456789abcdef"},
		"ok/account among others":   {caveats: []string{"ipaddr ::1", account, "lnd-custom leyden-budget 5"}, id: "0123456789abcdef"},
		"fail/two":                  {caveats: []string{account, "lnd-custom account fedcba9876543210"}, bad: true},
		"fail/twice the same":       {caveats: []string{account, account}, bad: true},
		"fail/second malformed":     {caveats: []string{account, "lnd-custom account"}, bad: true},
		"fail/no condition":         {caveats: []string{"lnd-custom account"}, bad: true},
		"fail/empty condition":      {caveats: []string{"lnd-custom account "}, bad: true},
		"fail/upper case digits":    {caveats: []string{"lnd-custom account 0123456789ABCDEF"}, bad: true},
		"fail/15 digits":            {caveats: []string{"lnd-custom account 0123456789abcde"}, bad: true},
		"fail/17 digits":            {caveats: []string{"lnd-custom account 0123456789abcdef0"}, bad: true},
		"fail/not hex":              {caveats: []string{"lnd-custom account 0123456789abcdeg"}, bad: true},
		"fail/trailing space":       {caveats: []string{account + " "}, bad: true},
		"fail/trailing word":        {caveats: []string{account + " x"}, bad: true},
		"fail/two spaces":           {caveats: []string{"lnd-custom account  0123456789abcdef"}, bad: true},
		"fail/two spaces in front":  {caveats: []string{"lnd-custom  account 0123456789abcdef"}, bad: true},
		"fail/leading space":        {caveats: []string{" " + account}, bad: true},
		"fail/tab":                  {caveats: []string{"lnd-custom\taccount 0123456789abcdef"}, bad: true},
		"fail/name with more":       {caveats: []string{"lnd-custom accounts 0123456789abcdef"}, bad: true},
		"fail/upper case name":      {caveats: []string{"lnd-custom Account 0123456789abcdef"}, bad: true},
		"fail/upper case lnd":       {caveats: []string{"LND-custom account 0123456789abcdef"}, bad: true},
		"fail/wide digits":          {caveats: []string{"lnd-custom account ０123456789abc"}, bad: true},
		"fail/line feed at the end": {caveats: []string{account + "\n"}, bad: true},
	}
	for name, c := range cases {
		for _, version := range []gomacaroon.Version{gomacaroon.V1, gomacaroon.V2} {
			t.Run(name+"/"+version.String(), func(t *testing.T) {
				m, err := macaroon.Parse(mint(t, version, c.caveats...))
				if err != nil {
					t.Fatal(err)
				}
				if len(m.Caveats()) != len(c.caveats) {
					t.Errorf("%d caveats, want %d", len(m.Caveats()), len(c.caveats))
				}
				id, ok, err := m.Account()
				if c.bad {
					if !errors.Is(err, macaroon.ErrAccountCaveat) || ok || id != (macaroon.AccountID{}) {
						t.Errorf("got %v, %v, %v", id, ok, err)
					}
					return
				}
				if err != nil || ok != (c.id != "") || ok && id.String() != c.id {
					t.Errorf("got %v, %v, %v; want %q", id, ok, err, c.id)
				}
			})
		}
	}
}

func TestAccountThirdParty(t *testing.T) {
	m, err := gomacaroon.New([]byte("root key"), []byte("id"), "lnd", gomacaroon.V2)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AddThirdPartyCaveat([]byte("k"), []byte(account), "elsewhere"); err != nil {
		t.Fatal(err)
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := macaroon.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := parsed.Account(); !errors.Is(err, macaroon.ErrAccountCaveat) {
		t.Errorf("got %v", err)
	}
}

func TestParseErrorsKeepTheSecret(t *testing.T) {
	for _, raw := range []string{"", "\x00", "\x02secret", "0034secret", "{}"} {
		if _, err := macaroon.Parse([]byte(raw)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v", raw, err)
		}
	}
}

// FuzzParse checks that no bytes bring the parser down and that an accepted
// account is one that lnd's own reading finds as well.
func FuzzParse(f *testing.F) {
	for _, version := range []gomacaroon.Version{gomacaroon.V1, gomacaroon.V2} {
		f.Add(mint(f, version))
		f.Add(mint(f, version, account))
		f.Add(mint(f, version, "ipaddr 1.2.3.4", account, "lnd-custom account"))
	}
	f.Add([]byte("\x02\x01\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := macaroon.Parse(raw)
		if err != nil {
			return
		}
		id, ok, err := m.Account()
		lnds := 0
		for _, c := range m.Caveats() {
			if bytes.HasPrefix([]byte(c.Text), []byte("lnd-custom account")) {
				lnds++
			}
		}
		switch {
		case err != nil:
		case ok && (lnds != 1 || !hasCaveat(m, "lnd-custom account "+id.String())):
			t.Errorf("account %v from %+v", id, m.Caveats())
		case !ok && lnds != 0:
			t.Errorf("no account from %+v", m.Caveats())
		}
	})
}

func hasCaveat(m *macaroon.Macaroon, text string) bool {
	for _, c := range m.Caveats() {
		if c.Text == text && !c.ThirdParty {
			return true
		}
	}
	return false
}
