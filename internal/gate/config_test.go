package gate

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// mistakes are the files of testdata/config and what their error must say
// after the file's name.
var mistakes = map[string]string{
	"bad_address":            `service "a": address "localhost": want host:port`,
	"bad_auth":               `line 5: "maybe": want one of on, off, true, false`,
	"bad_expiry":             "challenges.expiry 10ms: want 1s to 8760h",
	"bad_expression":         "line 5: bad expression \"^/api/(.*$\": missing closing ): `^/api/(.*$`",
	"bad_header":             `service "api": headers: "a b" is no header name`,
	"bad_level":              `line 1: "loud": want one of trace, debug`,
	"bad_listenaddr":         `listenaddr "localhost:99999": port "99999"`,
	"bad_lndhost":            `authenticator.lndhost "nowhere": want host:port`,
	"bad_maxopen":            `line 1: "many": want a whole number`,
	"bad_name":               `line 2: service name: services caveat: malformed name "a,b"`,
	"bad_network":            `line 1: "mainet": want one of mainnet, testnet`,
	"bad_price":              `line 5: "-5": want a whole number from 0 to 2100000000000000`,
	"bad_protocol":           `line 5: "ftp": want one of http, https`,
	"bad_timeout":            `line 1: "120": want a time with its unit`,
	"bad_whitelist":          `line 5: bad expression "["`,
	"fractional_price":       `line 5: "1.5": want a whole number`,
	"freebie":                `line 5: auth "freebie 3" is not available yet`,
	"half_tls":               "tlscertpath and tlskeypath go together",
	"insecure_tls":           "insecure: true and tlscertpath exclude each other",
	"later_authscheme":       "line 5: authscheme is not available yet: the gate sells by L402 alone so far",
	"later_autocert":         "line 1: autocert is not available yet: use tlscertpath and tlskeypath",
	"later_blocklist":        "line 1: blocklist is not available yet",
	"later_dbbackend":        `line 1: "postgres" is not available: the gate keeps its records in sqlite`,
	"later_dynamicprice":     "line 5: dynamicprice is not available yet: use price",
	"later_enablempp":        "line 1: authenticator.enablempp is not available yet",
	"later_hashmail":         "line 2: hashmail is not available yet",
	"later_invoicebatchsize": "line 1: invoicebatchsize is not available yet: the gate verifies tokens without reading invoices",
	"later_passphrase":       "line 1: authenticator.passphrase is not available yet: the gate reaches its node by lndhost",
	"later_postgres":         "line 1: postgres is not available yet",
	"later_ratelimits":       "line 5: ratelimits is not available yet",
	"later_rewrite":          "line 5: rewrite is not available yet",
	"later_skipmigrations":   "line 1: sqlite.skipmigrations is not available yet",
	"no_address":             `service "a": address is missing`,
	"no_macdir":              "authenticator.macdir is missing",
	"no_name":                "service 1 has no name",
	"no_services":            "no services",
	"no_tlspath":             "authenticator.tlspath is missing",
	"same_name":              `service "a" is there twice`,
	"static_without_root":    "servestatic needs staticroot",
	"tls_cert_of_http":       `service "api": tlscertpath needs protocol: https`,
	"two_dbfiles":            "sqlite.dbfile and sqlite.databasefilename differ",
	"unknown_key":            `line 2: unknown key "listenadr"`,
	"unknown_service_key":    `line 5: unknown key "prize"`,
}

func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if strings.HasPrefix(name, "ok_") {
			continue
		}
		t.Run("fail/"+name, func(t *testing.T) {
			want, ok := mistakes[name]
			if !ok {
				t.Fatal("no expectation for this file")
			}
			seen++
			_, err := Load(path, "/gate")
			if fault.Code(err) != CodeBadConfig || fault.Hint(err) == "" || !strings.HasPrefix(err.Error(), path+": "+want) {
				t.Errorf("got  %v (%s)\nwant %s: %s", err, fault.Code(err), path, want)
			}
		})
	}
	if seen != len(mistakes) {
		t.Errorf("%d files for %d expectations", seen, len(mistakes))
	}
}

func TestDefaults(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	c, err := Load("testdata/config/ok_minimal.yaml", "/gate")
	if err != nil {
		t.Fatal(err)
	}
	wd, err := filepath.Abs("testdata/config")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Services[0]
	for what, pair := range map[string][2]any{
		"listenaddr":  {c.ListenAddr, "localhost:8081"},
		"insecure":    {c.Insecure, false},
		"basedir":     {c.BaseDir, "/gate"},
		"database":    {c.SQLite.DBFile, "/gate/gate.db"},
		"network":     {c.Authenticator.Network, network("mainnet")},
		"lndhost":     {c.Authenticator.LndHost, "localhost:10009"},
		"tlspath":     {c.Authenticator.TLSPath, filepath.Join(wd, "tls.cert")},
		"macdir":      {c.Authenticator.MacDir, wd},
		"maxopen":     {c.Challenges.MaxOpen, positive(1000)},
		"expiry":      {c.Challenges.Expiry, duration(time.Hour)},
		"sameaddress": {c.Challenges.SameAddress, false},
		"idletimeout": {c.IdleTimeout, duration(2 * time.Minute)},
		"price":       {s.Price, price(1)},
		"protocol":    {s.Protocol, protocol("http")},
		"auth":        {s.Auth.off, false},
		"every path":  {s.PathRegexp.match("/x") && s.HostRegexp.match("y"), true},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}

	if c, err = Load("testdata/config/ok_seed.yaml", "/gate"); err != nil {
		t.Fatal(err)
	}
	s = c.Services[0]
	if c.Authenticator.TLSPath != "/home/u/.lnd/tls.cert" || c.SQLite.DBFile != "/home/u/.aperture/aperture.db" ||
		s.Price != 100 || s.Price.msat() != 100_000 || s.Timeout.duration() != 31557600*time.Second || s.Auth.off {
		t.Errorf("seed: %+v %+v", c, s)
	}
	if c, err = Load("testdata/config/ok_databasefilename.yaml", "/gate"); err != nil || c.SQLite.DBFile != filepath.Join(wd, "sales.db") {
		t.Errorf("databasefilename: %v, %v", c, err)
	}
}

func TestFind(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	if _, err := Find("", dir); fault.Code(err) != "no_config" {
		t.Errorf("nothing there: %v", err)
	}
	aperture := filepath.Join(home, ".aperture", "aperture.yaml")
	if err := os.MkdirAll(filepath.Dir(aperture), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{aperture, filepath.Join(dir, "gate.yaml")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Find("", dir); err != nil || got != path {
			t.Errorf("got %q, %v; want %q", got, err, path)
		}
	}
	if got, err := Find("/else/where.yaml", dir); err != nil || got != "/else/where.yaml" {
		t.Errorf("flag: %q, %v", got, err)
	}
}

func TestNetworkOwns(t *testing.T) {
	for name, c := range map[string]struct {
		network network
		invoice string
		want    bool
	}{
		"ok/amount":         {"mainnet", "lnbc10n1x", true},
		"ok/no amount":      {"mainnet", "lnbc1x", true},
		"ok/upper case":     {"regtest", "LNBCRT10N1X", true},
		"ok/signet":         {"signet", "lntbs10n1x", true},
		"fail/regtest":      {"mainnet", "lnbcrt10n1x", false},
		"fail/signet":       {"testnet", "lntbs10n1x", false},
		"fail/mainnet":      {"regtest", "lnbc10n1x", false},
		"fail/empty":        {"regtest", "", false},
		"fail/only a start": {"regtest", "lnbcrt", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.network.owns(c.invoice); got != c.want {
				t.Errorf("%s owns %q: %v", c.network, c.invoice, got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("/x/gate.yaml", text, "/gate")
		if err != nil {
			if fault.Code(err) != CodeBadConfig {
				t.Errorf("code %q: %v", fault.Code(err), err)
			}
			return
		}
		if len(c.Services) == 0 && !c.ServeStatic {
			t.Error("nothing to serve")
		}
		for _, s := range c.Services {
			if s.Name == "" || s.Address == "" || s.Price < 1 || s.Price > maxPrice {
				t.Errorf("accepted %+v", s)
			}
		}
	})
}
