package node_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/leydenln/leyden/internal/testwallet"
)

// made are folders that the programs made once, by name, for all tests that are about
// what comes after.
var made struct {
	mu sync.Mutex
	of map[string]*madeOnce
}

type madeOnce struct {
	once sync.Once
	dir  string
	done bool
}

// copied returns a copy of a folder that make has filled once for all tests that ask
// for one of that name.
func copied(t *testing.T, name string, make func(dir string)) string {
	t.Helper()
	made.mu.Lock()
	if made.of == nil {
		made.of = map[string]*madeOnce{}
	}
	it := made.of[name]
	if it == nil {
		it = new(madeOnce)
		made.of[name] = it
	}
	made.mu.Unlock()
	it.once.Do(func() {
		var err error
		if it.dir, err = os.MkdirTemp("", "node-test"); err != nil {
			t.Fatal(err)
		}
		make(it.dir)
		it.done = true
	})
	if !it.done {
		t.Fatalf("%s could not be made", name)
	}
	to := filepath.Join(t.TempDir(), "home")
	if err := testwallet.Copy(to, it.dir); err != nil {
		t.Fatalf("copy of %s: %v", name, err)
	}
	return to
}

func removeMade() (err error) {
	for _, it := range made.of {
		err = errors.Join(err, os.RemoveAll(it.dir))
	}
	return err
}

// cheapen makes the wallet in an lnddir open at once.
func cheapen(t *testing.T, lndDir, passwordFile string) {
	t.Helper()
	password, err := os.ReadFile(passwordFile)
	if err == nil {
		err = testwallet.Cheapen(filepath.Join(lndDir, "data", "chain", "bitcoin", "regtest"), bytes.TrimSpace(password))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// create gives the machine a standalone wallet and an lnd.conf that knows the chain.
func (m *machine) create() {
	m.t.Helper()
	m.copyWallet()
	m.write("lnd.conf", m.conf(backend(m.t)), 0o600)
}

// copyWallet gives the machine the standalone wallet of all tests.
func (m *machine) copyWallet() {
	m.t.Helper()
	m.home = copied(m.t, "standalone", func(dir string) {
		maker := &machine{t: m.t, bin: m.bin, home: dir}
		maker.must("node", "create", "--mode", "standalone", "--network", "regtest")
		cheapen(m.t, maker.lndDir(), maker.lndDir("wallet-password.txt"))
	})
}

// createAnew makes a wallet of the machine's own.
func (m *machine) createAnew(args ...string) {
	m.t.Helper()
	m.must(append([]string{"node", "create", "--mode", "standalone", "--network", "regtest"}, args...)...)
	m.write("lnd.conf", m.conf(backend(m.t)), 0o600)
}

// createWatchOnly makes a watch-only node of the signer's bundle.
func (m *machine) createWatchOnly(s keyHolder) {
	m.t.Helper()
	make := func(home string) {
		maker := &machine{t: m.t, bin: m.bin, home: home}
		maker.must("node", "import", "--bundle", s.bundle(), "--network", "regtest")
		maker.must("node", "create")
		cheapen(m.t, maker.lndDir(), maker.lndDir("wallet-password.txt"))
	}
	m.home = copied(m.t, "watch-only node of "+s.kind(), make)
	m.write("lnd.conf", m.conf(backend(m.t)), 0o600)
}
