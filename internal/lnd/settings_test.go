package lnd

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// conf makes options as lnd.conf would, one "name=value" each.
func conf(lines ...string) []Option {
	options, err := ParseConf("lnd.conf", []byte(strings.Join(lines, "\n")))
	if err != nil {
		panic(err)
	}
	return options
}

func values(c *Config, name string) []string {
	var all []string
	for _, o := range c.options {
		if o.Name == name {
			all = append(all, o.Value)
		}
	}
	return all
}

func TestBuild(t *testing.T) {
	cases := map[string]struct {
		in   Settings
		want map[string]string // name to values joined with spaces
	}{
		"ok/defaults": {Settings{}, map[string]string{
			"bitcoin.mainnet": "true", "bitcoin.node": "neutrino", "channel-commit-interval": "5ms",
			"gc-canceled-invoices-on-startup": "true", "fee.url": mainnetFees}},
		"ok/regtest on btcd": {Settings{Network: "regtest", Backend: "btcd"}, map[string]string{
			"bitcoin.regtest": "true", "bitcoin.node": "btcd", "fee.url": "", "bitcoin.mainnet": ""}},
		"ok/conf wins over default": {Settings{Conf: conf("channel-commit-interval=50ms")},
			map[string]string{"channel-commit-interval": "50ms"}},
		"ok/args win over conf": {Settings{Conf: conf("listen=1.1.1.1:1", "listen=2.2.2.2:2"), Args: conf("listen=3.3.3.3:3")},
			map[string]string{"listen": "3.3.3.3:3"}},
		"ok/flag wins over args": {Settings{Args: conf("listen=3.3.3.3:3"), Listen: []string{"a:1", "b:2"}}, map[string]string{"listen": "a:1 b:2"}},
		"ok/lists stay":          {Settings{Conf: conf("addpeer=a", "addpeer=b")}, map[string]string{"addpeer": "a b"}},
		"ok/network of the conf": {Settings{Conf: conf("bitcoin.signet=1")}, map[string]string{"bitcoin.signet": "1", "bitcoin.mainnet": ""}},
		"ok/network turned off":  {Settings{Network: "regtest", Conf: conf("bitcoin.mainnet=0")}, map[string]string{"bitcoin.regtest": "true"}},
		"ok/backend of the conf": {Settings{Conf: conf("bitcoin.node=bitcoind")}, map[string]string{"bitcoin.node": "bitcoind"}},
		"ok/backend of the flag": {Settings{Backend: "btcd", Conf: conf("bitcoin.node=bitcoind")}, map[string]string{"bitcoin.node": "btcd"}},
		"ok/profiles":            {Settings{Profiles: []string{"debug", "wumbo", "taproot"}}, map[string]string{"debuglevel": "debug", "protocol.wumbo-channels": "true", "protocol.simple-taproot-chans": "true"}},
		"ok/conf over profile":   {Settings{Profiles: []string{"debug"}, Conf: conf("debuglevel=trace")}, map[string]string{"debuglevel": "trace"}},
		"ok/watch-only": {Settings{Signer: &RemoteSigner{Addr: "s:10012", CertPath: "/c", MacaroonPath: "/m"}, Conf: conf("remotesigner.timeout=9s")},
			map[string]string{"remotesigner.enable": "true", "remotesigner.rpchost": "s:10012", "remotesigner.tlscertpath": "/c",
				"remotesigner.macaroonpath": "/m", "remotesigner.timeout": "9s", "healthcheck.remotesigner.attempts": "0"}},
		"ok/watch-only defaults": {Settings{Signer: &RemoteSigner{Addr: "s:1"}}, map[string]string{"remotesigner.timeout": "20s"}},
		"ok/own keys":            {Settings{}, map[string]string{"remotesigner.enable": "", "remotesigner.timeout": ""}},
		"ok/front's are not lnd's": {Settings{Conf: conf("rpclisten=x:1", "restlisten=y:2", "apilisten=z:3", "tlsextraip=1.1.1.1", "tlscertduration=1h")},
			map[string]string{"rpclisten": "", "restlisten": "", "apilisten": "", "tlsextraip": "", "tlscertduration": ""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Build(c.in)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				if v := strings.Join(values(got, name), " "); v != want {
					t.Errorf("%s=%q, want %q", name, v, want)
				}
			}
		})
	}
}

func TestBuildFails(t *testing.T) {
	cases := map[string]struct {
		in         Settings
		code, part string
	}{
		"fail/network":          {Settings{Network: "testnet5"}, "unknown_network", `unknown network "testnet5"`},
		"fail/backend":          {Settings{Backend: "electrum"}, "unknown_backend", `"electrum"`},
		"fail/backend in conf":  {Settings{Conf: conf("bitcoin.node=electrum")}, "unknown_backend", `"electrum"`},
		"fail/no chain":         {Settings{Backend: "nochainbackend"}, "unknown_backend", "nochainbackend"},
		"fail/profile":          {Settings{Profiles: []string{"fast"}}, "unknown_profile", `"fast"`},
		"fail/another network":  {Settings{Network: "regtest", Conf: conf("", "bitcoin.mainnet=true")}, "network_conflict", "lnd.conf line 2 says bitcoin.mainnet but the node is on regtest"},
		"fail/two networks":     {Settings{Conf: conf("bitcoin.regtest=1", "bitcoin.signet=1")}, "network_conflict", "bitcoin.regtest"},
		"fail/switch":           {Settings{Conf: conf("tlsautorefresh=maybe")}, "bad_option", `line 1: malformed value "maybe"`},
		"fail/duration":         {Settings{Conf: conf("tlscertduration=forever")}, "bad_option", `"forever"`},
		"fail/list of loggers":  {Settings{Args: conf("debuglevel=show")}, "refused_option", "debuglevel"},
		"fail/without macaroon": {Settings{Conf: conf("no-macaroons=0")}, "refused_option", `line 1: option "no-macaroons"`},
		"fail/signer in conf":   {Settings{Conf: conf("remotesigner.enable=1")}, "refused_option", `line 1: option "remotesigner.enable"`},
	}
	for name := range refused {
		cases["fail/refused "+name] = struct {
			in         Settings
			code, part string
		}{Settings{Args: conf(name + "=1")}, "refused_option", `"` + name + `"`}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Build(c.in)
			if fault.Code(err) != c.code || !strings.Contains(err.Error(), c.part) || fault.Hint(err) == "" {
				t.Errorf("got %q %v (hint %q), want %q %q", fault.Code(err), err, fault.Hint(err), c.code, c.part)
			}
		})
	}
}

func TestFrontOptions(t *testing.T) {
	c, err := Build(Settings{Conf: conf("rpclisten=a:1", "rpclisten=b:2", "restlisten=c:3", "tlsextradomain=d", "tlsdisableautofill=1",
		"restcors=*", "ws-ping-interval=3s", "no-rest-tls=true")})
	if err != nil {
		t.Fatal(err)
	}
	f := c.Front
	if !slices.Equal(f.RPCListen, []string{"a:1", "b:2"}) || !slices.Equal(f.RESTListen, []string{"c:3"}) ||
		!slices.Equal(f.TLSExtraDomains, []string{"d"}) || !f.TLSDisableAutofill || !slices.Equal(f.RESTCORS, []string{"*"}) ||
		f.WSPingInterval != 3*time.Second || !f.NoRESTTLS {
		t.Errorf("got %+v", f)
	}
	c, err = Build(Settings{Conf: conf("restlisten=c:3", "norest=1")})
	if err != nil || c.Front.RESTListen != nil {
		t.Errorf("norest: %+v, %v", c.Front, err)
	}
}

func TestExplain(t *testing.T) {
	c := &Config{options: []Option{{Origin: "our default"}, {Origin: "lnd.conf line 9"}}}
	cases := map[string]string{
		"/x/child.conf:2: unknown option: y":  "lnd.conf line 9: unknown option: y",
		"/x/child.conf:7: unknown option: y":  "/x/child.conf:7: unknown option: y",
		"/x/child.conf:z: unknown option: y":  "/x/child.conf:z: unknown option: y",
		"ValidateConfig: malformed something": "ValidateConfig: malformed something",
	}
	for in, want := range cases {
		if got := c.explain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestProbedAddresses(t *testing.T) {
	cases := map[string]struct {
		in      Settings
		peers   string
		backend string
	}{
		"defaults":          {Settings{}, ":9735", ""},
		"listen":            {Settings{Conf: conf("listen=127.0.0.1", "listen=[::1]:5", "listen=[::2]", "listen=:")}, "127.0.0.1:9735 [::1]:5 [::2]:9735 :9735", ""},
		"nolisten":          {Settings{Conf: conf("nolisten=1")}, "", ""},
		"btcd":              {Settings{Network: "regtest", Backend: "btcd"}, ":9735", "localhost:18334"},
		"btcd elsewhere":    {Settings{Network: "simnet", Backend: "btcd", Conf: conf("btcd.rpchost=h")}, ":9735", "h:18556"},
		"bitcoind":          {Settings{Backend: "bitcoind", Conf: conf("bitcoind.rpchost=h:1")}, ":9735", "h:1"},
		"bitcoind, regtest": {Settings{Network: "regtest", Backend: "bitcoind", Conf: conf("listen=19735")}, "localhost:19735", "localhost:18332 localhost:18443"},
		"bitcoind on tor":   {Settings{Backend: "bitcoind", Conf: conf("tor.active=1")}, ":9735", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Build(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if peers := strings.Join(got.PeerAddrs(), " "); peers != c.peers || strings.Join(got.backendAddrs(), " ") != c.backend {
				t.Errorf("got %q and %q", peers, got.backendAddrs())
			}
		})
	}
}
