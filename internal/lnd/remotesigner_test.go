package lnd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/cert"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/signrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
)

// fakeSigner is a signer that signs nothing.
type fakeSigner struct {
	*fakeLnd
	walletrpc.UnimplementedWalletKitServer
	signrpc.UnimplementedSignerServer

	RemoteSigner
	dir      string
	macaroon atomic.Pointer[string]
	server   *grpc.Server
	conns    chan net.Conn                    // accepted
	asked    chan struct{}                    // told when somebody stays
	slow     atomic.Bool                      // does not answer
	silent   atomic.Int32                     // questions that got no answer
	stuck    atomic.Bool                      // answers, and does not sign
	key      atomic.Pointer[btcec.PrivateKey] // the node's identity
}

const fakeMacaroon = "its macaroon"

// newFakeSigner runs one, for which the returned RemoteSigner has a bundle.
func newFakeSigner(t *testing.T) *fakeSigner {
	t.Helper()
	s := &fakeSigner{dir: t.TempDir(), conns: make(chan net.Conn, 100), asked: make(chan struct{}, 100),
		fakeLnd: &fakeLnd{changed: make(chan struct{}), state: lnrpc.WalletState_SERVER_ACTIVE}}
	s.CertPath, s.MacaroonPath = filepath.Join(s.dir, "tls.cert"), filepath.Join(s.dir, "mac")
	s.certify(t, time.Hour)
	s.write(t, s.MacaroonPath, fakeMacaroon)
	s.macaroon.Store(new(fakeMacaroon))
	s.Addr = "127.0.0.1:0"
	s.serve(t)
	t.Cleanup(func() { s.server.Stop() })
	return s
}

// certify gives it another certificate.
func (s *fakeSigner) certify(t *testing.T, validity time.Duration) {
	t.Helper()
	c, k, err := cert.GenCertPair("fake", nil, nil, false, validity)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.WriteCertPair(s.CertPath, filepath.Join(s.dir, "tls.key"), c, k); err != nil {
		t.Fatal(err)
	}
}

func (s *fakeSigner) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *fakeSigner) serve(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(s.Addr, ":0") {
		s.Addr = l.Addr().String()
	}
	creds, err := credentials.NewServerTLSFromFile(filepath.Join(s.dir, "tls.cert"), filepath.Join(s.dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.server = grpc.NewServer(grpc.Creds(creds))
	lnrpc.RegisterStateServer(s.server, s)
	walletrpc.RegisterWalletKitServer(s.server, s)
	signrpc.RegisterSignerServer(s.server, s)
	go s.server.Serve(tellingListener{l, s.conns})
}

type tellingListener struct {
	net.Listener
	conns chan net.Conn
}

// Accept is part of net.Listener.
func (l tellingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.conns <- c
	}
	return c, err
}

func (s *fakeSigner) GetState(ctx context.Context, _ *lnrpc.GetStateRequest) (*lnrpc.GetStateResponse, error) {
	if s.slow.Load() {
		s.silent.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	state, _ := s.get()
	return &lnrpc.GetStateResponse{State: state}, nil
}

func (s *fakeSigner) SubscribeState(r *lnrpc.SubscribeStateRequest, stream lnrpc.State_SubscribeStateServer) error {
	s.asked <- struct{}{}
	return s.fakeLnd.SubscribeState(r, stream)
}

// SignPsbt answers as lnd does to no PSBT, once it has accepted the macaroon.
func (s *fakeSigner) SignPsbt(ctx context.Context, _ *walletrpc.SignPsbtRequest) (*walletrpc.SignPsbtResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if s.stuck.Load() {
		return nil, status.Error(codes.Unavailable, "leyden: lnd_down: the signer's lnd is down")
	}
	if got := strings.Join(md.Get("macaroon"), " "); got != fmt.Sprintf("%x", *s.macaroon.Load()) {
		return nil, status.Error(codes.Unknown, "verification failed: signature mismatch after caveat verification")
	}
	return nil, status.Error(codes.Unknown, "error parsing PSBT: EOF")
}

func TestCheckSigner(t *testing.T) {
	cases := map[string]struct {
		change     func(*testing.T, *fakeSigner)
		code, part string
	}{
		"ok/there": {func(*testing.T, *fakeSigner) {}, "", ""},
		"fail/nobody": {func(_ *testing.T, s *fakeSigner) { s.server.Stop() }, "signer_unreachable",
			"cannot be reached: dial tcp 127.0.0.1:"},
		"fail/locked": {func(_ *testing.T, s *fakeSigner) { s.set(lnrpc.WalletState_LOCKED) }, "signer_unreachable", "its wallet is locked"},
		"fail/no wallet": {func(_ *testing.T, s *fakeSigner) { s.set(lnrpc.WalletState_NON_EXISTING) }, "signer_unreachable",
			"it has no wallet"},
		"fail/starting":            {func(_ *testing.T, s *fakeSigner) { s.set(lnrpc.WalletState_WAITING_TO_START) }, "signer_unreachable", "it is starting"},
		"fail/another certificate": {func(t *testing.T, s *fakeSigner) { s.CertPath = newFakeSigner(t).CertPath }, "signer_certificate", "x509: "},
		"fail/another host": {func(t *testing.T, s *fakeSigner) {
			s.server.Stop()
			s.Addr = "127.0.0.2:0"
			s.serve(t)
		}, "signer_certificate", "is good for other names"},
		"fail/expired certificate": {func(t *testing.T, s *fakeSigner) {
			s.server.Stop()
			s.certify(t, -time.Minute)
			s.Addr = "127.0.0.1:0"
			s.serve(t)
		}, "signer_certificate", "is not good at this time"},
		"fail/does not sign":         {func(_ *testing.T, s *fakeSigner) { s.stuck.Store(true) }, "signer_unreachable", "lnd_down"},
		"fail/malformed certificate": {func(t *testing.T, s *fakeSigner) { s.write(t, s.CertPath, "-----") }, "signer_certificate", "malformed"},
		"fail/another macaroon":      {func(t *testing.T, s *fakeSigner) { s.write(t, s.MacaroonPath, "another") }, "signer_macaroon", "verification failed"},
		"fail/no macaroon":           {func(_ *testing.T, s *fakeSigner) { s.MacaroonPath = "/nonexistent" }, "no_bundle", "/nonexistent"},
		"fail/no certificate":        {func(_ *testing.T, s *fakeSigner) { s.CertPath = "/nonexistent" }, "no_bundle", "/nonexistent"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newFakeSigner(t)
			c.change(t, s)
			err := s.Check(t.Context())
			if fault.Code(err) != c.code {
				t.Fatalf("%v, want %s", err, c.code)
			}
			if err != nil && (!strings.Contains(err.Error(), c.part) || fault.Hint(err) == "" || strings.Contains(err.Error(), fakeMacaroon)) {
				t.Errorf("%v, want %q; hint %q", err, c.part, fault.Hint(err))
			}
		})
	}
}

// superviseWatchOnly supervises a fake watch-only lnd of the signer.
func superviseWatchOnly(t *testing.T, s *fakeSigner, script string) *Supervisor {
	t.Helper()
	sup, _ := supervise(t, script, func(c *SupervisorConfig) {
		c.Config.signer = &s.RemoteSigner
		c.MinPause, c.MaxPause = time.Hour, time.Hour // what ends with its signer waits for nothing else
	})
	return sup
}

func signs(st Status) bool { return st.State == Active && st.SignerErr == nil }

// TestSignerAway: lnd is not started before its signer is there, nor after it has
// ended because the signer is away, and then without a pause.
func TestSignerAway(t *testing.T) {
	s := newFakeSigner(t)
	s.server.Stop()
	sup := superviseWatchOnly(t, s, "serve")
	if st := awaitStatus(t, sup, "away", Status.SignerAway); st.PID != 0 || fault.Code(st.SignerErr) != "signer_unreachable" {
		t.Errorf("status %+v", st)
	}
	s.serve(t)
	st := awaitStatus(t, sup, "active", signs)
	if st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
	s.server.Stop()
	awaitStatus(t, sup, "away", Status.SignerAway)
	if now := sup.Status(); now.PID != st.PID || now.State != Active {
		t.Errorf("lnd ended with its signer, or was ended: %+v", now)
	}
	s.serve(t)
	if st := awaitStatus(t, sup, "back", signs); st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
	s.set(lnrpc.WalletState_LOCKED)
	awaitStatus(t, sup, "away", Status.SignerAway)
	killActive(t, sup, 0)
	awaitStatus(t, sup, "down", func(st Status) bool { return st.PID == 0 && st.Err != nil && st.NextStart.IsZero() })
	s.set(lnrpc.WalletState_SERVER_ACTIVE)
	awaitStatus(t, sup, "started again", func(st Status) bool { return signs(st) && st.Restarts == 1 })
}

// TestConnectionAloneIsNoOutage: a connection that broke is made again before
// anybody is told.
func TestConnectionAloneIsNoOutage(t *testing.T) {
	s := newFakeSigner(t)
	sup := superviseWatchOnly(t, s, "serve")
	awaitStatus(t, sup, "active", signs)
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error, 1)
	go func() {
		defer close(told)
		sup.Watch(ctx, func(st Status) {
			if st.SignerErr != nil {
				told <- st.SignerErr
				cancel()
			}
		})
	}()
	<-s.asked
	for range 3 {
		if err := (<-s.conns).Close(); err != nil {
			t.Error(err)
		}
		<-s.asked
	}
	cancel()
	if err := <-told; err != nil {
		t.Errorf("told of an outage: %v", err)
	}
}

// TestNewBundle: credentials that were imported while lnd runs are lnd's at once.
func TestNewBundle(t *testing.T) {
	s := newFakeSigner(t)
	sup := superviseWatchOnly(t, s, "serve")
	first := awaitStatus(t, sup, "active", signs)
	s.write(t, s.MacaroonPath, "another")
	awaitStatus(t, sup, "refused", func(st Status) bool { return fault.Code(st.SignerErr) == "signer_macaroon" })
	s.write(t, s.MacaroonPath, fakeMacaroon)
	if st := awaitStatus(t, sup, "back", signs); st.PID != first.PID {
		t.Errorf("started again for the same credentials: %+v", st)
	}
	s.macaroon.Store(new("a second one"))
	s.write(t, s.MacaroonPath, "a second one")
	awaitStatus(t, sup, "started again", func(st Status) bool { return signs(st) && st.Restarts == 1 && st.PID != first.PID })
}

// TestOtherKeys: lnd is not started, nor left to clients, with a signer that does not
// hold the node's keys, whatever its certificate and macaroon.
func TestOtherKeys(t *testing.T) {
	s := newFakeSigner(t)
	xpub, first := account(t)
	_, other := account(t)
	s.Identity = xpub
	s.key.Store(other)
	sup := superviseWatchOnly(t, s, "serve")
	isOther := func(st Status) bool { return fault.Code(st.SignerErr) == "signer_other_keys" }
	if st := awaitStatus(t, sup, "refused", isOther); st.PID != 0 {
		t.Errorf("lnd was started: %+v", st)
	}
	s.key.Store(first)
	awaitStatus(t, sup, "active", signs)
	s.server.Stop()
	s.key.Store(other)
	s.serve(t)
	awaitStatus(t, sup, "refused", isOther)
}

// TestDoubtedSigner: an lnd that has ended may have missed its signer before we did.
// It is not started again before the signer was asked.
func TestDoubtedSigner(t *testing.T) {
	s := newFakeSigner(t)
	sup := superviseWatchOnly(t, s, "leave")
	awaitStatus(t, sup, "active", signs)
	s.stuck.Store(true)
	signalActive(t, sup, 0, syscall.SIGUSR1)
	awaitStatus(t, sup, "away", func(st Status) bool { return st.PID == 0 && st.SignerAway() && st.NextStart.IsZero() })
	s.stuck.Store(false)
	awaitStatus(t, sup, "started again", func(st Status) bool { return signs(st) && st.Restarts == 1 })
}

// TestFlappingSigner: lnd, which ends in order whenever a signature is not to be had,
// is started again with the shortest pause when the signer is there again.
func TestFlappingSigner(t *testing.T) {
	s := newFakeSigner(t)
	sup, _ := supervise(t, "leave", func(c *SupervisorConfig) {
		c.Config.signer = &s.RemoteSigner
		c.MinPause, c.MaxPause = time.Millisecond, time.Hour
	})
	for n := range 20 { // doubled each time, the pause would be minutes
		signalActive(t, sup, n, syscall.SIGUSR1)
	}
	awaitStatus(t, sup, "active", func(st Status) bool { return st.State == Active && st.Restarts == 20 })
}

var quiet = slog.New(slog.DiscardHandler)

// TestAwaitSigner: one that answers is given time to open its wallet, another none.
func TestAwaitSigner(t *testing.T) {
	s := newFakeSigner(t)
	for _, state := range []lnrpc.WalletState{lnrpc.WalletState_WAITING_TO_START, lnrpc.WalletState_LOCKED} {
		s.set(state)
		ready := make(chan error, 1)
		go func() { ready <- s.Await(t.Context(), quiet) }()
		<-s.conns // refused once
		<-s.conns
		s.set(lnrpc.WalletState_SERVER_ACTIVE)
		if err := <-ready; err != nil {
			t.Errorf("%v: %v", state, err)
		}
		for len(s.conns) > 0 {
			<-s.conns
		}
	}
	s.set(lnrpc.WalletState_NON_EXISTING)
	if err := s.Await(t.Context(), quiet); fault.Code(err) != "signer_unreachable" {
		t.Errorf("without a wallet: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.set(lnrpc.WalletState_LOCKED)
	if err := s.Await(ctx, quiet); fault.Code(err) != "signer_unreachable" {
		t.Errorf("who waits no longer: %v", err)
	}
}

// TestSlowSigner: a signer that does not answer at all is away.
func TestSlowSigner(t *testing.T) {
	t.Parallel() // it takes signerPatience
	s := newFakeSigner(t)
	sup := superviseWatchOnly(t, s, "serve")
	awaitStatus(t, sup, "active", signs)
	s.slow.Store(true)
	st := awaitStatus(t, sup, "away", Status.SignerAway)
	if !strings.Contains(st.SignerErr.Error(), "no answer in time") {
		t.Errorf("status %+v", st)
	}
	s.slow.Store(false)
	awaitStatus(t, sup, "back", signs)
}

// TestSilentSigner: silence is told after signerPatience, whichever question it
// meets.
func TestSilentSigner(t *testing.T) {
	for name, n := range map[string]int{"a beat": 1, "the macaroon": signerProof} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it takes signerPatience
			s := newFakeSigner(t)
			s.slow.Store(true)
			conn, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := s.beat(t.Context(), conn, n); !errors.Is(err, errSilent) {
				t.Errorf("%v, want %v", err, errSilent)
			}
			if asked := s.silent.Load(); asked != 1 {
				t.Errorf("it had patience with %d questions", asked)
			}
		})
	}
}
