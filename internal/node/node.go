// Package node is `leyden node`: one lnd child, supervised, behind one front.
// It promises that the node's port answers from the start to the end, also
// while lnd is away; that the folder is an lnddir as lncli expects; that a
// wallet's password and seed are safe on disk before the wallet exists; and
// that nothing is left running when it ends. It leaves out what clients may do
// (in this form of the front: everything that is not blocked) and how it is
// asked for on a command line.
package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/lnd"
)

// Default addresses of the front.
const (
	DefaultRPC  = "localhost:10009"
	DefaultREST = "localhost:8080"
)

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

	// Listen are the addresses for Lightning peers.
	Listen []string

	// PasswordFile opens the wallet; empty means what create remembered, or
	// wallet-password.txt, or nobody.
	PasswordFile string

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
	record     *recorder
	log        *slog.Logger
	syncGrace  time.Duration

	stopped chan struct{} // closed when a client has stopped lnd
}

// New checks everything that can be checked, takes the pid file and opens the
// ports. The caller must call Run. Codes: already_running, port_in_use,
// no_wallet, insecure_file, and those of lnd.Build.
func New(home config.Home, opts Options, log *slog.Logger) (n *Node, err error) {
	plan, err := makePlan(home, opts)
	if err != nil {
		return nil, err
	}
	runner, err := newRunner(home, plan.config, log)
	if err != nil {
		return nil, err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return nil, err
	}
	n = &Node{
		home: home, lock: lock, log: log, syncGrace: opts.SyncGrace,
		stopped: make(chan struct{}),
		supervisor: lnd.NewSupervisor(lnd.SupervisorConfig{
			Runner: runner, Password: plan.password, RecoveryWindow: plan.recoveryWindow,
		}),
	}
	ports, err := plan.open()
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	hook := stopHook{stop: sync.OnceFunc(func() { close(n.stopped) })}
	if n.front, err = plan.front(ports, n.supervisor.Endpoint(), hook, log); err != nil {
		ports.close()
		return nil, errors.Join(err, lock.Release())
	}
	n.record = newRecorder(home, plan, ports, n.supervisor.Endpoint())
	return n, nil
}

// Run serves until ctx ends or a client has stopped lnd, then stops the front, then lnd, and returns nil.
// ready is called once, when the node is synced, or answers calls and SyncGrace
// has passed, or waits for a password nobody gave it. An error of lnd's first
// start ends Run with that error.
func (n *Node) Run(ctx context.Context, ready func(Running)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.front.Start()

	var watching sync.WaitGroup
	watching.Go(func() {
		n.watch(ctx, ready)
	})
	lndDone := make(chan error, 1)
	lndCtx, stopLnd := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLnd()
	go func() { lndDone <- n.supervisor.Run(lndCtx) }()

	var failed error
	ended := false
	select {
	case <-ctx.Done():
	case <-n.stopped:
	case failed = <-lndDone:
		failed, ended = cutShort(n.home, failed), true
	case err := <-n.front.Failed():
		failed = fault.New("listener_failed", "leyden node start", "the front's port broke: %w", err)
	}
	cancel()
	watching.Wait()
	n.log.Info("stopping")
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), frontStop)
	defer done()
	err := n.front.Stop(stopping)
	if !ended {
		stopLnd()
		err = errors.Join(err, <-lndDone)
	}
	return errors.Join(failed, err, n.record.remove(), n.lock.Release())
}

// watch keeps front and record in step with the child.
func (n *Node) watch(ctx context.Context, ready func(Running)) {
	report := sync.OnceFunc(func() { ready(n.record.running()) })
	var grace *time.Timer
	n.supervisor.Watch(ctx, func(s lnd.Status) {
		n.record.update(s, n.log)
		if !s.State.Serving() && !s.AwaitsPassword {
			n.front.SetUnready(away(s))
			return
		}
		n.front.SetReady()
		switch {
		case s.State == lnd.Active, s.AwaitsPassword:
			report()
		case s.State == lnd.RPCActive && grace == nil:
			grace = time.AfterFunc(n.syncGrace, report)
		}
	})
	if grace != nil {
		grace.Stop()
	}
}

// away is what clients are told while lnd does not answer, or would only answer
// that its wallet is locked, which we are about to open.
func away(s lnd.Status) front.Refusal {
	r := front.Refusal{Code: codes.Unavailable, Reason: "starting", Sentence: "lnd is starting", Hint: "leyden node status"}
	if s.Err != nil && s.State == lnd.Down {
		// Anybody who reaches the port sees this: the code, not the details.
		r.Reason, r.Sentence = "lnd_down", "lnd is down and will be started again: "+fault.Code(s.Err)
	}
	return r
}

// ports are the front's open listeners.
type ports struct {
	rpc, rest []net.Listener
}

func (p ports) close() {
	for _, l := range append(p.rpc, p.rest...) {
		_ = l.Close() // nothing was served on it
	}
}
