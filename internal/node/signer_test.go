package node_test

import (
	"encoding/hex"
	"errors"
	"os"
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
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/until"
)

// signer is a plain lnd without a chain, as somebody else runs a signer.
type signer struct {
	t         *testing.T
	dir, addr string
	process   *owned.Process
}

const signerPassword = "signer's password"

// newSigner makes one with a wallet. Words are those of its seed; none: a new one.
func newSigner(t *testing.T, words ...string) *signer {
	t.Helper()
	s := &signer{t: t, dir: t.TempDir(), addr: freePort(t)}
	s.run()
	t.Cleanup(func() {
		if s.process.Running() {
			s.signal(syscall.SIGKILL)
		}
	})
	conn := s.dial()
	defer conn.Close()
	s.await(conn, lnrpc.WalletState_NON_EXISTING)
	client := lnrpc.NewWalletUnlockerClient(conn)
	if len(words) == 0 {
		seed, err := client.GenSeed(t.Context(), &lnrpc.GenSeedRequest{})
		if err != nil {
			t.Fatal(err)
		}
		words = seed.CipherSeedMnemonic
	}
	_, err := client.InitWallet(t.Context(), &lnrpc.InitWalletRequest{
		WalletPassword: []byte(signerPassword), CipherSeedMnemonic: words,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.await(conn, lnrpc.WalletState_SERVER_ACTIVE)
	return s
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
}

// start starts one whose wallet was made, and opens it.
func (s *signer) start() {
	s.t.Helper()
	s.run()
	conn := s.dial()
	defer conn.Close()
	s.await(conn, lnrpc.WalletState_LOCKED)
	_, err := lnrpc.NewWalletUnlockerClient(conn).UnlockWallet(s.t.Context(),
		&lnrpc.UnlockWalletRequest{WalletPassword: []byte(signerPassword)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.await(conn, lnrpc.WalletState_SERVER_ACTIVE)
}

func (s *signer) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	if sig == syscall.SIGKILL {
		awaitEnd(s.t, s.process.Pid())
	}
}

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
