package gate

import (
	"fmt"
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
	"autocert_insecure":          `line 2: autocert and insecure: true exclude`,
	"autocert_own":               `line 3: autocert and tlscertpath exclude`,
	"autocert_without_name":      `line 1: autocert needs servername`,
	"autocertemail_alone":        `line 1: autocertemail needs autocert: true`,
	"bad_address":                `line 2: service "a": address "localhost": want host:port`,
	"bad_auth":                   `line 5: auth "maybe": want one of on, off, true, false, freebie N`,
	"bad_authscheme":             `line 5: authscheme "lsat": want one of l402, mpp, l402+mpp`,
	"bad_autocert_ca":            `line 3: autocertca "http://ca.example/dir": want the https URL`,
	"bad_autocert_email":         `line 3: autocertemail "nobody": want an e-mail address`,
	"bad_autocert_name":          `line 2: servername "localhost": want a DNS name of at least two labels`,
	"bad_blocklist":              `line 3: blocklist "1.1.1.256": want an address, or a network`,
	"bad_bool":                   "line 1: shadow: cannot unmarshal !!str `maybe` into bool",
	"bad_bytes":                  `line 2: limits.maxbodybytes "4MB": want a number of bytes, such as 4096 or 32KiB`,
	"bad_capability":             `line 5: service "api": capabilities "add,sub tract": capabilities caveat: malformed name`,
	"bad_capability_path":        `line 6: capabilitypaths.add bad expression "("`,
	"bad_constraint":             `line 5: service "api": constraints.api_valid_until is the gate's own caveat`,
	"bad_expiry":                 "line 1: challenges.expiry 10ms: want 1s to 8760h",
	"bad_expression":             "line 5: pathregexp bad expression \"^/api/(.*$\": missing closing ): `^/api/(.*$`",
	"bad_freebie":                `line 5: auth "freebie 0": want freebie and a number from 1 to 1000000`,
	"bad_header":                 `line 5: service "api": headers.a b is no header's name`,
	"bad_headerlimit":            `line 1: limits.maxheaderbytes 12: want 1KiB to 16MiB`,
	"bad_level":                  `line 1: debuglevel "loud": want one of trace, debug, info, warn, error, critical, off`,
	"bad_listenaddr":             `line 1: listenaddr "localhost:99999": port "99999": want a number from 1 to 65535`,
	"bad_lndhost":                `line 1: authenticator.lndhost "nowhere": want host:port`,
	"bad_maxopen":                `line 1: challenges.maxopen "many": want a whole number from 0 to 1000000`,
	"bad_name":                   `line 2: name "a,b": services caveat: malformed name "a,b": character ','`,
	"bad_network":                `line 1: authenticator.network "mainet": want one of mainnet, testnet, testnet4, signet, regtest, simnet`,
	"bad_price":                  `line 5: price "-5": want a whole number from 0 to 2100000000000000`,
	"bad_prometheus":             `line 3: prometheus.listenaddr ":9000": want an address of the loopback`,
	"bad_protocol":               `line 5: protocol "ftp": want one of http, https`,
	"bad_ratelimit_path":         `line 5: ratelimits.pathregexp bad expression "("`,
	"bad_realm":                  `line 1: authenticator.mpprealm needs enablempp: true`,
	"bad_rewrite":                `line 6: service "api": rewrite.prefix "v1/../v2": want a plain path`,
	"bad_timeout":                `line 1: idletimeout "120": want a time with its unit, such as 90s or 5m`,
	"bad_trustedproxies":         `line 1: trustedproxies "fe80::1%eth0": want an address`,
	"bad_whitelist":              "line 5: authwhitelistpaths bad expression \"[\": missing closing ]: `[`",
	"bad_valid_until":            `line 6: service "api": constraints.valid_until: "soon" is no time`,
	"blocklist_word":             `line 1: blocklist want a list of addresses and networks`,
	"capability_unknown":         `line 8: service "api": capabilitypaths.subtract is not among capabilities`,
	"hashmail_burst":             `line 4: hashmail.messageburstallowance "-1": want a whole number from 0 to 4294967295`,
	"hashmail_key":               `line 3: unknown key "messageburst"`,
	"hashmail_rate":              `line 3: hashmail.messagerate 2s: want at most 1s`,
	"hashmail_stale":             `line 3: hashmail.staletimeout "soon": want a time with its unit, such as 5m, or -1s`,
	"fractional_price":           `line 5: price "1.5": want a whole number from 0 to 2100000000000000`,
	"freebie_alone":              `line 5: auth "freebie": want one of on, off`,
	"half_tls":                   "line 1: tlscertpath and tlskeypath go together",
	"insecure_tls":               "line 2: tlscertpath and insecure: true exclude each other",
	"later_dbbackend":            `line 1: dbbackend "postgres" is not available: the gate keeps its records in sqlite`,
	"later_dynamicprice":         "line 5: dynamicprice is not available yet: use price",
	"later_enablesessions":       `line 1: authenticator.enablesessions is not available yet: the gate sells single requests and tokens`,
	"later_invoicebatchsize":     "line 1: invoicebatchsize is not available yet: the gate verifies tokens without reading invoices",
	"later_postgres":             "line 1: postgres is not available yet",
	"later_profile":              `line 1: profile is not available yet`,
	"later_skipmigrations":       "line 1: sqlite.skipmigrations is not available yet",
	"lnc_devserver":              "line 1: authenticator.devserver needs passphrase",
	"lnc_mailbox":                `line 1: authenticator.mailboxaddress "relay": want host:port`,
	"lnc_no_mailbox":             "line 1: authenticator.mailboxaddress is missing: the relay of the session",
	"lnc_no_words":               "line 1: authenticator.mailboxaddress needs passphrase: the ten words",
	"lnc_tlspath":                "line 2: authenticator.tlspath and passphrase exclude each other",
	"lnc_words":                  "line 1: authenticator.passphrase word 10 of the phrase is not in the list",
	"mpp_off":                    `line 5: service "api": authscheme "l402+mpp" needs authenticator.enablempp: true`,
	"no_address":                 `line 2: service "a": address is missing: the backend's host:port`,
	"no_macdir":                  "line 1: authenticator.macdir is missing: the folder with the node's invoice.macaroon",
	"no_name":                    "line 2: service 1 has no name",
	"no_services":                "line 1: services is missing: there is nothing to sell",
	"no_tlspath":                 "line 1: authenticator.tlspath is missing: the node's tls.cert",
	"ratelimit_without_per":      `line 7: service "api": ratelimits.per is missing`,
	"ratelimit_without_requests": `line 2: ratelimits.requests is missing`,
	"same_name":                  `line 2: service "a" is there twice: tokens of one would open the other`,
	"static_of_all":              `line 2: staticroot "`,
	"static_without_root":        "line 1: servestatic needs staticroot",
	"tls_cert_of_http":           `line 5: service "api": tlscertpath needs protocol: https`,
	"two_dbfiles":                "line 1: sqlite.databasefilename and sqlite.dbfile differ: keep one",
	"unknown_key":                `line 2: unknown key "listenadr"`,
	"unknown_service_key":        `line 5: unknown key "prize"`,
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
		"hashmail":    {c.HashMail, HashMail{}},
		"idletimeout": {c.IdleTimeout, duration(2 * time.Minute)},
		"price":       {s.Price, price(1)},
		"protocol":    {s.Protocol, protocol("http")},
		"auth":        {s.Auth.off, false},
		"scheme":      {s.AuthScheme, schemeL402},
		"limits":      {c.Limits, Limits{10_000, 32 << 10, 0, duration(10 * time.Second), duration(30 * time.Second)}},
		"prometheus":  {c.Prometheus, Prometheus{false, "localhost:9000"}},
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

func TestEveryKey(t *testing.T) {
	c, err := Load("testdata/config/ok_full.yaml", "/gate")
	if err != nil {
		t.Fatal(err)
	}
	wd, err := filepath.Abs("testdata/config")
	if err != nil {
		t.Fatal(err)
	}
	math, plain := c.Services[0], c.Services[1]
	for what, pair := range map[string][2]any{
		"autocert":        {[]any{c.AutoCert, c.AutoCertEmail, c.AutoCertCA}, []any{true, "owner@example.com", "https://localhost:14000/dir"}},
		"autocertroot":    {c.AutoCertRoot, filepath.Join(wd, "pebble.pem")},
		"blocklist":       {fmt.Sprint(c.BlockList), "[1.1.1.1/32 2001:db8::/32 192.0.2.0/24 1.0.0.1/32]"},
		"trustedproxies":  {fmt.Sprint(c.TrustedProxies), "[127.0.0.1/32]"},
		"ratelimits":      {c.RateLimits, []RateLimit{{Requests: 100, Per: duration(time.Second), Burst: 100}}},
		"prometheus":      {c.Prometheus, Prometheus{true, "127.0.0.1:9100"}},
		"accesslog":       {c.AccessLog, filepath.Join(wd, "access.log")},
		"hashmail":        {c.HashMail, HashMail{true, duration(20 * time.Millisecond), 1000, staleTime(-time.Second)}},
		"limits":          {c.Limits, Limits{500, 16 << 10, 1 << 20, duration(5 * time.Second), duration(time.Minute)}},
		"realm":           {c.Authenticator.MPPRealm, "the shop"},
		"capabilities":    {math.capabilities(), []string{"add", "subtract"}},
		"capability path": {math.CapabilityPaths["add"].match("/add/2"), true},
		"constraints":     {math.Constraints, map[string]string{"valid_until": "1682483169"}},
		"burst":           {math.RateLimits[0].Burst, positive(100)},
		"free":            {math.Auth, authLevel{free: 3}},
		"scheme":          {[]authScheme{math.AuthScheme, plain.AuthScheme}, []authScheme{schemeBoth, schemeL402}},
		"body":            {[]byteCount{math.MaxBodyBytes, plain.MaxBodyBytes}, []byteCount{4096, 1 << 20}},
		"shadow":          {[]bool{math.Shadow, plain.Shadow}, []bool{true, false}},
		"rewrite":         {math.Rewrite.Prefix, "/v1"},
		"pass credential": {math.PassCredential, true},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
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
			if strings.Contains(err.Error(), ", column ") {
				t.Errorf("no key for %v", err)
			}
			return
		}
		if len(c.Services) == 0 && !c.ServeStatic && !c.HashMail.Enabled {
			t.Error("nothing to serve")
		}
		for _, s := range c.Services {
			if s.Name == "" || s.Address == "" || s.Price < 1 || s.Price > maxPrice {
				t.Errorf("accepted %+v", s)
			}
		}
	})
}
