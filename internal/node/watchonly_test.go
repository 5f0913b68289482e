package node_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/until"
)

// client is a connection with the admin macaroon.
type client struct {
	lnrpc.LightningClient
	walletrpc.WalletKitClient
	ctx context.Context
}

func newClient(t *testing.T, r node.Running) client {
	t.Helper()
	conn := fromAddr(r, "127.0.0.1")(t)
	t.Cleanup(func() { conn.Close() })
	raw, err := os.ReadFile(r.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	return client{
		lnrpc.NewLightningClient(conn), walletrpc.NewWalletKitClient(conn),
		metadata.AppendToOutgoingContext(t.Context(), "macaroon", hex.EncodeToString(raw)),
	}
}

// invoice makes one, which the signer signs.
func (c client) invoice() error {
	_, err := c.AddInvoice(c.ctx, &lnrpc.Invoice{ValueMsat: 1000})
	return err
}

// awaitRefusal waits until the front refuses calls with the reason, and returns how
// long that took.
func (c client) awaitRefusal(t *testing.T, reason string) time.Duration {
	t.Helper()
	began := time.Now()
	until.True(t, reason, func() bool {
		_, err := c.GetInfo(c.ctx, &lnrpc.GetInfoRequest{})
		return refused(err, reason)
	})
	return time.Since(began)
}

func (c client) awaitInvoice(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	until.True(t, "an invoice", func() bool { return c.invoice() == nil })
	return time.Since(began)
}

func refused(err error, reason string) bool {
	s := status.Convert(err)
	return s.Code() == codes.Unavailable && strings.HasPrefix(s.Message(), "leyden: "+reason+": ") &&
		strings.Contains(s.Message(), "(try: leyden ")
}

// TestWatchOnly takes a node whose keys are on a signer from its wallet to its end.
func TestWatchOnly(t *testing.T) {
	t.Parallel()
	backend(t)
	for name, newHolder := range map[string]func(*testing.T) keyHolder{
		"plain lnd":     func(t *testing.T) keyHolder { return newSigner(t) },
		"leyden signer": func(t *testing.T) keyHolder { return newOurSigner(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watchOnlyLife(t, newHolder(t))
		})
	}
}

func watchOnlyLife(t *testing.T, s keyHolder) {
	m := newMachine(t)
	if _, code := m.run("node", "create", "--network", "regtest"); code != "no_bundle" {
		t.Errorf("create without a bundle: %q", code)
	}
	m.createWatchOnly(s)
	if _, code := m.run(m.startArgs()...); code != "no_signer_host" {
		t.Errorf("start without a signer: %q", code)
	}
	if _, code := m.run(m.startArgs("--signer-host", testbin.FreePort(t))...); code != "signer_unreachable" {
		t.Errorf("start with nobody there: %q", code)
	}
	r := m.start("--signer-host", s.host())
	if r.State != "active" || r.Signer != s.host() || r.SignerError != "" {
		t.Errorf("started: %+v", r)
	}
	c := newClient(t, r)
	if err := c.invoice(); err != nil {
		t.Fatal(err)
	}
	m.must("lncli", "newaddress", "p2tr")

	t.Run("signer killed", func(t *testing.T) {
		s.signal(syscall.SIGKILL)
		t.Logf("refused after %v", c.awaitRefusal(t, "signer_unreachable"))
		m.await("the status", func(r node.Running) bool { return strings.Contains(r.SignerError, s.host()) })
		m.must("accounts", "list")
		s.start()
		t.Logf("back after %v", c.awaitInvoice(t))
	})
	t.Run("signer killed while it is asked", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				_ = c.invoice()
			}
		}()
		s.signal(syscall.SIGKILL)
		t.Logf("refused after %v", c.awaitRefusal(t, "signer_unreachable"))
		m.await("lnd's end", func(r node.Running) bool { return r.LndPID == 0 })
		cancel()
		<-ended
		s.start()
		t.Logf("back after %v", c.awaitInvoice(t))
	})
	t.Run("signer stopped for a while", func(t *testing.T) {
		before := m.status().Restarts
		s.signal(syscall.SIGSTOP)
		resumed := make(chan struct{})
		time.AfterFunc(4*time.Second, func() {
			defer close(resumed)
			s.signal(syscall.SIGCONT)
		})
		defer func() { <-resumed }()
		if err := c.invoice(); err != nil {
			t.Errorf("a slow signer is an outage: %v", err)
		}
		if r := m.status(); r.Restarts != before {
			t.Errorf("lnd was started again: %+v", r)
		}
	})
	t.Run("signer stopped", func(t *testing.T) {
		s.signal(syscall.SIGSTOP)
		t.Logf("refused after %v", c.awaitRefusal(t, "signer_unreachable"))
		s.signal(syscall.SIGCONT)
		t.Logf("back after %v", c.awaitInvoice(t))
	})
	t.Run("node started while the signer is away", func(t *testing.T) {
		m.must("node", "stop")
		s.signal(syscall.SIGKILL)
		r := m.start()
		if r.SignerError == "" || r.LndPID != 0 {
			t.Errorf("started: %+v", r)
		}
		c := newClient(t, r)
		c.awaitRefusal(t, "signer_unreachable")
		s.start()
		t.Logf("back after %v", c.awaitInvoice(t))
	})
}

// TestNewBundle: a node that runs takes over what is imported.
func TestNewBundle(t *testing.T) {
	t.Parallel()
	s, m := newOurSigner(t), newMachine(t)
	m.createWatchOnly(s)
	c := newClient(t, m.start("--signer-host", s.host()))
	s.leyden("signer", "export", "--rotate")
	until.True(t, "the old macaroon's end", func() bool { return c.invoice() != nil })
	m.must("node", "import", "--bundle", s.bundle())
	m.await("lnd with the new macaroon", func(r node.Running) bool { return r.Restarts == 1 && r.State == "active" && r.Guard != "" })
	c.awaitInvoice(t)
}

// TestImport: what is not the signer's is refused, and nothing is kept of it.
func TestImport(t *testing.T) {
	t.Parallel()
	m, s := newMachine(t), ourKeys(t)
	dir, other := s.bundle(), newSigner(t).bundle()
	if _, code := m.run("node", "import", "--bundle", dir); code != "bundle_wrong_network" {
		t.Errorf("for mainnet: %q", code)
	}
	if _, err := os.Stat(m.lndDir("signer")); !os.IsNotExist(err) {
		t.Errorf("kept something: %v", err)
	}
	imports := func(dir string, args ...string) (done node.Imported) {
		t.Helper()
		out := m.must(append([]string{"node", "import", "--bundle", dir}, args...)...)
		if err := json.Unmarshal(out, &done); err != nil {
			t.Fatal(err)
		}
		return done
	}
	imports(other, "--network", "regtest") // another one's, before there is a wallet
	if done := imports(dir); done.Wallet || done.Running || done.Mode != node.WatchOnly {
		t.Errorf("%+v", done)
	}
	for _, name := range []string{"accounts.json", "tls.cert", "admin.macaroon"} {
		got, err := os.ReadFile(m.lndDir("signer", name))
		want, _ := os.ReadFile(dir + "/" + name)
		if err != nil || name != "accounts.json" && !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, code := m.run("node", "start", "--signer-host", testbin.FreePort(t)); code != "no_wallet" || !bytes.Contains(out, []byte("leyden node create --mode watchonly")) {
		t.Errorf("start before there is a wallet: %s", out)
	}

	m.createWatchOnly(s)
	if done := imports(dir); !done.Wallet || done.Running {
		t.Errorf("%+v", done)
	}
	if err := os.Rename(m.lndDir("leyden-node.yaml"), m.lndDir("kept")); err != nil {
		t.Fatal(err)
	}
	if _, code := m.run("node", "import", "--bundle", dir, "--network", "regtest"); code != "wallet_exists" {
		t.Errorf("where a wallet is of which nothing is known: %q", code)
	}
	if err := os.Rename(m.lndDir("kept"), m.lndDir("leyden-node.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, code := m.run("node", "import", "--bundle", dir, "--network", "signet"); code != "network_conflict" {
		t.Errorf("for another network than the wallet's: %q", code)
	}
	if _, code := m.run("node", "import", "--bundle", other); code != "other_signer" {
		t.Errorf("another seed: %q", code)
	}
}

// TestBundleOfAnother: a folder that has come to hold another signer's bundle, of the
// same certificate even, is no reason to ask that signer.
func TestBundleOfAnother(t *testing.T) {
	t.Parallel()
	m, s := newMachine(t), ourKeys(t)
	m.createWatchOnly(s)
	mine, err := bundle.Read(s.bundle(), nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := bundle.Read(newSigner(t).bundle(), nil)
	if err != nil {
		t.Fatal(err)
	}
	mine.Accounts = theirs.Accounts
	if err := mine.Write(m.lndDir("signer")); err != nil {
		t.Fatal(err)
	}
	if _, code := m.run(m.startArgs("--signer-host", s.host())...); code != "other_signer" {
		t.Errorf("start: %q", code)
	}
	if err := os.RemoveAll(m.lndDir("signer")); err != nil {
		t.Fatal(err)
	}
	if _, code := m.run(m.startArgs("--signer-host", s.host())...); code != "no_bundle" {
		t.Errorf("start without a bundle: %q", code)
	}
}

// TestSignerOfAnother: a signer that holds other keys than the node's is not asked,
// though it has the certificate and the macaroon.
func TestSignerOfAnother(t *testing.T) {
	t.Parallel()
	m, s := newMachine(t), newOurSigner(t)
	m.createWatchOnly(s)
	m.start("--signer-host", s.host())
	s.signal(syscall.SIGKILL)
	c := newClient(t, m.status())
	c.awaitRefusal(t, "signer_unreachable")

	// The wallet of another seed under the same password takes the place of the right one.
	until.True(t, "the signer's lnd to end", func() bool {
		_, runs := childOf(filepath.Join(s.home, "signer"))
		return !runs
	})
	own := filepath.Join(s.home, "signer", "data", "chain", "bitcoin", "regtest", "wallet.db")
	other := &ourSigner{t: t, home: filepath.Join(t.TempDir(), "home")}
	other.leyden("signer", "init", "--network", "regtest", "--password-file", filepath.Join(s.home, "signer", "wallet-password.txt"))
	wallet, err := os.ReadFile(filepath.Join(other.home, "signer", "data", "chain", "bitcoin", "regtest", "wallet.db"))
	if err != nil {
		t.Fatal(err)
	}
	// lnd would not start with the channel backup of another seed.
	err = errors.Join(os.WriteFile(own, wallet, 0o600), os.Remove(filepath.Join(filepath.Dir(own), "channel.backup")))
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	m.await("the refusal", func(r node.Running) bool { return strings.Contains(r.SignerError, "does not hold the keys") })
	if _, err := c.GetInfo(c.ctx, &lnrpc.GetInfoRequest{}); !refused(err, "signer_unreachable") {
		t.Errorf("a call: %v", err)
	}
}

// TestNewAddressWhileSignerStarts: an address that was not used before is given the
// time that a signer there needs to open its wallet.
func TestNewAddressWhileSignerStarts(t *testing.T) {
	t.Parallel()
	m, s := newMachine(t), newSigner(t)
	m.createWatchOnly(s)
	s.signal(syscall.SIGKILL)
	s.run() // its wallet is closed
	conn := s.dial()
	defer conn.Close()
	s.await(conn, lnrpc.WalletState_LOCKED)
	started := make(chan node.Running, 1)
	go func() {
		out, code := m.run(m.startArgs("--signer-host", s.host())...)
		if code != "" {
			t.Errorf("start: %s", out)
			close(started)
			return
		}
		started <- m.parse(out)
	}()
	until.True(t, "the start", func() bool {
		log, err := os.ReadFile(m.lndDir("logs", "leyden-node.log"))
		return err == nil && bytes.Contains(log, []byte("waiting for the signer"))
	})
	s.open(conn)
	if r, ok := <-started; ok && (r.SignerError != "" || r.State != "active") {
		t.Errorf("started: %+v", r)
	}
}
