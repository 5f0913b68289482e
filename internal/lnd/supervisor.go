package lnd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/fault"
)

// Defaults of SupervisorConfig.
const (
	DefaultMinPause = time.Second
	DefaultMaxPause = time.Minute
	DefaultStopTime = 45 * time.Second
)

// SupervisorConfig says how to keep a child running.
type SupervisorConfig struct {
	Runner

	// Password opens the wallet after each start. It is called each time, so
	// that a changed file counts. Nil leaves the wallet to the operator.
	Password func() ([]byte, error)

	// RecoveryWindow is handed over with the password; see Unlock.
	RecoveryWindow int32

	// MinPause and MaxPause bound the pause before a further start, doubled
	// each time until the child has served for MaxPause.
	MinPause, MaxPause time.Duration

	// StopTime is how long the child may take to end in order before it is
	// killed.
	StopTime time.Duration
}

// Supervisor keeps one lnd running. Safe for concurrent use.
type Supervisor struct {
	cfg    SupervisorConfig
	status *board
	doubts chan doubt // whether the signer is there
}

// NewSupervisor starts nothing yet.
func NewSupervisor(cfg SupervisorConfig) *Supervisor {
	if cfg.MinPause == 0 {
		cfg.MinPause = DefaultMinPause
	}
	if cfg.MaxPause == 0 {
		cfg.MaxPause = DefaultMaxPause
	}
	if cfg.StopTime == 0 {
		cfg.StopTime = DefaultStopTime
	}
	s := &Supervisor{cfg: cfg, status: newBoard(), doubts: make(chan doubt)}
	if cfg.Config.signer != nil {
		s.status.set(Status{SignerErr: errSignerUnknown})
	}
	return s
}

// Endpoint is where the child serves whenever it does.
func (s *Supervisor) Endpoint() Endpoint { return s.cfg.Endpoint() }

// Status is the child now.
func (s *Supervisor) Status() Status { return s.status.get() }

// Watch calls fn with the status now and after each change, one call at a
// time, until ctx ends. A slow fn misses what came between.
func (s *Supervisor) Watch(ctx context.Context, fn func(Status)) { s.status.watch(ctx, fn) }

// Run keeps the child running until ctx ends, then ends it in order and
// returns nil. It returns an error only when the child's first start does not
// get as far as serving (or waiting for a password that is not ours to give):
// that is for the operator to put right. What happens later is retried. A
// watch-only lnd is not started while its signer is away, and at once when the
// signer is back.
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.status.set(Status{})
	defer s.cfg.cleanUp()
	defer s.watchSigner(ctx)()
	pause, served := s.cfg.MinPause, false
	for restarts := 0; ; restarts++ {
		s.awaitSigner(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.status.update(func(st *Status) { st.Restarts, st.NextStart = restarts, time.Time{} })
		began := time.Now()
		settled, err := s.runOnce(ctx)
		served = served || settled
		if ctx.Err() != nil {
			return nil
		}
		s.status.update(func(st *Status) { *st = st.down(restarts, err) })
		if errors.Is(err, errRenewed) || s.signerGone(ctx) {
			s.cfg.Log.Error("lnd is down", "error", err)
			pause = s.cfg.MinPause
			continue
		}
		if !served {
			return err
		}
		if time.Since(began) > s.cfg.MaxPause || s.missedSigner(err) {
			pause = s.cfg.MinPause
		}
		s.cfg.Log.Error("lnd is down", "error", err, "next_start_in", pause)
		s.status.update(func(st *Status) { st.NextStart = time.Now().Add(pause) })
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, s.cfg.MaxPause)
	}
}

// watchSigner posts whether the signer is there until the returned function is
// called.
func (s *Supervisor) watchSigner(ctx context.Context) (stop func()) {
	signer := s.cfg.Config.signer
	if signer == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		signer.watch(ctx, s.doubts, func(credentials string, err error) {
			was := s.status.get().SignerErr
			switch {
			case err == nil && was != nil:
				s.cfg.Log.Info("the signer is there", "addr", signer.Addr)
			case err != nil && (was == nil || was.Error() != err.Error()):
				s.cfg.Log.Error("the signer is away", "error", err)
			}
			s.status.update(func(st *Status) {
				st.SignerErr = err
				if err == nil {
					st.credentials = credentials
				}
			})
		})
	}()
	return func() { cancel(); <-done }
}

// errRenewed means that lnd was ended because its signer's credentials are others
// now.
var errRenewed = errors.New("another bundle of the signer was imported")

// renewed is closed once the signer has answered with other credentials than lnd
// read when it was started.
func (s *Supervisor) renewed(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{})
	if s.cfg.Config.signer == nil {
		return changed
	}
	read := s.status.get().credentials
	ctx, cancel := context.WithCancel(ctx)
	tell := sync.OnceFunc(func() { close(changed); cancel() })
	go s.Watch(ctx, func(st Status) {
		if st.SignerErr == nil && st.credentials != read {
			tell()
		}
	})
	return changed
}

// awaitSigner returns once the signer is there, or ctx has ended.
func (s *Supervisor) awaitSigner(ctx context.Context) {
	if !s.signerAway() {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.Watch(ctx, func(st Status) {
		if st.SignerErr == nil {
			cancel()
		}
	})
}

// signerGone says whether the signer is away, which it asks it now: lnd, which has
// ended, may have missed it before we did.
func (s *Supervisor) signerGone(ctx context.Context) bool {
	if s.cfg.Config.signer == nil || s.signerAway() {
		return s.signerAway()
	}
	asked := make(doubt)
	select {
	case <-ctx.Done():
	case s.doubts <- asked:
		select {
		case <-ctx.Done():
		case <-asked:
		}
	}
	return s.signerAway()
}

// missedSigner says whether lnd ended in order, as a watch-only one does in the
// moment that a signature is not to be had. A signer that comes and goes is no
// reason to leave lnd down for longer and longer.
func (s *Supervisor) missedSigner(err error) bool {
	return s.cfg.Config.signer != nil && fault.Code(err) == codeStopped
}

func (s *Supervisor) signerAway() bool { return s.status.get().SignerErr != nil }

// runOnce starts the child and follows it to its end. settled says that it
// served, or waited for a password that nobody had given us.
func (s *Supervisor) runOnce(ctx context.Context) (settled bool, err error) {
	p, err := s.cfg.start(ctx, false)
	if err != nil {
		return false, err
	}
	s.cfg.Log.Info("lnd started", "pid", p.cmd.Process.Pid)
	s.status.update(func(st *Status) { st.PID = p.cmd.Process.Pid })

	following, cancel := context.WithCancel(ctx)
	renewed := s.renewed(following)
	followed := make(chan error, 1)
	go func() { followed <- s.follow(following, &settled) }()
	select {
	case <-p.done:
		err = p.exitError(s.cfg.Config)
		cancel()
		<-followed
	case err = <-followed: // only a wallet that stays closed, or ctx
		p.stop(s.cfg.StopTime)
		cancel()
	case <-renewed:
		p.stop(s.cfg.StopTime)
		cancel()
		<-followed
		err = errRenewed
	}
	return settled, err
}

// follow opens the wallet and posts the child's states until ctx ends.
func (s *Supervisor) follow(ctx context.Context, settled *bool) error {
	for {
		err := s.followStream(ctx, settled)
		if ctx.Err() != nil || err != nil {
			return err
		}
	}
}

// followStream is follow for one connection. A broken one is no error.
func (s *Supervisor) followStream(ctx context.Context, settled *bool) error {
	conn, err := s.Endpoint().awaitSocket(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := lnrpc.NewStateClient(conn).SubscribeState(ctx, &lnrpc.SubscribeStateRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return ctx.Err()
	}
	for {
		update, err := stream.Recv()
		if err != nil {
			return ctx.Err()
		}
		if err := s.reached(ctx, conn, stateOf(update.State), settled); err != nil {
			return err
		}
	}
}

// reached acts on a state of the child.
func (s *Supervisor) reached(ctx context.Context, conn *grpc.ClientConn, state State, settled *bool) error {
	s.cfg.Log.Debug("lnd", "state", state.String())
	s.status.update(func(st *Status) {
		st.State, st.AwaitsPassword = state, state == Locked && s.cfg.Password == nil
		if state.Serving() {
			st.Err = nil
		}
	})
	switch {
	case state == NoWallet:
		hint := "leyden node create --mode standalone"
		if s.cfg.Config.signer != nil {
			hint = "leyden node create"
		}
		return fault.New("no_wallet", hint, "there is no wallet yet in %q", s.cfg.Dir)
	case state == Locked && s.cfg.Password == nil:
		*settled = true
	case state == Locked:
		return s.open(ctx, conn, *settled)
	case state.Serving():
		*settled = true
		return s.cfg.tightenMacaroons()
	}
	return nil
}

// open opens the wallet. A password that is wrong after it was once right
// leaves the node locked, for the operator to open; so does a file that has
// gone.
func (s *Supervisor) open(ctx context.Context, conn *grpc.ClientConn, settled bool) error {
	password, err := s.cfg.Password()
	if err == nil {
		err = unlock(ctx, conn, password, s.cfg.RecoveryWindow)
	}
	if ctx.Err() != nil {
		return nil
	}
	switch fault.Code(err) {
	case "", "already_unlocked":
		return nil
	case "node_unreachable": // how the child ended says more
		return nil
	}
	if s.status.get().Restarts == 0 && !settled {
		return err
	}
	s.cfg.Log.Error("the wallet stays locked", "error", err)
	s.status.update(func(st *Status) { st.Err, st.AwaitsPassword = err, true })
	return nil
}
