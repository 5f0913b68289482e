package signer_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/signer"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/testwallet"
	"github.com/leydenln/leyden/internal/until"
)

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	file := func(text string, mode os.FileMode) string {
		return m.write(filepath.Join(t.TempDir(), "file"), text, mode)
	}
	words := strings.Repeat("abandon ", 24)
	none := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		args []string
		code string
	}{
		"fail/network":                 {[]string{"--network", "fakenet"}, "unknown_network"},
		"fail/no password file":        {[]string{"--password-file", none}, "no_password_file"},
		"fail/password others read":    {[]string{"--password-file", file("long enough", 0o644)}, "insecure_file"},
		"fail/short password":          {[]string{"--password-file", file("short\n", 0o600)}, "short_password"},
		"fail/no seed file":            {[]string{"--seed-file", none}, "no_seed_file"},
		"fail/seed others read":        {[]string{"--seed-file", file(words, 0o640)}, "insecure_file"},
		"fail/seed of three words":     {[]string{"--seed-file", file("one two three", 0o600)}, "bad_seed"},
		"fail/seed without checksum":   {[]string{"--seed-file", file(words, 0o600)}, "bad_seed"},
		"fail/seed of unknown words":   {[]string{"--seed-file", file(strings.Repeat("leyden ", 24), 0o600)}, "bad_seed"},
		"fail/no passphrase file":      {[]string{"--seed-passphrase-file", none}, "no_seed_file"},
		"fail/empty passphrase":        {[]string{"--seed-passphrase-file", file("\n", 0o600)}, "bad_seed"},
		"fail/restore nothing":         {[]string{"--restore"}, "bad_seed"},
		"fail/nobody sees the seed":    {[]string{"--no-seed-file"}, "seed_unsafe"},
		"fail/address":                 {[]string{"--allow-ip", "everywhere"}, "bad_bounds"},
		"fail/two addresses":           {[]string{"--allow-ip", "192.0.2.1", "--allow-ip", "192.0.2.2"}, "bad_bounds"},
		"fail/network of addresses":    {[]string{"--allow-range", "192.0.2.1"}, "bad_bounds"},
		"fail/address outside network": {[]string{"--allow-ip", "192.0.2.1", "--allow-range", "198.51.100.0/24"}, "bad_bounds"},
		"fail/certificate address":     {[]string{"--tlsextraip", "signer.example"}, "bad_address"},
		"fail/option of lnd":           {[]string{"--", "--no-macaroons"}, "refused_option"},
		"fail/another network in lnd":  {[]string{"--", "--bitcoin.mainnet"}, "network_conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if _, code := m.run(append([]string{"init", "--network", "regtest"}, c.args...)...); code != c.code {
				t.Errorf("code %q, want %q", code, c.code)
			}
			if _, err := os.Stat(m.path("data", "chain", "bitcoin", "regtest", "wallet.db")); err == nil {
				t.Error("there is a wallet")
			}
			if _, err := os.Stat(signer.BundleDir(config.Home(m.home))); err == nil {
				t.Error("there is a bundle")
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	m, taken := newMade(t), newMade(t)
	taken.start()
	another := m.write(filepath.Join(t.TempDir(), "another"), "password of another\n", 0o600)
	conf := func(text string, mode os.FileMode) { m.write(m.path("signer-lnd.conf"), text, mode) }
	for name, c := range map[string]struct {
		conf string
		args []string
		code string
	}{
		"fail/port taken":             {"", []string{"--rpclisten", taken.rpc}, "port_in_use"},
		"fail/no address":             {"", []string{"--rpclisten", "192.0.2.1:10012"}, "bad_address"},
		"fail/REST for everybody":     {"", []string{"--restlisten", "0.0.0.0:0"}, "bad_address"},
		"fail/REST in the conf":       {"restlisten=0.0.0.0:0\n", nil, "bad_address"},
		"fail/another network":        {"bitcoin.testnet=true\n", nil, "network_conflict"},
		"fail/no macaroons":           {"no-macaroons=true\n", nil, "refused_option"},
		"fail/an option of nobody":    {"bogus.option=1\n", nil, "bad_lnd_conf"},
		"fail/a signer's signer":      {"remotesigner.enable=true\n", nil, "refused_option"},
		"fail/a migrated signer":      {"", []string{"--", "--remotesigner.migrate-wallet-to-watch-only"}, "refused_option"},
		"fail/another port":           {"pprof.profile=0.0.0.0:6060\n", nil, "refused_option"},
		"fail/where the wallet is":    {"", []string{"--", "--datadir=/tmp"}, "refused_option"},
		"fail/certificate's address":  {"tlsextraip=signer\n", nil, "bad_config"},
		"fail/password of another":    {"", []string{"--password-file", another}, "wrong_password"},
		"fail/no such password file":  {"", []string{"--password-file", m.path("none")}, "no_password_file"},
		"fail/secret on command line": {"", []string{"--", "--db.postgres.dsn=x"}, "secret_in_argv"},
	} {
		t.Run(name, func(t *testing.T) {
			conf(c.conf, 0o600)
			args := append([]string{"start", "--detach"}, c.args...)
			if len(c.args) == 0 || c.args[0] != "--rpclisten" {
				args = append([]string{"start", "--detach", "--rpclisten", m.rpc}, c.args...)
			}
			if _, code := m.run(args...); code != c.code {
				t.Errorf("code %q, want %q", code, c.code)
			}
		})
	}
	conf("", 0o600)
	if _, code := m.run("init", "--network", "testnet"); code != "wallet_exists" {
		t.Errorf("init for another network: %q", code)
	}
	// The template of upstream's scripts, without its password file.
	conf("[Application Options]\nalias=signer\ndebuglevel=info\nlisten=\nrpclisten="+m.rpc+"\nrestlisten="+testbin.FreePort(t)+
		"\ntlsextraip=0.0.0.0\nmaxpendingchannels=0\n[Bitcoin]\nbitcoin.active=true\nbitcoin.regtest=true\nbitcoin.node=neutrino\n"+
		"[neutrino]\nneutrino.addpeer=btcd0.lightning.computer\nneutrino.feeurl=https://127.0.0.1:1/fees\n"+
		"[autopilot]\nautopilot.active=false\n[tor]\ntor.active=false\n", 0o600)
	r := parsed[signer.Running](t, m.must("start", "--detach"))
	if r.State != "active" || len(r.RPC) != 1 || r.RPC[0] != m.rpc || len(r.REST) != 1 {
		t.Errorf("%+v", r)
	}
	if r.BundleCurrent {
		t.Error("the certificate has another address, the bundle has not")
	}
	m.export()
	if r := m.awaitState(lnd.Active); !r.BundleCurrent {
		t.Error("exported, and still not current")
	}
}

// TestRestore: the words give the same keys again, and with a passphrase only
// together with it.
func TestRestore(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	passphrase := m.write(filepath.Join(t.TempDir(), "passphrase"), "of the seed\n", 0o600)
	first := read(t, m.init("--seed-passphrase-file", passphrase).Bundle)
	words, err := os.ReadFile(m.path("seed.txt"))
	if err != nil {
		t.Fatal(err)
	}
	with := newMachine(t)
	created := with.init("--seed-file", m.path("seed.txt"), "--seed-passphrase-file", passphrase, "--allow-range", "127.0.0.0/8")
	if !read(t, created.Bundle).SameKeys(first) {
		t.Error("other keys")
	}
	if created.SeedFile != "" || len(created.Caveats) != 1 {
		t.Errorf("%+v", created.Caveats)
	}
	if _, err := os.Stat(with.path("seed.txt")); err == nil {
		t.Error("a copy of the seed")
	}
	without := newMachine(t)
	if _, code := without.run("init", "--network", "regtest", "--seed-file", m.path("seed.txt")); code != "bad_seed" {
		t.Errorf("without its passphrase: %q", code)
	}
	typed := exec.Command(m.bin, "--home", without.home, "signer", "init", "--network", "regtest", "--restore", "--seed-passphrase-file", passphrase)
	typed.Stdin = bytes.NewReader(bytes.ReplaceAll(words, []byte(" "), []byte("\n")))
	if out, err := typed.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !read(t, signer.BundleDir(config.Home(without.home))).SameKeys(first) {
		t.Error("typed words give other keys")
	}
}

// TestInitCutShort kills an init while the wallet is made, and between the wallet
// and its bundle.
func TestInitCutShort(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cut := func(when string, reached func() bool) {
		t.Helper()
		cmd := exec.Command(m.bin, "--home", m.home, "signer", "init", "--network", "regtest")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		until.True(t, when, reached)
		child, ok := m.childOf()
		testbin.Kill(t, cmd.Process.Pid)
		if ok {
			testbin.AwaitEnd(t, child)
		}
		_ = cmd.Wait() // killed
	}
	chainDir := m.path("data", "chain", "bitcoin", "regtest")
	cut("a wallet", func() bool { return isThere(filepath.Join(chainDir, "wallet.db")) })
	words, err := os.ReadFile(m.path("seed.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"start"}, {"export"}, {"change-password"}} {
		if _, code := m.run(args...); code != "wallet_unfinished" {
			t.Errorf("%q: %q", args, code)
		}
	}
	unfinished := filepath.Join(t.TempDir(), "unfinished")
	if err := testwallet.Copy(unfinished, m.home); err != nil {
		t.Fatal(err)
	}
	until.True(t, "an init that is killed before its bundle is made", func() bool {
		if err := errors.Join(os.RemoveAll(m.home), testwallet.Copy(m.home, unfinished)); err != nil {
			t.Fatal(err)
		}
		cut("a whole wallet", func() bool {
			return isThere(filepath.Join(chainDir, "wallet.db")) && isThere(filepath.Join(chainDir, "admin.macaroon")) &&
				!isThere(filepath.Join(chainDir, "leyden-unfinished"))
		})
		return !isThere(filepath.Join(m.path("credentials-bundle"), bundle.Base64File))
	})
	if again, err := os.ReadFile(m.path("seed.txt")); err != nil || !bytes.Equal(words, again) {
		t.Errorf("the seed is another: %v", err)
	}
	if out, code := m.run("init", "--network", "regtest"); code != "wallet_exists" || !bytes.Contains(out, []byte("leyden signer export")) {
		t.Errorf("init again: %s", out)
	}
	b := read(t, m.export().Bundle)
	m.start()
	if err := sign(m.connect(b, b.Macaroon)); err != nil {
		t.Error(err)
	}
	restored := newMachine(t)
	if !read(t, restored.init("--seed-file", m.path("seed.txt")).Bundle).SameKeys(b) {
		t.Error("the words give other keys")
	}
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
