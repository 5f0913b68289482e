package node_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/until"
)

// childOf finds the lnd that a process of leyden runs on the machine's folder.
func childOf(m *machine) (pid int, ok bool) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err == nil && bytes.Contains(line, []byte("lnd-child\x00")) && bytes.Contains(line, []byte("--dir="+m.lndDir()+"\x00")) {
			pid, err = strconv.Atoi(filepath.Base(filepath.Dir(name)))
			return pid, err == nil
		}
	}
	return 0, false
}

// TestCreateCutShort: a creation that the power went away under is begun again by
// the same command, with the seed that was written down.
func TestCreateCutShort(t *testing.T) {
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
	child, ok := childOf(m)
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
	m.create("--password-file", m.lndDir("typed"))
	if again, err := os.ReadFile(m.lndDir("seed.txt")); err != nil || !bytes.Equal(seed, again) {
		t.Errorf("the seed is another: %v", err)
	}
	if _, code := m.run("node", "create", "--mode", "standalone", "--network", "regtest"); code != "wallet_exists" {
		t.Errorf("a third time: %q", code)
	}
	m.start()
	key := identity(t, m)

	restored := newMachine(t)
	restored.create("--restore-seed-file", m.lndDir("seed.txt"))
	restored.start()
	if again := identity(t, restored); again != key {
		t.Errorf("the words give %s, the node is %s", again, key)
	}
}

// TestChangePasswordCutShort: lnd gives the wallet its new password first, the
// store of macaroons later, and we move the file last. Wherever it is cut, no
// password is lost, a start says what to do, and that helps.
func TestChangePasswordCutShort(t *testing.T) {
	for undone, args := range map[string][]string{
		"wallet-password.txt":                     nil,
		"data/chain/bitcoin/regtest/macaroons.db": {"--new-password-file"},
	} {
		t.Run(undone, func(t *testing.T) {
			m := newMachine(t)
			m.create()
			if args != nil {
				m.write("typed", "chosen by the operator\n", 0o600)
				args = append(args, m.lndDir("typed"))
			}
			before := make(map[string][]byte)
			for _, name := range []string{undone, "wallet-password.txt", "leyden-node.yaml"} {
				data, err := os.ReadFile(m.lndDir(name))
				if err != nil {
					t.Fatal(err)
				}
				before[name] = data
			}
			change := append([]string{"node", "change-password"}, args...)
			m.must(change...)
			now := "wallet-password.txt"
			if args != nil {
				now = "typed"
			}
			data, err := os.ReadFile(m.lndDir(now))
			if err != nil {
				t.Fatal(err)
			}
			m.write("wallet-password.txt.new", string(data), 0o600)
			for name, data := range before {
				m.write(name, string(data), 0o600)
			}

			out, code := m.run(m.startArgs()...)
			if code != "wrong_password" || !bytes.Contains(out, []byte("leyden node change-password")) {
				t.Errorf("start: %q %s", code, out)
			}
			m.must(change...)
			m.start()
			if _, err := os.Stat(m.lndDir("wallet-password.txt.new")); err == nil {
				t.Error("a password is left behind")
			}
		})
	}
}
