// Package guardd is `leyden guard`: the guard and its front beside an lnd that
// somebody else runs. It promises what package guardpost does, and that it does
// not start before an lnd on which the rules would not hold: one that is too
// old, that checks no macaroons, or that takes no RPC middleware. It leaves the
// life of that lnd to whoever runs it: while lnd is away the front says so, and
// opens again when it is back.
//
// Such an lnd sees one address, ours, whoever calls: the guard judges caveats on
// addresses itself, and lnd judges them once more against ours.
package guardd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cert"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/rest"
	"github.com/leydenln/leyden/internal/guardpost"
	"github.com/leydenln/leyden/internal/lnd"
)

// Default addresses: lnd's own, the front's and the API's.
const (
	DefaultLND = "localhost:10009"
	DefaultRPC = "localhost:10019"
	DefaultAPI = api.DefaultListen
)

const (
	// checkTimeout bounds the look at lnd before a start.
	checkTimeout = 30 * time.Second

	// stopTimeout bounds the end of front and API.
	stopTimeout = 10 * time.Second

	// takenGrace is how long lnd may take to notice that a guard before us has
	// gone.
	takenGrace = 3 * time.Second
)

// Options of a Guard.
type Options struct {
	// LND is where lnd serves.
	LND Target

	// RPCListen, RESTListen and APIListen are host:port. No RESTListen: no
	// REST. Empty otherwise: the defaults.
	RPCListen, RESTListen []string
	APIListen             string

	// PairWithin is how long a session of Lightning Node Connect waits for its
	// client. Default: session.DefaultPairWithin.
	PairWithin time.Duration
}

// Guard is a guard that has looked at its lnd and has its ports.
type Guard struct {
	opts   Options
	lock   *daemon.Lock
	post   *guardpost.Post
	front  *front.Server
	api    *api.Server
	record *daemon.Record[Running]
	log    *slog.Logger
}

// New looks at lnd, takes the pid file, and opens the ledger and the ports. The
// caller must call Run. Codes: already_running, port_in_use, own_port, those of
// Target.check and of guardpost.Open.
func New(ctx context.Context, home config.Home, opts Options, log *slog.Logger) (g *Guard, err error) {
	if opts.LND, err = opts.LND.absolute(); err != nil {
		return nil, err
	}
	if len(opts.RPCListen) == 0 {
		opts.RPCListen = []string{DefaultRPC}
	}
	if opts.APIListen == "" {
		opts.APIListen = DefaultAPI
	}
	g = &Guard{opts: opts, log: log}
	if g.lock, err = daemon.Acquire(pidFile(home)); err != nil {
		return nil, err
	}
	if err := g.open(ctx, home); err != nil {
		return nil, errors.Join(err, g.lock.Release())
	}
	return g, nil
}

// open opens all there is to open, or nothing.
func (g *Guard) open(ctx context.Context, home config.Home) error {
	looking, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	network, err := g.opts.LND.check(looking, g.log)
	if err != nil {
		return err
	}
	g.post, err = guardpost.Open(ctx, guardpost.Options{
		Dir: home.Guard(), Status: "leyden guard status", JudgeAddresses: true,
		PairWithin: g.opts.PairWithin, Logger: g.log,
	})
	if err != nil {
		return err
	}
	ports, err := g.listen()
	if err != nil {
		return errors.Join(err, g.post.Close())
	}
	if err := g.serveOn(home, ports); err != nil {
		ports.close()
		return errors.Join(err, g.post.Close())
	}
	g.record = daemon.NewRecord(recordFile(home), newRunning(home, g.opts.LND, network, ports), g.log)
	return nil
}

// serveOn makes the front and the API, which own the ports from then on.
func (g *Guard) serveOn(home config.Home, ports ports) error {
	tls, err := certificate(home, g.log)
	if err != nil {
		return err
	}
	if g.api, err = g.post.API(ports.api, tls); err != nil {
		return err
	}
	opts := front.Options{
		Listeners: ports.rpc, TLS: tls, Hook: g.post.Hook(), Program: "leyden guard", Logger: g.log,
		Backend: front.Backend{Address: g.opts.LND.Address, TLSCert: g.opts.LND.CertPath},
	}
	if len(ports.rest) > 0 {
		opts.REST = &front.REST{Listeners: ports.rest, Handler: rest.Handler(rest.Options{})}
	}
	if g.front, err = front.New(opts); err != nil {
		return err
	}
	g.post.Before(g.front)
	return nil
}

func certificate(home config.Home, log *slog.Logger) (*tls.Config, error) {
	keeper, err := cert.Open(cert.Options{
		CertPath: certFile(home), KeyPath: filepath.Join(home.Guard(), "tls.key"), Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return keeper.TLSConfig(), nil
}

// Run serves until ctx ends, then stops in order and returns nil. ready is
// called once, when the guard is attached for the first time. If it cannot be,
// Run ends with why; later, it is tried again and again.
func (g *Guard) Run(ctx context.Context, ready func(Running)) error {
	g.front.Start()
	g.api.Start()
	sessions := make(chan error, 1)
	if err := g.post.ServeSessions(ctx); err != nil {
		sessions <- err
	}

	onDuty, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	kept := make(chan error, 1)
	go func() { kept <- g.keep(onDuty, ready) }()

	var failed error
	ended := false
	select {
	case <-ctx.Done():
	case failed = <-sessions:
	case failed = <-kept:
		ended = true
	case err := <-g.front.Failed():
		failed = fault.New("listener_failed", "leyden guard start", "the front's port broke: %w", err)
	case err := <-g.api.Failed():
		failed = fault.New("listener_failed", "leyden guard start", "the operator API's port broke: %w", err)
	}
	g.log.Info("stopping")
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer done()
	g.post.CloseSessions()
	err := errors.Join(g.front.Stop(stopping), g.api.Stop(stopping))
	giveUp()
	if !ended {
		err = errors.Join(err, <-kept)
	}
	return errors.Join(failed, err, g.post.Close(), g.record.Remove(), g.lock.Release())
}

// keep keeps the guard attached; the first attempt must succeed.
func (g *Guard) keep(ctx context.Context, ready func(Running)) error {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var failed error
	began, since := false, time.Now()
	watch := func(err error) {
		g.record.Update(func(now *Running) { now.set(err) })
		switch {
		case err == nil && !began:
			began = true
			ready(g.record.Get())
		case err != nil && !began && !(isTaken(err) && time.Since(since) < takenGrace):
			failed = explain(err)
			giveUp()
		}
	}
	to := guardpost.LND{
		MayOutlive: true,
		Macaroon:   g.opts.LND.macaroon,
		Dial: func(macaroon []byte) (*grpc.ClientConn, error) {
			return g.opts.LND.dial(guardpost.DialOptions(macaroon, g.opts.LND.dialer())...)
		},
	}
	if err := g.post.Keep(ctx, to, watch); err != nil {
		return err
	}
	return failed
}

// ports are the open listeners.
type ports struct {
	rpc, rest []net.Listener
	api       net.Listener
}

func (g *Guard) listen() (open ports, err error) {
	defer func() {
		if err != nil {
			open.close()
		}
	}()
	for _, addr := range g.opts.RPCListen {
		l, err := g.listenOn(addr, "10019", "--rpclisten")
		if err != nil {
			return open, err
		}
		open.rpc = append(open.rpc, l)
	}
	for _, addr := range g.opts.RESTListen {
		l, err := g.listenOn(addr, "8080", "--restlisten")
		if err != nil {
			return open, err
		}
		open.rest = append(open.rest, l)
	}
	open.api, err = g.listenOn(g.opts.APIListen, "8443", "--apilisten")
	return open, err
}

// listenOn opens a port that is not lnd's own.
func (g *Guard) listenOn(addr, port, flag string) (net.Listener, error) {
	addr = lnd.WithPort(addr, port)
	if addr == g.opts.LND.Address {
		return nil, fault.New("own_port", "choose another with "+flag+" HOST:PORT, and give clients that one",
			"%q is lnd's own port", addr)
	}
	return lnd.Listen(addr, port, flag)
}

func (p ports) close() {
	all := append(p.rpc, p.rest...)
	if p.api != nil {
		all = append(all, p.api)
	}
	lnd.CloseAll(all...)
}
