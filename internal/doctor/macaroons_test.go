package doctor

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
)

const inAccount = "lnd-custom account 00000000000000aa"

// admin is what lnd's admin.macaroon may do, in short.
var admin = [][2]string{{"offchain", "write"}, {"onchain", "write"}, {"macaroon", "generate"}}

// role is a macaroon of a role of bakery's.
func role(name string, caveats ...string) string {
	r, err := bakery.RoleNamed(name)
	if err != nil {
		panic(err)
	}
	var ops [][2]string
	for _, method := range r.Needs {
		ops = append(ops, [2]string{"uri", method})
	}
	return baked(caveats, ops...)
}

func baked(caveats []string, ops ...[2]string) string {
	return string(fetchtest.Macaroon(caveats, ops...))
}

func TestStrayMacaroons(t *testing.T) {
	stray := func(text string, mode os.FileMode) func(*bench) {
		return func(b *bench) {
			b.Scratch = []string{filepath.Join(b.dir, "tmp")}
			b.write("tmp/some/tmp.macaroon", text, 0o600)
			b.chmod(filepath.Join(b.dir, "tmp"), 0o755)
			b.chmod(filepath.Join(b.dir, "tmp", "some"), 0o755)
			b.chmod(filepath.Join(b.dir, "tmp", "some", "tmp.macaroon"), mode)
		}
	}
	checked{
		"ok/none":        {func(b *bench) { b.Scratch = []string{b.dir} }, nil},
		"ok/harmless":    {stray(role("read-only"), 0o600), []want{{OK, "1 looked at"}}},
		"ok/account":     {stray(baked([]string{inAccount}, admin...), 0o600), []want{{OK, "1 looked at"}}},
		"ok/expired":     {stray(baked([]string{"time-before 2020-01-01T00:00:00Z"}, admin...), 0o644), nil},
		"ok/no macaroon": {stray("garbage", 0o644), nil},
		"ok/at home": {func(b *bench) {
			b.Scratch = []string{b.dir}
			b.write(".leyden/node/admin.macaroon", baked(nil, admin...), 0o600)
			b.write(".lnd/data/admin.macaroon", baked(nil, admin...), 0o600)
		}, nil},
		"fail/lnd's for all": {func(b *bench) {
			b.Scratch = []string{b.dir}
			path := b.write(".lnd/data/chain/bitcoin/mainnet/admin.macaroon", baked(nil, admin...), 0o644)
			for dir := filepath.Dir(path); dir != b.dir; dir = filepath.Dir(dir) {
				b.chmod(dir, 0o755)
			}
		}, []want{{Fail, "others can read the macaroon"}}},
		"ok/lnd's": {func(b *bench) {
			b.Scratch = []string{b.dir}
			b.write(".lnd/data/chain/bitcoin/mainnet/admin.macaroon", baked(nil, admin...), 0o600)
		}, []want{{OK, "1 looked at"}}},
		"ok/too deep": {func(b *bench) {
			b.Scratch = []string{b.dir}
			b.write("a/b/c/admin.macaroon", baked(nil, admin...), 0o600)
		}, nil},
		"fail/admin left behind": {stray(baked(nil, admin...), 0o600), []want{{Warn, "can make macaroons that allow anything"}}},
		"fail/pay-only":          {stray(role("pay-only"), 0o600), []want{{Info, "without a limit"}}},
		"fail/admin for all":     {stray(baked(nil, admin...), 0o644), []want{{Fail, "others can read the macaroon"}}},
		"fail/account for all":   {stray(baked([]string{inAccount}, admin...), 0o644), []want{{Fail, "spends from account 00000000000000aa"}}},
		"fail/read-only for all": {stray(role("read-only"), 0o644), []want{{Warn, "others can read the macaroon"}}},
		"fail/group may read it": {stray(baked(nil, admin...), 0o640), []want{{Fail, "others can read the macaroon"}}},
	}.run(t, checkStray)
}

// TestStrayUnfinished: a search that was cut short is no clean one.
func TestStrayUnfinished(t *testing.T) {
	b := newBench(t)
	b.Scratch = []string{b.dir}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if found := checkStray(ended, b.Env); len(found) != 1 || !found[0].Unseen {
		t.Errorf("found %s", told(found))
	}
}

// lnget writes a configuration that pays with a macaroon.
func (b *bench) lnget(change func(*fetch.Config)) {
	b.Helper()
	conf := fetch.Default()
	conf.LN.LND.Macaroon = filepath.Join(b.dir, "agent.macaroon")
	conf.LN.LND.TLSCert = filepath.Join(b.dir, "tls.cert")
	conf.Tokens.Dir = filepath.Join(b.Lnget, "tokens")
	if change != nil {
		change(&conf)
	}
	b.write(".lnget/config.yaml", conf.YAML(), 0o600)
}

func TestLngetMacaroon(t *testing.T) {
	pays := func(text string) func(*bench) {
		return func(b *bench) {
			b.lnget(nil)
			b.write("agent.macaroon", text, 0o600)
		}
	}
	checked{
		"ok/no lnget": {func(*bench) {}, nil},
		"ok/account":  {pays(baked([]string{inAccount}, admin...)), []want{{OK, "account 00000000000000aa"}}},
		"ok/another's home": {func(b *bench) {
			b.lnget(func(c *fetch.Config) { c.LN.LND.Macaroon = "~/agent.macaroon" })
			b.Environ = nil // and with it whose ~ is meant
			b.Setenv("HOME", "/nowhere")
			b.write("agent.macaroon", baked([]string{inAccount}, admin...), 0o600)
		}, []want{{OK, "account 00000000000000aa"}}},
		"fail/pay-only":     {pays(role("pay-only")), []want{{Warn, "without a limit"}}},
		"fail/admin":        {pays(baked(nil, admin...)), []want{{Fail, "does more than pay"}}},
		"fail/invoice-only": {pays(role("invoice-only")), []want{{Warn, "cannot pay"}}},
		"fail/expired":      {pays(baked([]string{inAccount, "time-before 2020-01-01T00:00:00Z"}, admin...)), []want{{Fail, "works no more: expired"}}},
		"fail/malformed":    {pays("garbage"), []want{{Fail, "malformed"}}},
		"fail/gone":         {func(b *bench) { b.lnget(nil) }, []want{{Fail, "no such file"}}},
		"fail/lnd's by default": {func(b *bench) {
			b.lnget(func(c *fetch.Config) { c.LN.LND.Macaroon = "" })
		}, []want{{Fail, "admin.macaroon"}}},
	}.run(t, checkLngetMacaroon)
}

func TestGateMacaroon(t *testing.T) {
	sells := func(text string) func(*bench) {
		return func(b *bench) {
			b.gate("")
			if text != "" {
				b.write("macaroons/invoice.macaroon", text, 0o600)
			}
		}
	}
	checked{
		"ok/no gate":     {func(*bench) {}, nil},
		"ok/role":        {sells(role("invoice-only")), []want{{OK, "no payments"}}},
		"ok/lnd's own":   {sells(baked(nil, [2]string{"invoices", "write"}, [2]string{"invoices", "read"}, [2]string{"address", "write"})), []want{{OK, "no payments"}}},
		"ok/free":        {func(b *bench) { b.gate("authenticator:\n  disable: true\n") }, nil},
		"ok/some of it":  {sells(baked(nil, [2]string{"uri", "/lnrpc.Lightning/AddInvoice"}, [2]string{"uri", "/lnrpc.Lightning/LookupInvoice"})), []want{{OK, "no payments"}}},
		"fail/admin":     {sells(baked(nil, admin...)), []want{{Fail, "does more than make invoices"}}},
		"fail/reads all": {sells(role("read-only")), []want{{Fail, "does more than make invoices"}}},
		"fail/expired":   {sells(role("invoice-only", "time-before 2020-01-01T00:00:00Z")), []want{{Fail, "works no more: expired"}}},
		"fail/gone":      {sells(""), []want{{Fail, "no such file"}}},
		"fail/malformed": {sells("garbage"), []want{{Fail, "malformed"}}},
	}.run(t, checkGateMacaroon)
}

func TestSignerMacaroon(t *testing.T) {
	given := func(dir, text string) func(*bench) {
		return func(b *bench) { b.write(".leyden/"+dir+"/admin.macaroon", text, 0o600) }
	}
	checked{
		"ok/none":  {func(*bench) {}, nil},
		"ok/bound": {given("node/signer", role("signer-only", "ipaddr 192.0.2.7")), []want{{OK, "nothing else"}, {OK, "only from address 192.0.2.7"}}},
		"ok/range": {given("signer/credentials-bundle", role("signer-only", "iprange 192.0.2.0/24")), []want{{OK, "nothing else"}, {OK, "192.0.2.0/24"}}},
		"fail/no money": {func(b *bench) {
			b.made("watchonly", "regtest", "")
			given("node/signer", role("signer-only"))(b)
		}, []want{{OK, "nothing else"}, {Info, "works from everywhere"}}},
		"fail/unbound":   {given("node/signer", role("signer-only")), []want{{OK, "nothing else"}, {Warn, "works from everywhere"}}},
		"fail/admin":     {given("node/signer", baked(nil, admin...)), []want{{Fail, "does more than a watch-only node needs"}, {Warn, "works from everywhere"}}},
		"fail/one more":  {given("signer/credentials-bundle", baked(nil, [2]string{"uri", "/walletrpc.WalletKit/SignPsbt"}, [2]string{"uri", "/signrpc.Signer/SignOutputRaw"})), []want{{Fail, "does more"}, {Warn, "works from everywhere"}}},
		"fail/malformed": {given("node/signer", "garbage"), []want{{Fail, "malformed"}}},
	}.run(t, checkSignerMacaroon)
}
