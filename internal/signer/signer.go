// Package signer is `leyden signer`: an lnd that only holds keys, supervised, behind
// a front that lets pass what a watch-only node asks of its signer and nothing else,
// whatever the macaroon. It promises that the keys' machine has no other port, that
// a wallet's password and seed are safe before the wallet exists, and that the
// credentials bundle it gives away holds public keys and a macaroon that can only
// sign. It leaves out what may be signed: that is for a hook behind this one's.
package signer

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
	"github.com/leydenln/leyden/internal/wallet"
)

// Default addresses of the front.
const (
	DefaultRPC  = "0.0.0.0:" + lnd.DefaultSignerPort
	DefaultREST = "localhost:10013"
)

// frontStop bounds the end of the front; the child's is lnd.DefaultStopTime.
const frontStop = 10 * time.Second

// Options are what a start may choose. What is empty is taken from what init
// remembered, then from signer-lnd.conf, then from the defaults.
type Options struct {
	// RPCListen and RESTListen are the front's addresses (host:port); REST turns
	// REST on at DefaultREST when no address is given. REST is served on loopback
	// alone.
	RPCListen, RESTListen []string
	REST                  bool

	// PasswordFile opens the wallet; empty means what init remembered, or
	// wallet-password.txt, or nobody.
	PasswordFile string

	// LND are further options of lnd: --option=value.
	LND []string
}

// Signer is a signer that has its ports and has not yet started lnd.
type Signer struct {
	lock       *daemon.Lock
	supervisor *lnd.Supervisor
	front      *front.Server
	record     recorder
	log        *slog.Logger
	home       config.Home
}

// New checks everything that can be checked, takes the pid file and opens the
// ports. The caller must call Run. Codes: already_running, port_in_use,
// bad_address, no_wallet, wallet_unfinished, insecure_file, and those of lnd.Build.
func New(home config.Home, opts Options, log *slog.Logger) (s *Signer, err error) {
	defer func() { err = ours(err) }()
	plan, err := makePlan(home, opts)
	if err != nil {
		return nil, err
	}
	s = &Signer{log: log, home: home}
	if s.supervisor, err = plan.supervisor(log); err != nil {
		return nil, err
	}
	if s.lock, err = daemon.Acquire(pidFile(home)); err != nil {
		return nil, err
	}
	if err := s.open(plan); err != nil {
		return nil, errors.Join(err, s.lock.Release())
	}
	return s, nil
}

// open opens what the signer serves with, or nothing.
func (s *Signer) open(p *plan) error {
	ports, err := p.open()
	if err != nil {
		return err
	}
	if s.front, err = p.front(ports, s.supervisor.Endpoint(), s.log); err != nil {
		ports.close()
		return err
	}
	s.record = newRecorder(p, ports, s.supervisor.Endpoint(), s.log)
	if !s.record.Get().BundleCurrent {
		s.log.Warn("the credentials bundle is missing, or has another certificate or a macaroon that is dead", "hint", "leyden signer export")
	}
	return nil
}

// Run serves until ctx ends, then stops the front and lnd, and returns nil. ready
// is called once, when the signer signs, or waits for a password nobody gave it.
// An error of lnd's first start ends Run with that error.
func (s *Signer) Run(ctx context.Context, ready func(Running)) (err error) {
	defer func() { err = ours(err) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.front.Start()

	report := sync.OnceFunc(func() { ready(s.record.Get()) })
	var watching sync.WaitGroup
	watching.Go(func() { s.supervisor.Watch(ctx, func(st lnd.Status) { s.follow(st, report) }) })
	lndDone := make(chan error, 1)
	lndCtx, stopLnd := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLnd()
	go func() { lndDone <- s.supervisor.Run(lndCtx) }()

	var failed error
	ended := false
	select {
	case <-ctx.Done():
	case failed = <-lndDone:
		failed, ended = wallet.CutShort(passwordFile(s.home), "leyden signer change-password", failed), true
	case err := <-s.front.Failed():
		failed = fault.New("listener_failed", "leyden signer start", "the front's port broke: %w", err)
	}
	cancel()
	watching.Wait()
	s.log.Info("stopping")
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), frontStop)
	defer done()
	err = s.front.Stop(stopping)
	if !ended {
		stopLnd()
		err = errors.Join(err, <-lndDone)
	}
	return errors.Join(failed, err, s.record.Remove(), s.lock.Release())
}

// follow acts on a status of the child: the front is open exactly while it serves.
func (s *Signer) follow(st lnd.Status, report func()) {
	if st.State.Serving() {
		s.front.SetReady()
	} else {
		r := away(st)
		s.front.SetUnready(r)
		s.front.CutOff(r, nil)
	}
	s.record.lnd(st)
	if st.AwaitsPassword || st.State == lnd.Active {
		report()
	}
}

// away is what clients are told while lnd does not serve.
func away(s lnd.Status) front.Refusal {
	r := front.Refusal{Code: codes.Unavailable, Reason: "starting", Sentence: "the signer is starting", Hint: "leyden signer status"}
	switch {
	case s.AwaitsPassword:
		r.Reason, r.Sentence, r.Hint = "wallet_locked", "the signer's wallet is locked", "leyden signer unlock"
	case s.Err != nil && s.State == lnd.Down:
		// Anybody who reaches the port sees this: the code, not the details.
		r.Reason, r.Sentence = "lnd_down", "the signer's lnd is down and will be started again: "+fault.Code(s.Err)
	}
	return r
}

// ports are the open listeners.
type ports struct{ rpc, rest []net.Listener }

func (p ports) close() { lnd.CloseAll(append(p.rpc, p.rest...)...) }
