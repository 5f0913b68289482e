package lnd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/cert"
	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// TestMain is also the child that the supervisor starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ChildCommand {
		os.Exit(fakeChild(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "parent" {
		os.Exit(fakeParent(os.Args[2]))
	}
	os.Exit(m.Run())
}

// The fake's wallet.
const fakePassword = "correct horse"

// fakeLnd is a child that does as the file "script" in its folder says: one
// word for each start, the last for all further ones.
//
//	serve      become active, end in order
//	nowallet   there is no wallet
//	config     refuse the configuration
//	die        end with an error before serving
//	stubborn   become active, and never end
//	leave      become active, and end in order when told (SIGUSR1), as a watch-only
//	           lnd does without its signer
type fakeLnd struct {
	lnrpc.UnimplementedStateServer
	lnrpc.UnimplementedWalletUnlockerServer

	mu      sync.Mutex
	state   lnrpc.WalletState
	changed chan struct{}
}

func fakeChild(args []string) int {
	spec, err := ParseChildSpec(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitConfig
	}
	lock, err := spec.Lock()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitFailed
	}
	defer lock.Close()
	word := nextWord(spec.Dir)
	switch word {
	case "config":
		fmt.Fprintf(os.Stderr, "%s:2: unknown option: nosuch\n", spec.Config)
		return ExitConfig
	case "die":
		fmt.Fprintln(os.Stderr, "some line\nunable to reach btcd: connection refused")
		return ExitFailed
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	told := make(chan os.Signal, 1)
	if word == "leave" {
		signal.Notify(told, syscall.SIGUSR1)
	}
	f := &fakeLnd{changed: make(chan struct{}), state: lnrpc.WalletState_LOCKED}
	if word == "nowallet" {
		f.state = lnrpc.WalletState_NON_EXISTING
	}
	if err := f.serve(spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitFailed
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(uintptr(spec.Lifeline), "lifeline"))
		close(ended)
	}()
	select {
	case <-told:
	case <-ended:
	}
	if word == "stubborn" {
		select {}
	}
	return 0
}

// nextWord takes the script's word for this start.
func nextWord(dir string) string {
	script, err := os.ReadFile(filepath.Join(dir, "script"))
	if err != nil {
		return "serve"
	}
	words := strings.Fields(string(script))
	if len(words) > 1 {
		rest := strings.Join(words[1:], " ")
		if err := os.WriteFile(filepath.Join(dir, "script"), []byte(rest), 0o600); err != nil {
			panic(err)
		}
	}
	return words[0]
}

func (f *fakeLnd) serve(spec ChildSpec) error {
	c, k, err := cert.GenCertPair("fake", nil, nil, true, time.Hour)
	if err != nil {
		return err
	}
	if err := cert.WriteCertPair(spec.CertPath(), spec.KeyPath(), c, k); err != nil {
		return err
	}
	creds, err := credentials.NewServerTLSFromFile(spec.CertPath(), spec.KeyPath())
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", spec.Socket)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(creds))
	lnrpc.RegisterStateServer(s, f)
	lnrpc.RegisterWalletUnlockerServer(s, f)
	go s.Serve(l)
	return nil
}

func (f *fakeLnd) set(state lnrpc.WalletState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = state
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeLnd) get() (lnrpc.WalletState, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.changed
}

func (f *fakeLnd) SubscribeState(_ *lnrpc.SubscribeStateRequest, stream lnrpc.State_SubscribeStateServer) error {
	for {
		state, changed := f.get()
		if err := stream.Send(&lnrpc.SubscribeStateResponse{State: state}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (f *fakeLnd) UnlockWallet(_ context.Context, r *lnrpc.UnlockWalletRequest) (*lnrpc.UnlockWalletResponse, error) {
	if string(r.WalletPassword) != fakePassword {
		return nil, fmt.Errorf("invalid passphrase for master public key")
	}
	f.set(lnrpc.WalletState_UNLOCKED)
	f.set(lnrpc.WalletState_RPC_ACTIVE)
	f.set(lnrpc.WalletState_SERVER_ACTIVE)
	return &lnrpc.UnlockWalletResponse{}, nil
}

// fakeParent supervises until it is killed.
func fakeParent(dir string) int {
	s := NewSupervisor(SupervisorConfig{Runner: fakeRunner(dir), Password: rightPassword})
	if err := s.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func rightPassword() ([]byte, error) { return []byte(fakePassword), nil }

// fakeRunner listens for peers nowhere, so that tests can run side by side.
func fakeRunner(dir string) Runner {
	c, err := Build(Settings{Network: "regtest", Conf: []Option{{Name: "nolisten", Value: "true", Origin: "lnd.conf line 7"}}})
	if err != nil {
		panic(err)
	}
	runtime, err := RuntimeDir(dir)
	if err != nil {
		panic(err)
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Runner{Dir: dir, Runtime: runtime, Config: c, Self: self, Log: slog.New(slog.DiscardHandler)}
}
