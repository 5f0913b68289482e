package node_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/lightningnetwork/lnd/aezeed"

	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/testwallet"
	"github.com/leydenln/leyden/internal/until"
)

// childOf finds the lnd that a process of leyden runs on the lnddir.
func childOf(dir string) (pid int, ok bool) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err == nil && bytes.Contains(line, []byte("lnd-child\x00")) && bytes.Contains(line, []byte("--dir="+dir+"\x00")) {
			pid, err = strconv.Atoi(filepath.Base(filepath.Dir(name)))
			return pid, err == nil
		}
	}
	return 0, false
}

// TestCreateCutShort: a creation that the power went away under is begun again by
// the same command, with the seed that was written down.
func TestCreateCutShort(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cmd := exec.Command(m.bin, "--home", m.home, "node", "create", "--mode", "standalone", "--network", "regtest")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wallet := m.lndDir("data", "chain", "bitcoin", "regtest", "wallet.db")
	until.True(t, "a wallet", func() bool {
		_, err := os.Stat(wallet)
		return err == nil
	})
	child, ok := childOf(m.lndDir())
	if !ok {
		t.Fatal("no child")
	}
	testbin.Kill(t, cmd.Process.Pid)
	testbin.Kill(t, child)
	_ = cmd.Wait() // killed
	testbin.AwaitEnd(t, child)

	seed, err := os.ReadFile(m.lndDir("seed.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if _, code := m.run(m.startArgs()...); code != "wallet_unfinished" {
		t.Errorf("start: %q", code)
	}
	if _, code := m.run("node", "change-password"); code != "wallet_unfinished" {
		t.Errorf("change-password: %q", code)
	}
	m.write("typed", "another password\n", 0o600)
	m.createAnew("--password-file", m.lndDir("typed"))
	if again, err := os.ReadFile(m.lndDir("seed.txt")); err != nil || !bytes.Equal(seed, again) {
		t.Errorf("the seed is another: %v", err)
	}
	if _, code := m.run("node", "create", "--mode", "standalone", "--network", "regtest"); code != "wallet_exists" {
		t.Errorf("a third time: %q", code)
	}
	m.start()
	if key := identity(t, m); key != identityOf(t, strings.Fields(string(seed))) {
		t.Errorf("the words are not those of node %s", key)
	}
}

// identityOf is the node key that the words of a seed give: m/1017'/1'/6'/0/0.
func identityOf(t *testing.T, words []string) string {
	t.Helper()
	mnemonic := aezeed.Mnemonic(words)
	seed, err := mnemonic.ToCipherSeed(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := hdkeychain.NewMaster(seed.Entropy[:], chain.Params)
	const hard = hdkeychain.HardenedKeyStart
	for _, step := range []uint32{hard + 1017, hard + 1, hard + 6, 0, 0} {
		if err == nil {
			key, err = key.Derive(step)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.ECPubKey()
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(pub.SerializeCompressed())
}

// TestChangePasswordCutShort: lnd gives the wallet its new password first, the
// store of macaroons later, and we move the file last. Wherever it is cut, no
// password is lost, a start says what to do, and that helps.
func TestChangePasswordCutShort(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ changed, args []string }{
		"before the file":           {[]string{testwallet.Wallet, testwallet.Macaroons}, nil},
		"before the macaroon store": {[]string{testwallet.Wallet}, []string{"--new-password-file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.create()
			old, err := os.ReadFile(m.lndDir("wallet-password.txt"))
			if err != nil {
				t.Fatal(err)
			}
			const password = "chosen by the operator"
			m.write("typed", password+"\n", 0o600)
			m.write("wallet-password.txt.new", password+"\n", 0o600)
			err = testwallet.Rekey(filepath.Dir(walletFile(m)), bytes.TrimSpace(old), []byte(password), c.changed...)
			if err != nil {
				t.Fatal(err)
			}
			out, code := m.run(m.startArgs()...)
			if code != "wrong_password" || !bytes.Contains(out, []byte("leyden node change-password")) {
				t.Errorf("start: %q %s", code, out)
			}
			change := append([]string{"node", "change-password"}, c.args...)
			if c.args != nil {
				change = append(change, m.lndDir("typed"))
			}
			m.must(change...)
			m.start()
			if _, err := os.Stat(m.lndDir("wallet-password.txt.new")); err == nil {
				t.Error("a password is left behind")
			}
		})
	}
}
