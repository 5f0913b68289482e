package node_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/testwallet"
	"github.com/leydenln/leyden/internal/until"
)

// keyHolder is a signer of either kind.
type keyHolder interface {
	host() string

	// kind names what it is a copy of, the keys with it.
	kind() string

	// bundle returns the folder of its bundle.
	bundle() string

	// start runs it once more after it was killed, and returns once it signs.
	start()
	signal(syscall.Signal)
}

// ourSigner is a leyden signer.
type ourSigner struct {
	t          *testing.T
	home, addr string
	process    *owned.Process
}

// newOurSigner runs one with the keys of all tests; with flags, that init made anew.
func newOurSigner(t *testing.T, flags ...string) *ourSigner {
	t.Helper()
	s := ourKeys(t)
	if len(flags) > 0 {
		s.home = filepath.Join(t.TempDir(), "home")
		s.leyden(append([]string{"signer", "init", "--network", "regtest"}, flags...)...)
	}
	s.start()
	t.Cleanup(func() {
		if err := s.process.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ourKeys are a signer's that does not run.
func ourKeys(t *testing.T) *ourSigner {
	t.Helper()
	s := &ourSigner{t: t, addr: testbin.FreePort(t)}
	s.home = made.Copy(t, s.kind(), func(dir string) {
		maker := &ourSigner{t: t, home: dir}
		maker.leyden("signer", "init", "--network", "regtest")
		testwallet.CheapenIn(t, filepath.Join(dir, "signer"), filepath.Join(dir, "signer", "wallet-password.txt"))
	})
	return s
}

func (s *ourSigner) kind() string { return "leyden signer" }

func (s *ourSigner) leyden(args ...string) []byte {
	s.t.Helper()
	out, err := exec.Command(filepath.Join(testbin.Dir(s.t), "leyden"), append([]string{"--home", s.home}, args...)...).Output()
	if err != nil {
		s.t.Fatalf("leyden %q: %v", args, err)
	}
	return out
}

func (s *ourSigner) host() string   { return s.addr }
func (s *ourSigner) bundle() string { return filepath.Join(s.home, "signer", "credentials-bundle") }

func (s *ourSigner) start() {
	s.t.Helper()
	var err error
	s.process, err = owned.Start(owned.Command{
		Path: filepath.Join(testbin.Dir(s.t), "leyden"), LogFile: filepath.Join(s.home, "out.log"),
		Args: []string{"--home", s.home, "signer", "start", "--rpclisten", s.addr},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	remote := lnd.RemoteSigner{
		Addr: s.addr, CertPath: filepath.Join(s.bundle(), "tls.cert"), MacaroonPath: filepath.Join(s.bundle(), "admin.macaroon"),
	}
	until.True(s.t, "the signer", func() bool { return remote.Check(s.t.Context()) == nil })
}

func (s *ourSigner) signal(sig syscall.Signal) { signal(s.t, s.process, sig) }

func signal(t *testing.T, p *owned.Process, sig syscall.Signal) {
	t.Helper()
	if err := p.Signal(sig); err != nil {
		t.Fatal(err)
	}
	switch sig {
	case syscall.SIGKILL:
		testbin.AwaitEnd(t, p.Pid())
	case syscall.SIGSTOP:
		until.True(t, "the signer to stand still", func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
			return err != nil || bytes.Contains(stat, []byte(") T "))
		})
	}
}

// signer is a plain lnd without a chain, as somebody else runs a signer.
type signer struct {
	t         *testing.T
	dir, addr string
	process   *owned.Process
}

const signerPassword = "signer's password"

// newSigner runs one with the keys of all tests, or those of the words.
func newSigner(t *testing.T, words ...string) *signer {
	t.Helper()
	s := &signer{t: t, addr: testbin.FreePort(t)}
	if len(words) > 0 {
		s.dir = t.TempDir()
		s.make(words)
		return s
	}
	s.dir = made.Copy(t, s.kind(), func(dir string) {
		maker := &signer{t: t, dir: dir, addr: testbin.FreePort(t)}
		maker.make(nil)
		maker.signal(syscall.SIGTERM)
		testbin.AwaitEnd(t, maker.process.Pid())
		file := filepath.Join(dir, "password")
		if err := os.WriteFile(file, []byte(signerPassword), 0o600); err != nil {
			t.Fatal(err)
		}
		testwallet.CheapenIn(t, dir, file)
	})
	s.start()
	return s
}

func (s *signer) kind() string { return "plain signer" }

// make makes the wallet of the words, or of a new seed.
func (s *signer) make(words []string) {
	s.t.Helper()
	s.run()
	conn := s.dial()
	defer conn.Close()
	s.await(conn, lnrpc.WalletState_NON_EXISTING)
	client := lnrpc.NewWalletUnlockerClient(conn)
	if len(words) == 0 {
		seed, err := client.GenSeed(s.t.Context(), &lnrpc.GenSeedRequest{})
		if err != nil {
			s.t.Fatal(err)
		}
		words = seed.CipherSeedMnemonic
	}
	_, err := client.InitWallet(s.t.Context(), &lnrpc.InitWalletRequest{
		WalletPassword: []byte(signerPassword), CipherSeedMnemonic: words,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.await(conn, lnrpc.WalletState_SERVER_ACTIVE)
}

func (s *signer) macaroonPath() string {
	return filepath.Join(s.dir, "data", "chain", "bitcoin", "regtest", "admin.macaroon")
}

// run starts the process, whose wallet is closed.
func (s *signer) run() {
	s.t.Helper()
	var err error
	s.process, err = owned.Start(owned.Command{
		Path: filepath.Join(testbin.Dir(s.t), "lnd"), LogFile: filepath.Join(s.dir, "out.log"),
		Args: []string{"--lnddir=" + s.dir, "--bitcoin.regtest", "--bitcoin.node=nochainbackend", "--nolisten",
			"--nobootstrap", "--norest", "--rpclisten=" + s.addr},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	process := s.process
	s.t.Cleanup(func() {
		if process.Running() {
			signal(s.t, process, syscall.SIGKILL)
		}
	})
}

// start starts one whose wallet was made, and opens it.
func (s *signer) start() {
	s.t.Helper()
	s.run()
	conn := s.dial()
	defer conn.Close()
	s.open(conn)
}

// open opens the wallet.
func (s *signer) open(conn *grpc.ClientConn) {
	s.t.Helper()
	s.await(conn, lnrpc.WalletState_LOCKED)
	_, err := lnrpc.NewWalletUnlockerClient(conn).UnlockWallet(s.t.Context(),
		&lnrpc.UnlockWalletRequest{WalletPassword: []byte(signerPassword)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.await(conn, lnrpc.WalletState_SERVER_ACTIVE)
}

func (s *signer) host() string { return s.addr }

func (s *signer) signal(sig syscall.Signal) { signal(s.t, s.process, sig) }

func (s *signer) dial() *grpc.ClientConn {
	s.t.Helper()
	var creds credentials.TransportCredentials
	until.True(s.t, "the signer's certificate", func() (ok bool) {
		var err error
		creds, err = credentials.NewClientTLSFromFile(filepath.Join(s.dir, "tls.cert"), "")
		return err == nil
	})
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func (s *signer) await(conn *grpc.ClientConn, state lnrpc.WalletState) {
	s.t.Helper()
	until.True(s.t, "the signer", func() bool {
		reply, err := lnrpc.NewStateClient(conn).GetState(s.t.Context(), &lnrpc.GetStateRequest{})
		return err == nil && reply.State == state
	})
}

// bundle writes the signer's as upstream's scripts do, and returns the folder.
func (s *signer) bundle() string {
	s.t.Helper()
	conn := s.dial()
	defer conn.Close()
	macaroon, err := os.ReadFile(s.macaroonPath())
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := os.ReadFile(filepath.Join(s.dir, "tls.cert"))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(s.t.Context(), "macaroon", hex.EncodeToString(macaroon))
	list, err := walletrpc.NewWalletKitClient(conn).ListAccounts(ctx, &walletrpc.ListAccountsRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	accounts, err := lnrpc.ProtoJSONMarshalOpts.Marshal(list)
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := bundle.New(accounts, cert, macaroon)
	dir := s.t.TempDir()
	if err := errors.Join(err, b.Write(dir)); err != nil {
		s.t.Fatal(err)
	}
	return dir
}
