package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	lndcert "github.com/lightningnetwork/lnd/cert"

	"github.com/leydenln/leyden/internal/fetch"
)

// node makes it a node of that mode on that network, with further lines of what
// is remembered.
func (b *bench) made(mode, network, lines string) {
	b.Helper()
	b.write(".leyden/node/leyden-node.yaml", "mode: "+mode+"\nnetwork: "+network+"\n"+lines, 0o600)
}

func TestKeys(t *testing.T) {
	checked{
		"ok/none":          {func(*bench) {}, nil},
		"ok/only a signer": {func(b *bench) { b.write(".leyden/signer/seed.txt", "x", 0o600) }, nil},
		"ok/watch-only": {func(b *bench) {
			b.made("watchonly", "mainnet", "signer_host: 192.0.2.9:10012\n")
			b.bundle(b.cert(now, year))
		}, []want{{OK, "watch-only"}}},
		"fail/signer here": {func(b *bench) {
			b.made("watchonly", "mainnet", "signer_host: localhost:10012\n")
			b.bundle(b.cert(now, year))
		}, []want{{OK, "watch-only"}, {Warn, "on this machine (localhost:10012)"}}},
		"fail/taproot": {func(b *bench) {
			b.made("watchonly", "mainnet", "signer_host: 192.0.2.9:10012\nprofiles: [wumbo, taproot]\n")
			b.bundle(b.cert(now, year))
		}, []want{{OK, "watch-only"}, {Warn, "closes such a channel by force"}}},
		"fail/taproot by lnd.conf": {func(b *bench) {
			b.made("watchonly", "mainnet", "signer_host: 192.0.2.9:10012\n")
			b.bundle(b.cert(now, year))
			b.write(".leyden/node/lnd.conf", "protocol.simple-taproot-chans=true\n", 0o600)
		}, []want{{OK, "watch-only"}, {Warn, "closes such a channel by force"}}},
		"fail/standalone": {func(b *bench) { b.made("standalone", "mainnet", "") }, []want{{Warn, "holds its own keys"}}},
		"fail/no money":   {func(b *bench) { b.made("standalone", "regtest", "") }, []want{{Info, "holds its own keys"}}},
		"fail/not apart": {func(b *bench) {
			b.made("watchonly", "mainnet", "signer_host: 192.0.2.9:10012\n")
			b.bundle(b.cert(now, year))
			b.mkdir(b.Home.Signer(), 0o700)
		}, []want{{OK, "watch-only"}, {Warn, "not apart from the agent"}}},
		"fail/seed left": {func(b *bench) {
			b.made("watchonly", "mainnet", "signer_host: 192.0.2.9:10012\n")
			b.bundle(b.cert(now, year))
			b.write(".leyden/node/seed.txt", "x", 0o600)
		}, []want{{OK, "watch-only"}, {Fail, "gives the keys away"}}},
		"fail/secret bundle": {func(b *bench) {
			b.made("watchonly", "mainnet", "signer_host: 192.0.2.9:10012\n")
			b.bundle(b.cert(now, year))
			b.write(".leyden/node/signer/wallet.db", "x", 0o600)
		}, []want{{OK, "watch-only"}, {Fail, "must never leave the signer"}}},
		"fail/no bundle": {func(b *bench) { b.made("watchonly", "mainnet", "signer_host: 192.0.2.9:10012\n") }, []want{{OK, "watch-only"}, {Fail, "is no good"}}},
		"fail/malformed": {func(b *bench) { b.write(".leyden/node/leyden-node.yaml", ":\n:", 0o600) }, []want{{Fail, "cannot be understood"}}},
	}.run(t, checkKeys)
}

const year = 365 * 24 * time.Hour

// cert makes a certificate.
func (b *bench) cert(from time.Time, valid time.Duration) string {
	b.Helper()
	pem, _, err := lndcert.GenCertPair("test", nil, nil, true, time.Until(from.Add(valid)))
	if err != nil {
		b.Fatal(err)
	}
	return string(pem)
}

// bundle writes one that was imported.
func (b *bench) bundle(cert string) {
	b.Helper()
	type account struct {
		Name string `json:"name"`
		Type string `json:"address_type"`
		Key  string `json:"extended_public_key"`
		Path string `json:"derivation_path"`
	}
	list := []account{}
	for _, purpose := range []uint32{49, 84, 86} {
		list = append(list, account{"default", "TAPROOT_PUBKEY", b.xpub(purpose, 0), fmt.Sprintf("m/%d'/0'/0'", purpose)})
	}
	for family := range uint32(256) {
		list = append(list, account{fmt.Sprintf("act:%d", family), "TAPROOT_PUBKEY", b.xpub(1017, family), fmt.Sprintf("m/1017'/0'/%d'", family)})
	}
	data, err := json.Marshal(map[string]any{"accounts": list})
	if err != nil {
		b.Fatal(err)
	}
	b.write(".leyden/node/signer/accounts.json", string(data), 0o600)
	b.write(".leyden/node/signer/tls.cert", cert, 0o600)
	b.write(".leyden/node/signer/admin.macaroon", role("signer-only", "ipaddr 127.0.0.1"), 0o600)
}

// xpub is an extended public key of a seed of the test's.
func (b *bench) xpub(purpose, account uint32) string {
	b.Helper()
	key, err := hdkeychain.NewMaster(bytes.Repeat([]byte{7}, 32), &chaincfg.MainNetParams)
	for _, step := range []uint32{purpose, 0, account} {
		if err == nil {
			key, err = key.Derive(step + hdkeychain.HardenedKeyStart)
		}
	}
	if err == nil {
		key, err = key.Neuter()
	}
	if err != nil {
		b.Fatal(err)
	}
	return key.String()
}

func TestSeed(t *testing.T) {
	checked{
		"ok/none":     {func(*bench) {}, nil},
		"ok/away":     {func(b *bench) { b.write(".leyden/signer/wallet-password.txt", "x", 0o600) }, []want{{OK, "not on this disk"}}},
		"fail/node":   {func(b *bench) { b.write(".leyden/node/seed.txt", "x", 0o600) }, []want{{Warn, "the node's seed"}}},
		"fail/signer": {func(b *bench) { b.write(".leyden/signer/seed.txt", "x", 0o600) }, []want{{Warn, "the signer's seed"}}},
		"fail/no money": {func(b *bench) {
			b.made("standalone", "signet", "")
			b.write(".leyden/node/seed.txt", "x", 0o600)
		}, []want{{Info, "the node's seed"}}},
		"fail/no money at the signer": {func(b *bench) {
			b.write(".leyden/signer/leyden-signer.yaml", "network: regtest\nroot_key_id: 7\n", 0o600)
			b.write(".leyden/signer/seed.txt", "x", 0o600)
		}, []want{{Info, "the signer's seed"}}},
	}.run(t, checkSeed)
}

// TestSigner: that one is found is tested on a real one (itest).
func TestSigner(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	checked{
		"ok/none":         {func(*bench) {}, nil},
		"ok/standalone":   {func(b *bench) { b.made("standalone", "mainnet", "") }, nil},
		"fail/no address": {func(b *bench) { b.made("watchonly", "mainnet", "") }, []want{{Warn, "never reached"}}},
		"fail/no bundle":  {func(b *bench) { b.made("watchonly", "mainnet", "signer_host: "+nobody+"\n") }, []want{{Fail, "cannot sign"}}},
		"fail/unreachable": {func(b *bench) {
			b.made("watchonly", "mainnet", "signer_host: "+nobody+"\n")
			b.bundle(b.cert(now, year))
		}, []want{{Fail, "cannot be reached"}}},
	}.run(t, checkSigner)
}

func TestCertificates(t *testing.T) {
	node := func(left time.Duration) func(*bench) {
		return func(b *bench) { b.write(".leyden/node/tls.cert", b.cert(now, left), 0o644) }
	}
	checked{
		"ok/none":        {func(*bench) {}, nil},
		"ok/a year":      {node(year), []want{{OK, "is good until"}}},
		"fail/soon":      {node(certSoon - time.Hour), []want{{Warn, "in 29 days"}}},
		"fail/urgent":    {node(certUrgent - time.Hour), []want{{Fail, "in 6 days"}}},
		"fail/expired":   {func(b *bench) { b.Now = now.Add(2 * year); node(year)(b) }, []want{{Fail, "has expired"}}},
		"fail/too new":   {func(b *bench) { b.Now = now.AddDate(-10, 0, 0); node(year)(b) }, []want{{Fail, "is the clock right"}}},
		"fail/malformed": {func(b *bench) { b.write(".leyden/guard/tls.cert", "x", 0o644) }, []want{{Fail, "malformed"}}},
		"fail/gate": {func(b *bench) {
			b.gate(b.paid())
			b.write(".leyden/gate/tls.cert", b.cert(now, time.Hour), 0o644)
		}, []want{{Fail, "the gate's certificate"}}},
		"ok/gate without TLS": {func(b *bench) {
			b.gate(b.paid() + "insecure: true\n")
			b.write(".leyden/gate/tls.cert", b.cert(now, time.Hour), 0o644)
		}, nil},
		"ok/imported": {func(b *bench) { b.bundle(b.cert(now, year)) }, []want{{OK, "the imported signer's"}}},
		"fail/bundle of another certificate": {func(b *bench) {
			b.write(".leyden/signer/tls.cert", b.cert(now, year), 0o644)
			b.write(".leyden/signer/credentials-bundle/tls.cert", b.cert(now, year), 0o600)
		}, []want{{OK, "the signer's"}, {Fail, "another certificate than the one in its bundle"}}},
		"ok/bundle": {func(b *bench) {
			pem := b.cert(now, year)
			b.write(".leyden/signer/tls.cert", pem, 0o644)
			b.write(".leyden/signer/credentials-bundle/tls.cert", pem, 0o600)
		}, []want{{OK, "the signer's"}}},
		"fail/lnget trusts another": {func(b *bench) {
			node(year)(b)
			b.lnget(func(c *fetch.Config) { c.LN.LND.TLSCert = b.write("tls.cert", b.cert(now, year), 0o600) })
		}, []want{{OK, "the node's"}, {OK, "as lnget has it"}, {Info, "is not our node's certificate"}}},
		"ok/lnget trusts ours": {func(b *bench) {
			node(year)(b)
			b.lnget(func(c *fetch.Config) { c.LN.LND.TLSCert = filepath.Join(b.Home.Node(), "tls.cert") })
		}, []want{{OK, "the node's"}}},
		"fail/lnget alone": {func(b *bench) {
			b.lnget(func(c *fetch.Config) { c.LN.LND.TLSCert = b.write("tls.cert", b.cert(now, certSoon-time.Hour), 0o600) })
		}, []want{{Warn, "as lnget has it, certificate expires"}}},
	}.run(t, checkCertificates)
}

// TestNoSecretInFindings looks for what secret files hold in all that is said.
func TestNoSecretInFindings(t *testing.T) {
	b := newBench(t)
	const password = "correct-horse-battery"
	b.made("watchonly", "mainnet", "signer_host: localhost:1\n")
	b.bundle(b.cert(now, year))
	for _, name := range []string{"node/seed.txt", "node/wallet-password.txt", "gate/master.key", "guard/guard.db", "node/lnd.conf"} {
		b.write(".leyden/"+name, password, 0o644)
	}
	b.gate(b.paid() + "nonsense: " + password[:7] + "\n")
	b.lnget(nil)
	b.write("agent.macaroon", baked(nil, admin...), 0o644)
	b.Agent, b.Scratch = stranger(), []string{b.dir}
	b.opened()
	r := Run(t.Context(), b.Env, nil)
	if r.Counts[Fail] < 5 {
		t.Errorf("only %d failures found: %s", r.Counts[Fail], told(r.Findings))
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	macaroon, err := os.ReadFile(b.dir + "/agent.macaroon")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(password)) || bytes.Contains(text, macaroon) {
		t.Errorf("a secret is told: %s", text)
	}
}
