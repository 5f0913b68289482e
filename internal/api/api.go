// Package api is the operator's way in: gRPC with TLS on a port of its own,
// litrpc.Accounts and litrpc.Sessions as litcli speaks them and leyden.v1 for the rest. It promises:
// no call without the operator's macaroon; every change is made by the guard or
// the ledger and stands in the journal with who asked for it; errors carry a
// stable reason. It serves from the node's start to its end, also while lnd is
// away: what needs lnd says so. It decides nothing about money itself.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
	"github.com/leydenln/leyden/internal/session"
)

// DefaultListen is where the node serves this.
const DefaultListen = "localhost:8443"

// maxRequest is the largest message taken from a client, in bytes.
const maxRequest = 1 << 20

// Guard does what needs lnd: *guard.Guard.
type Guard interface {
	// Attached says whether accounts can use the node now.
	Attached() bool

	CreateAccount(ctx context.Context, by audit.Actor, n account.New, backed bool) (account.Account, []byte, error)
	CreditAccount(ctx context.Context, by audit.Actor, id account.ID, amount lnwire.MilliSatoshi, key string, backed bool) (account.Account, error)
	IssueMacaroon(ctx context.Context, by audit.Actor, id account.ID) (account.Account, []byte, error)
	RotateAccount(ctx context.Context, by audit.Actor, id account.ID) (account.Account, []byte, error)
	RemoveAccount(ctx context.Context, by audit.Actor, id account.ID) (account.Account, error)

	// Freeze stops (or thaws) an account, or all with nil, and returns what is
	// in flight.
	Freeze(ctx context.Context, by audit.Actor, id *account.ID, frozen bool) ([]account.Payment, error)

	// GiveUpPayment releases the open payment of a hash that lnd will never end.
	GiveUpPayment(ctx context.Context, by audit.Actor, hash lntypes.Hash) (account.Payment, error)

	// ChannelBalance is what the node itself owns in its channels, in msat.
	ChannelBalance(ctx context.Context) (lnwire.MilliSatoshi, error)
}

// Sessions are those of Lightning Node Connect: *session.Manager.
type Sessions interface {
	Add(ctx context.Context, by audit.Actor, o session.Order) (account.Session, error)
	List(ctx context.Context) ([]account.Session, error)
	Revoke(ctx context.Context, by audit.Actor, localKey []byte) (account.Session, error)
}

// Options of a Server. All are required.
type Options struct {
	Guard    Guard
	Ledger   *account.Ledger
	Sessions Sessions

	// Dir holds leyden.macaroon and the key behind it; New makes them.
	Dir string

	// TLS shows the certificate that clients trust.
	TLS *tls.Config

	// Listener takes the connections, before TLS. The server closes it.
	Listener net.Listener

	Logger *slog.Logger
}

// Server serves the operator's API. Make it with New, then Start and Stop.
type Server struct {
	opts   Options
	grpc   *grpc.Server
	failed chan error
	done   sync.WaitGroup

	// limits is held from reading an account's limits to writing them.
	limits sync.Mutex
}

// New makes the operator's macaroon if there is none. Codes: insecure_file,
// bad_key_file, write_failed, disk_full.
func New(opts Options) (*Server, error) {
	if opts.Guard == nil || opts.Ledger == nil || opts.Sessions == nil || opts.TLS == nil || opts.Listener == nil || opts.Logger == nil {
		return nil, errors.New("api: every option is required")
	}
	key, err := openKey(opts.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, failed: make(chan error, 1)}
	gate := &gatekeeper{key: key, log: opts.Logger}
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(opts.TLS)),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.ConnectionTimeout(20*time.Second),
		grpc.UnaryInterceptor(gate.unary),
		grpc.StreamInterceptor(gate.stream),
	)
	litrpc.RegisterAccountsServer(s.grpc, &litServer{s: s})
	litrpc.RegisterSessionsServer(s.grpc, &sessionsServer{s: s})
	leydenv1.RegisterAccountsServer(s.grpc, &accountsServer{s: s})
	leydenv1.RegisterAuditServer(s.grpc, &auditServer{s: s})
	return s, nil
}

// Addr is the address listened on.
func (s *Server) Addr() string { return s.opts.Listener.Addr().String() }

// Start serves in the background.
func (s *Server) Start() {
	s.done.Go(func() {
		if err := s.grpc.Serve(s.opts.Listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			s.failed <- err
		}
	})
}

// Failed tells that the port broke.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop lets calls under way end, within ctx, and closes the port. It may be
// called without Start, and again.
func (s *Server) Stop(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.grpc.Stop()
		<-ended
	}
	s.done.Wait()
	if err := s.opts.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
