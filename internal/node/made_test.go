package node_test

import "github.com/leydenln/leyden/internal/testwallet"

// made are folders that the programs made once.
var made testwallet.Made

// create gives the machine a standalone wallet and an lnd.conf that knows the chain.
func (m *machine) create() {
	m.t.Helper()
	m.copyWallet()
	m.write("lnd.conf", m.conf(backend(m.t)), 0o600)
}

// copyWallet gives the machine the standalone wallet of all tests.
func (m *machine) copyWallet() {
	m.t.Helper()
	m.home = made.Copy(m.t, "standalone", func(dir string) {
		maker := &machine{t: m.t, bin: m.bin, home: dir}
		maker.must("node", "create", "--mode", "standalone", "--network", "regtest")
		testwallet.CheapenIn(m.t, maker.lndDir(), maker.lndDir("wallet-password.txt"))
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
		testwallet.CheapenIn(m.t, maker.lndDir(), maker.lndDir("wallet-password.txt"))
	}
	m.home = made.Copy(m.t, "watch-only node of "+s.kind(), make)
	m.write("lnd.conf", m.conf(backend(m.t)), 0o600)
}
