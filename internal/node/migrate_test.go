package node_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/until"
)

// TestMigrate takes the keys out of a standalone node's wallet.
func TestMigrate(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.create()
	r := m.start()
	key := identity(t, m)
	if _, code := m.run("node", "migrate", "--yes", "--signer-host", testbin.FreePort(t)); code != "no_bundle" {
		t.Errorf("without a bundle: %q", code)
	}
	m.must("node", "stop")
	testbin.AwaitEnd(t, r.LndPID)
	secrets := masterSecrets(t, m)
	if left(t, m, secrets) != len(secrets) {
		t.Fatal("the wallet file does not have what this test looks for")
	}

	other := newSigner(t)
	m.must("node", "import", "--bundle", other.bundle(), "--network", "regtest")
	if _, code := m.run("node", "start", "--signer-host", other.addr); code != "no_signer" {
		t.Errorf("start of a standalone node with a signer: %q", code)
	}
	if _, code := m.run("node", "migrate", "--yes", "--signer-host", other.addr); code != "other_signer" {
		t.Errorf("another signer: %q", code)
	}
	seed, err := os.ReadFile(m.lndDir("seed.txt"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(t, strings.Fields(string(seed))...)
	m.must("node", "import", "--bundle", s.bundle())
	if _, code := m.run("node", "migrate", "--yes", "--signer-host", other.addr); code != "signer_certificate" {
		t.Errorf("another signer's address: %q", code)
	}
	if left(t, m, secrets) != len(secrets) {
		t.Fatal("a refused migration took keys away")
	}
	m.start()
	m.must("node", "stop")

	before, err := os.ReadFile(m.lndDir("leyden-node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if out := m.must("node", "migrate", "--yes", "--signer-host", s.addr); !bytes.Contains(out, []byte("seed.txt")) {
		t.Errorf("the seed that is still there is not named: %s", out)
	}
	if n := left(t, m, secrets); n != 0 {
		t.Errorf("%d of %d secrets are still in the wallet's file", n, len(secrets))
	}
	if _, code := m.run("node", "migrate", "--yes", "--signer-host", s.addr); code != "watch_only" {
		t.Errorf("migrated twice: %q", code)
	}
	m.write("leyden-node.yaml", string(before), 0o600) // as if it had been cut short at the end
	if _, code := m.run(m.startArgs()...); code != "migration_unfinished" {
		t.Errorf("start after a migration that was cut short: %q", code)
	}
	m.must("node", "migrate", "--yes", "--signer-host", s.addr)
	if _, code := m.run("node", "change-password"); code != "watch_only" {
		t.Errorf("change of the password: %q", code)
	}
	r = m.start()
	if identity(t, m) != key {
		t.Error("the node is another one")
	}
	c := newClient(t, r)
	until.True(t, "an invoice that the signer signed", func() bool { return c.invoice() == nil })
}

// masterSecrets are the encrypted keys that all others in the wallet are encrypted
// with, and the master key.
func masterSecrets(t *testing.T, m *machine) [][]byte {
	t.Helper()
	db, err := bbolt.Open(walletFile(m), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var found [][]byte
	err = db.View(func(tx *bbolt.Tx) error {
		main := tx.Bucket([]byte("waddrmgr")).Bucket([]byte("main"))
		for _, name := range []string{"mpriv", "cpriv", "cscript", "mhdpriv"} {
			found = append(found, bytes.Clone(main.Get([]byte(name))))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// left counts the secrets that the wallet's file still has anywhere.
func left(t *testing.T, m *machine, secrets [][]byte) (n int) {
	t.Helper()
	data, err := os.ReadFile(walletFile(m))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if len(secret) < 32 || bytes.Contains(data, secret) {
			n++
		}
	}
	return n
}

func walletFile(m *machine) string {
	return m.lndDir("data", "chain", "bitcoin", "regtest", "wallet.db")
}
