package fetch_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
)

func perm(entity, action string) [2]string { return [2]string{entity, action} }

// What lnd and Leyden bake, from the least to the most powerful.
var (
	payURI    = perm("uri", "/routerrpc.Router/SendPaymentV2")
	trackURI  = perm("uri", "/routerrpc.Router/TrackPaymentV2")
	account   = fetchtest.Macaroon([]string{"lnd-custom account 00112233aabbccdd"}, perm("offchain", "read"), perm("offchain", "write"))
	payOnly   = fetchtest.Macaroon(nil, payURI, trackURI)
	payBlind  = fetchtest.Macaroon(nil, payURI)
	custom    = fetchtest.Macaroon(nil, perm("offchain", "read"), perm("offchain", "write"), perm("info", "read"))
	admin     = fetchtest.Macaroon(nil, perm("offchain", "read"), perm("offchain", "write"), perm("macaroon", "generate"))
	readOnly  = fetchtest.Macaroon(nil, perm("offchain", "read"), perm("info", "read"))
	otherKind = fetchtest.Macaroon([]string{"lnd-custom other 1"}, perm("offchain", "write"), perm("offchain", "read"))
)

// nodeDir makes an lnddir with the macaroons of a network.
func nodeDir(t *testing.T, dir, network string, macaroons map[string][]byte) {
	t.Helper()
	chain := filepath.Join(dir, "data", "chain", "bitcoin", network)
	if err := os.MkdirAll(chain, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range macaroons {
		if err := os.WriteFile(filepath.Join(chain, name+".macaroon"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLeastPowerfulMacaroon(t *testing.T) {
	cases := map[string]struct {
		macaroons map[string][]byte
		want      string
		account   bool
		admin     bool
	}{
		"ok/admin alone":             {map[string][]byte{"admin": admin, "readonly": readOnly}, "admin", false, true},
		"ok/content, not name":       {map[string][]byte{"admin": payOnly, "pay-only": admin}, "admin", false, false},
		"ok/account first":           {map[string][]byte{"a": admin, "b": payOnly, "c": account}, "c", true, false},
		"ok/pay-only before custom":  {map[string][]byte{"a": custom, "b": payOnly}, "b", false, false},
		"ok/custom before admin":     {map[string][]byte{"a": admin, "b": custom}, "b", false, true},
		"ok/one that can track":      {map[string][]byte{"a": payBlind, "b": custom}, "b", false, true},
		"ok/other caveat: no limits": {map[string][]byte{"a": otherKind, "b": payOnly}, "b", false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			t.Setenv("LEYDEN_HOME", "")
			dir := t.TempDir()
			nodeDir(t, dir, "regtest", c.macaroons)
			found, err := fetch.Detect(fetch.Search{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if got := filepath.Base(found.LND.Macaroon); got != c.want+".macaroon" || found.Account != c.account || found.Admin != c.admin {
				t.Errorf("found %+v, want %s", found, c.want)
			}
		})
	}
	t.Run("fail/none can pay", func(t *testing.T) {
		dir := t.TempDir()
		nodeDir(t, dir, "regtest", map[string][]byte{"readonly": readOnly, "junk": []byte("x")})
		if _, err := fetch.Detect(fetch.Search{Dir: dir}); fault.Code(err) != "no_paying_macaroon" {
			t.Errorf("got %v", err)
		}
	})
}

func TestDetectPlaces(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("LEYDEN_HOME", "")
	if _, err := fetch.Detect(fetch.Search{}); fault.Code(err) != "node_not_found" || fault.Hint(err) == "" {
		t.Errorf("nothing there: %v", err)
	}
	nodeDir(t, filepath.Join(home, ".lnd"), "testnet", map[string][]byte{"admin": admin})
	nodeDir(t, filepath.Join(home, ".lnd"), "mainnet", map[string][]byte{"admin": admin})
	found, err := fetch.Detect(fetch.Search{})
	if err != nil || found.LND.Network != "mainnet" || found.LND.Host != "localhost:10009" ||
		found.LND.TLSCert != filepath.Join(home, ".lnd", "tls.cert") {
		t.Errorf("lnd: %+v %v", found, err)
	}
	if found, err := fetch.Detect(fetch.Search{Network: "testnet"}); err != nil || found.LND.Network != "testnet" {
		t.Errorf("testnet asked for: %+v %v", found, err)
	}
	nodeDir(t, filepath.Join(home, ".leyden", "node"), "regtest", map[string][]byte{"admin": admin})
	run := filepath.Join(home, ".leyden", "run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, "node.json"), []byte(`{"network":"regtest","rpc":["[::]:12345"],"x":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := fetch.Detect(fetch.Search{}); err != nil || found.LND.Network != "regtest" || found.LND.Host != "localhost:12345" {
		t.Errorf("leyden: %+v %v", found, err)
	}
}

// TestGivenMacaroon: the one that is named wins over those in the node's
// folder, which need not have any.
func TestGivenMacaroon(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("LEYDEN_HOME", "")
	t.Chdir(home)
	nodeDir(t, filepath.Join(home, ".lnd"), "testnet", map[string][]byte{"pay": payOnly})
	for name, data := range map[string][]byte{"agent": account, "admin": admin, "readonly": readOnly, "junk": []byte("x")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := fetch.Detect(fetch.Search{Macaroon: "agent"})
	if err != nil || found.LND.Macaroon != filepath.Join(home, "agent") || !found.Account || found.Admin || found.LND.Network != "testnet" {
		t.Errorf("agent: %+v, %v", found, err)
	}
	if found, err = fetch.Detect(fetch.Search{Macaroon: "admin"}); err != nil || !found.Admin {
		t.Errorf("admin: %+v, %v", found, err)
	}
	for name, code := range map[string]string{"readonly": "no_paying_macaroon", "junk": "bad_macaroon", "none": "bad_macaroon"} {
		if _, err := fetch.Detect(fetch.Search{Macaroon: name}); fault.Code(err) != code || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	nodeDir(t, filepath.Join(home, "empty"), "regtest", nil)
	if found, err = fetch.Detect(fetch.Search{Dir: "empty", Macaroon: "agent"}); err != nil || found.LND.Network != "regtest" {
		t.Errorf("a folder without macaroons: %+v, %v", found, err)
	}
	if _, err = fetch.Detect(fetch.Search{Dir: "empty", Network: "mainnet", Macaroon: "agent"}); fault.Code(err) != "node_not_found" {
		t.Errorf("no such network there: %v", err)
	}
}

// TestGuardBeforeLnd: an account's macaroon is for the guard, not for the lnd
// behind it; without one that is given the guard is not looked at.
func TestGuardBeforeLnd(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("LEYDEN_HOME", "")
	nodeDir(t, filepath.Join(home, ".lnd"), "regtest", map[string][]byte{"admin": admin})
	agent, run := filepath.Join(home, "agent"), filepath.Join(home, ".leyden", "run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		agent:                            string(account),
		filepath.Join(run, "guard.json"): `{"network":"regtest","rpc":["127.0.0.1:10019"],"tls_cert":"/guard/tls.cert"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := fetch.Detect(fetch.Search{Macaroon: agent})
	if err != nil || found.LND.Host != "127.0.0.1:10019" || found.LND.TLSCert != "/guard/tls.cert" || found.LND.Macaroon != agent || !found.Account {
		t.Errorf("with the account's macaroon: %+v, %v", found, err)
	}
	for name, s := range map[string]fetch.Search{"without": {}, "lnd named": {Macaroon: agent, Dir: filepath.Join(home, ".lnd")}} {
		if found, err = fetch.Detect(s); err != nil || found.LND.Host != "localhost:10009" {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}
