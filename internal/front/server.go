package front

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

const (
	// maxRequest is the largest message taken from a client, in bytes, unless
	// Limits says otherwise: lnd's own limit.
	maxRequest = 200 << 20

	// maxHeaders is the largest list of a call's metadata, in bytes. gRPC's own
	// limit of 16 MB would let strangers fill the memory.
	maxHeaders = 64 << 10

	// handshakeTime is how long a client may take until its first call can come.
	handshakeTime = 20 * time.Second

	// stopGrace is how long Stop lets open calls end by themselves.
	stopGrace = time.Second
)

// lnd's defaults for connections that have gone quiet.
var (
	serverKeepalive = keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}
	clientKeepalive = keepalive.EnforcementPolicy{MinTime: 5 * time.Second}
)

// Options of a Server.
type Options struct {
	// Listeners take the clients' gRPC connections, before TLS. The server closes
	// them.
	Listeners []net.Listener

	// TLS serves the front's certificate, best through GetCertificate so that it
	// can be renewed (see package cert). Required.
	TLS *tls.Config

	// Backend is the lnd behind the front.
	Backend Backend

	// Hook judges calls. Nil lets everything pass that is not blocked.
	Hook Hook

	// Retell, if not nil, is asked what a client is told of a call that failed
	// with that status; nil leaves it. It sees what the hook's own refusals say too.
	Retell func(*status.Status) *Refusal

	// REST serves lnd's REST interface as well. Nil: not served.
	REST *REST

	// Limits bound what clients may cost.
	Limits Limits

	// Program is the command that runs this front, for hints. Default "leyden
	// node".
	Program string

	// CreateCommand makes the wallet, for hints. Default Program and "create".
	CreateCommand string

	// Logger is required.
	Logger *slog.Logger
}

// Limits bound what gRPC clients may cost, whoever they are.
type Limits struct {
	// Message is the largest message taken from a client, in bytes. Default: lnd's
	// own limit.
	Message int

	// Streams is how many calls a connection may have open at once, Conns how many
	// connections an address may (for IPv6 its /64). 0: as many as it likes.
	Streams uint32
	Conns   int
}

// REST is the HTTP side of a Server.
type REST struct {
	// Listeners take the HTTP connections, before TLS. The server closes them.
	Listeners []net.Listener

	// NoTLS serves plain HTTP.
	NoTLS bool

	// Handler makes the handler (see package rest). The calls it makes on the
	// connection pass the same hook as gRPC calls do, as calls of the HTTP peer.
	// Their context must descend from the request's.
	Handler func(grpc.ClientConnInterface) (http.Handler, error)
}

// Server is a front. Make it with New, then Start, SetReady, and Stop.
type Server struct {
	opts  Options
	log   *slog.Logger
	pool  *pool
	calls *calls
	grpc  *grpc.Server
	http  *http.Server

	serving  sync.WaitGroup
	hooks    sync.WaitGroup // functions of hooks that may outlast their calls
	failed   chan error
	stopOnce sync.Once
	stopped  chan struct{}
	stopErr  error
}

// New makes a front that is not ready: until SetReady it refuses every call but
// those of the State service, with the reason "starting".
func New(opts Options) (*Server, error) {
	if opts.TLS == nil || opts.Logger == nil {
		return nil, errors.New("front: TLS and Logger are required")
	}
	if opts.Program == "" {
		opts.Program = "leyden node"
	}
	if opts.CreateCommand == "" {
		opts.CreateCommand = opts.Program + " create"
	}
	pool, err := newPool(opts.Backend)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts:    opts,
		log:     opts.Logger,
		pool:    pool,
		calls:   newCalls(),
		failed:  make(chan error, 1),
		stopped: make(chan struct{}),
	}
	s.grpc = s.newGRPC(credentials.NewTLS(opts.TLS), s.handle)
	if opts.REST != nil {
		if s.http, err = s.newHTTP(opts.REST); err != nil {
			pool.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) newGRPC(creds credentials.TransportCredentials, handle grpc.StreamHandler, more ...grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(slices.Concat(s.opts.Limits.options(), []grpc.ServerOption{
		grpc.Creds(creds),
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.UnknownServiceHandler(handle),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(serverKeepalive),
		grpc.KeepaliveEnforcementPolicy(clientKeepalive),
		grpc.SharedWriteBuffer(true),
	}, more)...)
}

// Start serves all listeners and returns. Failed tells of listeners that break.
func (s *Server) Start() {
	for _, l := range s.opts.Listeners {
		s.serve(func() error { return s.grpc.Serve(s.opts.Limits.listener(l)) })
	}
	if s.opts.REST == nil {
		return
	}
	for _, l := range s.opts.REST.Listeners {
		if s.opts.REST.NoTLS {
			s.serve(func() error { return s.http.Serve(l) })
			continue
		}
		s.serve(func() error { return s.http.ServeTLS(l, "", "") })
	}
}

func (s *Server) serve(run func() error) {
	s.serving.Go(func() {
		err := run()
		if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
			return
		}
		select {
		case s.failed <- err:
		default:
		}
	})
}

// Failed receives the first error of a listener that stopped accepting.
func (s *Server) Failed() <-chan error { return s.failed }

// SetReady opens the front: calls are forwarded from now on.
func (s *Server) SetReady() { s.calls.setState(nil) }

// SetUnready closes the front: new calls are refused with r (Code is normally
// Unavailable) until SetReady. Open calls go on; see CutOff.
func (s *Server) SetUnready(r Refusal) { s.calls.setState(&r) }

// CutOff ends every open call that which picks (nil: all of them) with r as its
// status, and returns how many. Once it has returned, no further message of
// theirs is handed to lnd, and a call the hook was still considering is refused.
// It does not keep new calls out: call SetUnready, or make the hook refuse, first.
// Calls of the State service are left alone.
func (s *Server) CutOff(r Refusal, which func(*Call) bool) int {
	return s.calls.cut(&r, func(c *openCall) bool {
		return !c.state && (which == nil || which(c.call))
	})
}

// Stop refuses new calls with the reason "stopping", lets open ones end for a
// second, cuts the rest off, waits for the End functions of hooks, and closes all
// listeners and connections. It is bounded by ctx, after which connections are
// broken off; the error says so. Further calls wait for the first.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		defer close(s.stopped)
		s.stopErr = s.stop(ctx)
	})
	<-s.stopped
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	r := refuse(codes.Unavailable, "stopping", "", "the node is shutting down")
	s.calls.close(r)
	grace := time.AfterFunc(stopGrace, func() {
		s.calls.cut(r, func(*openCall) bool { return true })
	})
	defer grace.Stop()

	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		if s.http != nil {
			_ = s.http.Shutdown(ctx)
		}
		s.grpc.GracefulStop()
		s.calls.wait()
		s.hooks.Wait()
		s.serving.Wait()
	}()

	var err error
	select {
	case <-graceful:
	case <-ctx.Done():
		err = ctx.Err()
		s.calls.cut(r, func(*openCall) bool { return true })
		// In the background: GracefulStop can hold a lock that Stop wants for as
		// long as a hook does not return.
		go s.grpc.Stop()
	}
	if s.http != nil {
		_ = s.http.Close()
	}
	s.pool.close()
	return err
}
