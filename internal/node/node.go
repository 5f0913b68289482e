// Package node is `leyden node`: one lnd child, supervised, behind one front
// with its guard. It promises that the node's ports answer from the start to the
// end, also while lnd is away; that calls pass only while the guard is attached
// to lnd; that the folder is an lnddir as lncli expects; that a wallet's password
// and seed are safe on disk before the wallet exists; and that nothing is left
// running when it ends. It leaves out what clients may do (package guard) and how
// it is asked for on a command line.
package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/guardpost"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/wallet"
)

// Default addresses of the front.
const (
	DefaultRPC  = "localhost:10009"
	DefaultREST = "localhost:8080"
)

// DefaultAPI is the default address of the operator API.
const DefaultAPI = api.DefaultListen

// frontStop bounds the end of the front; the child's is lnd.DefaultStopTime.
const frontStop = 10 * time.Second

// Options are what a start may choose. What is empty is taken from what create
// remembered, then from lnd.conf, then from the defaults.
type Options struct {
	// Network and Backend: see lnd.Settings.
	Network, Backend string

	// Profiles: see lnd.Settings.
	Profiles []string

	// RPCListen and RESTListen are the front's addresses (host:port); REST
	// turns REST on at DefaultREST when no address is given.
	RPCListen, RESTListen []string
	REST                  bool

	// APIListen is the operator API's address (host:port); of several the last.
	APIListen []string

	// SignerHost is where a watch-only node's signer is, host:port (port
	// lnd.DefaultSignerPort). One that was not used before must answer.
	SignerHost string

	// Listen are the addresses for Lightning peers.
	Listen []string

	// PasswordFile opens the wallet; empty means what create remembered, or
	// wallet-password.txt, or nobody.
	PasswordFile string

	// PairWithin is how long a session of Lightning Node Connect waits for its
	// client. Default: session.DefaultPairWithin.
	PairWithin time.Duration

	// LND are further options of lnd: --option=value.
	LND []string

	// SyncGrace is how long ready waits for the chain once calls are answered.
	SyncGrace time.Duration
}

// Node is a node that has its ports and has not yet started lnd.
type Node struct {
	home       config.Home
	lock       *daemon.Lock
	supervisor *lnd.Supervisor
	front      *front.Server
	post       *guardpost.Post
	api        *api.Server
	record     recorder
	log        *slog.Logger
	syncGrace  time.Duration

	stopped chan struct{} // closed when a client has stopped lnd
	failed  chan error    // why the guard gave up for good
}

// New checks everything that can be checked, takes the pid file, opens the
// ledger and the ports; ctx bounds no more than that. The caller must call Run. Codes: already_running,
// port_in_use, no_wallet, insecure_file, no_signer, no_signer_host, and those of
// lnd.Build, lnd.RemoteSigner's Await, guardpost.Open and api.New.
func New(ctx context.Context, home config.Home, opts Options, log *slog.Logger) (n *Node, err error) {
	plan, err := makePlan(home, opts)
	if err != nil {
		return nil, err
	}
	runner, err := lnd.NewRunner(home.Node(), plan.config, log)
	if err != nil {
		return nil, err
	}
	n = &Node{
		home: home, log: log, syncGrace: opts.SyncGrace,
		stopped: make(chan struct{}), failed: make(chan error, 1),
		supervisor: lnd.NewSupervisor(lnd.SupervisorConfig{
			Runner: runner, Password: plan.password, RecoveryWindow: plan.recoveryWindow,
		}),
	}
	if n.lock, err = daemon.Acquire(pidFile(home)); err != nil {
		return nil, err
	}
	err = plan.kept.adoptSigner(ctx, home, plan.signer, log)
	if err == nil {
		err = n.open(ctx, plan)
	}
	if err != nil {
		return nil, errors.Join(err, n.lock.Release())
	}
	return n, nil
}

// open opens what the node serves with, or nothing.
func (n *Node) open(ctx context.Context, plan *plan) (err error) {
	n.post, err = guardpost.Open(ctx, guardpost.Options{
		Dir: n.home.Guard(), Status: "leyden node status", PairWithin: plan.pairWithin, Logger: n.log,
	})
	if err != nil {
		return err
	}
	ports, err := plan.open()
	if err != nil {
		return errors.Join(err, n.post.Close())
	}
	if err := n.serveOn(plan, ports); err != nil {
		ports.close()
		return errors.Join(err, n.post.Close())
	}
	n.record = newRecorder(n.home, plan, ports, n.supervisor.Endpoint(), n.log)
	return nil
}

// serveOn makes the front and the API, which own the ports from then on.
func (n *Node) serveOn(plan *plan, ports ports) error {
	tls, err := plan.certificate(n.log)
	if err != nil {
		return err
	}
	if n.api, err = n.post.API(ports.api, tls); err != nil {
		return err
	}
	hook := stopHook{Hook: n.post.Hook(), stop: sync.OnceFunc(func() { close(n.stopped) })}
	if n.front, err = plan.front(ports, tls, n.supervisor.Endpoint(), hook, n.log); err != nil {
		return err
	}
	n.post.Before(n.front)
	return nil
}

// Run serves until ctx ends or a client has stopped lnd, then stops the front,
// the guard, lnd and the ledger, in this order, and returns nil. ready is called
// once, when the node is synced, or answers calls and SyncGrace has passed, or
// waits for its signer, or for a password nobody gave it. An error of lnd's first start ends Run
// with that error.
func (n *Node) Run(ctx context.Context, ready func(Running)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.front.Start()
	n.api.Start()
	if err := n.post.ServeSessions(ctx); err != nil {
		n.failed <- err
	}

	duty := newDuty(n, ready)
	var watching sync.WaitGroup
	watching.Go(func() { n.supervisor.Watch(ctx, duty.follow) })
	lndDone := make(chan error, 1)
	lndCtx, stopLnd := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLnd()
	go func() { lndDone <- n.supervisor.Run(lndCtx) }()

	var failed error
	ended := false
	select {
	case <-ctx.Done():
	case <-n.stopped:
	case failed = <-n.failed:
	case failed = <-lndDone:
		failed, ended = wallet.CutShort(passwordFile(n.home), "leyden node change-password", failed), true
	case err := <-n.front.Failed():
		failed = fault.New("listener_failed", "leyden node start", "the front's port broke: %w", err)
	case err := <-n.api.Failed():
		failed = fault.New("listener_failed", "leyden node start", "the operator API's port broke: %w", err)
	}
	cancel()
	watching.Wait()
	n.log.Info("stopping")
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), frontStop)
	defer done()
	n.post.CloseSessions()
	err := errors.Join(n.front.Stop(stopping), n.api.Stop(stopping))
	duty.end()
	if !ended {
		stopLnd()
		err = errors.Join(err, <-lndDone)
	}
	return errors.Join(failed, err, n.post.Close(), n.record.Remove(), n.lock.Release())
}

// ports are the open listeners.
type ports struct {
	rpc, rest []net.Listener
	api       net.Listener
}

func (p ports) close() {
	all := append(p.rpc, p.rest...)
	if p.api != nil {
		all = append(all, p.api)
	}
	lnd.CloseAll(all...)
}
