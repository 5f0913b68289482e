// Package session serves the sessions of Lightning Node Connect: ways into the
// node that ten words open, through a relay and without a port. It promises: a
// session that is open is listened for, from the moment it was made and again
// after every start; its connection can use its own macaroon and no other; a
// session that is revoked, that expires, or that nobody pairs with in time, is
// ended durably, and then nothing of it is served any more. It leaves out what a
// macaroon permits (lnd, package guard) and how the tunnel is secured (package lnc).
package session

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/lnc"
)

const (
	// DefaultPairWithin is how long a phrase is good for, from when it was made.
	DefaultPairWithin = 10 * time.Minute

	// DefaultMost is how many sessions may be open at once: each has a connection
	// with its relay.
	DefaultMost = 1000
)

// Guard makes and ends sessions: *guard.Guard. It must call Over with what it has
// ended, whoever asked for it.
type Guard interface {
	AddSession(ctx context.Context, by audit.Actor, n account.Session) (account.Session, error)
	EndSession(ctx context.Context, by audit.Actor, id account.SessionID, to account.SessionState, reason string) (account.Session, error)
}

// Ledger keeps sessions: *account.Ledger.
type Ledger interface {
	Sessions(ctx context.Context) ([]account.Session, error)
	SessionByKey(ctx context.Context, localKey []byte) (account.Session, error)
	PairSession(ctx context.Context, id account.SessionID, remoteKey []byte) (account.Session, error)
}

// Options of a Manager. All but the last three are required.
type Options struct {
	Guard  Guard
	Ledger Ledger

	// Open opens a tunnel into the front: front.Server.Open.
	Open func(front.TunnelOptions) Tunnel

	Logger *slog.Logger

	// PairWithin is how long a session waits for its client; 0:
	// DefaultPairWithin.
	PairWithin time.Duration

	// Most is how many sessions may be open at once; 0: DefaultMost. Those that
	// there are when it starts are all served.
	Most int

	// Listen listens at a relay; nil: lnc.NewListener.
	Listen func(lnc.ListenerConfig) (net.Listener, error)
}

// Tunnel is a way into the front that can be closed: *front.Tunnel.
type Tunnel interface{ Close() error }

// Manager serves sessions. Make it with New, then Start, and Close.
type Manager struct {
	opts Options
	log  *slog.Logger

	watching sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	adding  int // sessions that are being made
	serving map[account.SessionID]*service
}

// New makes a manager that serves nothing yet.
func New(opts Options) *Manager {
	if opts.PairWithin == 0 {
		opts.PairWithin = DefaultPairWithin
	}
	if opts.Most == 0 {
		opts.Most = DefaultMost
	}
	if opts.Listen == nil {
		opts.Listen = func(c lnc.ListenerConfig) (net.Listener, error) { return lnc.NewListener(c) }
	}
	return &Manager{opts: opts, log: opts.Logger, serving: make(map[account.SessionID]*service)}
}

// Start serves every session that is open, and ends those whose time is over. What
// cannot be served or ended now does not keep the others from it.
func (m *Manager) Start(ctx context.Context) error {
	list, err := m.opts.Ledger.Sessions(ctx)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.State != account.SessionCreated {
			continue
		}
		what := "served"
		if due, how := m.due(s, time.Now()); over(due) {
			if what = "ended"; how.reason == expired {
				how.to = account.SessionExpired // nobody was there to revoke it
			}
			err = m.end(ctx, s.ID, how)
		} else {
			_, err = m.serve(ctx, s)
		}
		if err != nil && fault.Code(err) != account.CodeSessionEnded {
			m.log.Error("a session cannot be "+what, "session", s.ID, "error", err)
		}
	}
	return nil
}

// Close ends all connections; the sessions stay open and are served again after
// the next Start.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	list := make([]*service, 0, len(m.serving))
	for _, s := range m.serving {
		list = append(list, s)
	}
	clear(m.serving)
	m.mu.Unlock()
	var ending sync.WaitGroup
	for _, s := range list {
		ending.Go(s.stop)
	}
	ending.Wait()
	m.watching.Wait()
}

// Over is told of sessions that have ended, and returns once nothing of them is
// served any more.
func (m *Manager) Over(ids []account.SessionID) {
	var ending sync.WaitGroup
	for _, id := range ids {
		m.mu.Lock()
		s := m.serving[id]
		delete(m.serving, id)
		m.mu.Unlock()
		if s != nil {
			ending.Go(s.stop)
		}
	}
	ending.Wait()
}

// List returns all sessions, oldest first, ended ones too.
func (m *Manager) List(ctx context.Context) ([]account.Session, error) {
	return m.opts.Ledger.Sessions(ctx)
}

// Revoke ends the session with the local key, a compressed public key. Codes:
// session_unknown; session_ended, if it has expired.
func (m *Manager) Revoke(ctx context.Context, by audit.Actor, localKey []byte) (account.Session, error) {
	s, err := m.opts.Ledger.SessionByKey(ctx, localKey)
	if err != nil {
		return account.Session{}, err
	}
	return m.opts.Guard.EndSession(ctx, by, s.ID, account.SessionRevoked, "revoked by the operator")
}

// Why sessions end by themselves.
const (
	expired  = "it has expired"
	unpaired = "nobody paired with it in time"
)

// ending is how and why a session ends.
type ending struct {
	to     account.SessionState
	reason string
}

// due says when and how a session that was seen at a time ends if nothing happens.
// The time to pair runs on by itself, wherever the clock is set to.
func (m *Manager) due(s account.Session, seen time.Time) (time.Time, ending) {
	deadline := seen.Add(m.opts.PairWithin - max(0, seen.Sub(s.Created)))
	if len(s.RemoteKey) == 0 && deadline.Before(s.Expires) {
		return deadline, ending{account.SessionRevoked, unpaired}
	}
	return s.Expires, ending{account.SessionRevoked, expired}
}

// over says whether a time has come, by the clock or by what has passed since.
func over(due time.Time) bool {
	now := time.Now()
	return !now.Before(due) || !now.Round(0).Before(due.Round(0))
}

// end ends a session, unless that was done already.
func (m *Manager) end(ctx context.Context, id account.SessionID, how ending) error {
	_, err := m.opts.Guard.EndSession(ctx, audit.ByGuard, id, how.to, how.reason)
	if fault.Code(err) == account.CodeSessionEnded {
		return nil
	}
	return err
}

var errClosed = errors.New("the node is shutting down")
