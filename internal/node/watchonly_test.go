package node_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/until"
)

// createWatchOnly makes a watch-only node of the signer's bundle.
func (m *machine) createWatchOnly(s keyHolder, args ...string) {
	m.t.Helper()
	m.must("node", "import", "--bundle", s.bundle(), "--network", "regtest")
	m.must(append([]string{"node", "create"}, args...)...)
	m.write("lnd.conf", m.conf(backend(m.t)), 0o600)
}

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
	s := newSigner(t)
	m := newMachine(t)
	dir := s.bundle()
	if _, code := m.run("node", "import", "--bundle", dir); code != "bundle_wrong_network" {
		t.Errorf("for mainnet: %q", code)
	}
	if _, err := os.Stat(m.lndDir("signer")); !os.IsNotExist(err) {
		t.Errorf("kept something: %v", err)
	}
	var done node.Imported
	if err := json.Unmarshal(m.must("node", "import", "--bundle", dir, "--network", "regtest"), &done); err != nil || done.Wallet {
		t.Errorf("%+v, %v", done, err)
	}
	for _, name := range []string{"accounts.json", "tls.cert", "admin.macaroon"} {
		got, err := os.ReadFile(m.lndDir("signer", name))
		want, _ := os.ReadFile(dir + "/" + name)
		if err != nil || name != "accounts.json" && !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.must("node", "create")
	m.must("node", "import", "--bundle", dir)
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
	other := newSigner(t)
	if _, code := m.run("node", "import", "--bundle", other.bundle()); code != "other_signer" {
		t.Errorf("another seed: %q", code)
	}
}
