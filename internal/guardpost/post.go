// Package guardpost keeps a guard on duty before an lnd: the ledger, the guard,
// the operator API, and the door, which is the front's readiness. It promises:
// the front is open only while the guard is attached to lnd; when the guard has
// lost its lnd the front is shut and every open call is cut before the guard is
// attached again; a folder's accounts are used by one process at a time, and
// before one Lightning node only. It leaves out how lnd is reached and run:
// package node does that for a child of ours, package guardd for an lnd that
// somebody else runs.
package guardpost

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/guard"
	"github.com/leydenln/leyden/internal/session"
)

// Options of a Post.
type Options struct {
	// Dir is the folder of guard.db.
	Dir string

	// Status is the command that shows how things stand, for hints.
	Status string

	// JudgeAddresses: see guard.Options.
	JudgeAddresses bool

	// PairWithin: see session.Options.
	PairWithin time.Duration

	// Logger is required.
	Logger *slog.Logger
}

// Post is a guard with its ledger. Make it with Open, give it its front with
// Before, serve sessions with ServeSessions, attach it with Keep, and end it with
// Close.
type Post struct {
	opts     Options
	lock     *daemon.Lock
	ledger   *account.Ledger
	guard    *guard.Guard
	sessions *session.Manager
	front    *front.Server

	// door is held while the front is opened or shut, so that a guard that was
	// given up cannot open it any more.
	door sync.Mutex
}

// Open opens the ledger and makes a guard that is attached to nothing yet.
// Codes: guard_running, and those of account.Open.
func Open(ctx context.Context, opts Options) (*Post, error) {
	lock, err := acquire(opts.Dir)
	if err != nil {
		return nil, err
	}
	p := &Post{opts: opts, lock: lock}
	if p.ledger, err = account.Open(ctx, filepath.Join(opts.Dir, databaseFile), nil); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	p.guard, err = guard.New(guard.Options{
		Ledger: p.ledger, CutOff: p.cutOff, JudgeAddresses: opts.JudgeAddresses,
		SessionsOver: func(ids []account.SessionID) { p.sessions.Over(ids) },
		Program:      "leyden", Logger: opts.Logger,
	})
	if err != nil {
		return nil, errors.Join(err, p.ledger.Close(), lock.Release())
	}
	p.sessions = session.New(session.Options{
		Guard: p.guard, Ledger: p.ledger, PairWithin: opts.PairWithin, Logger: opts.Logger,
		Open: func(o front.TunnelOptions) session.Tunnel { return p.front.Open(o) },
	})
	return p, nil
}

// Hook is what the front asks.
func (p *Post) Hook() front.Hook { return p.guard }

// Before gives the post its front, before any Keep.
func (p *Post) Before(f *front.Server) { p.front = f }

func (p *Post) cutOff(r front.Refusal, which func(*front.Call) bool) int {
	return p.front.CutOff(r, which)
}

// ServeSessions serves the sessions that are open, once the front serves. Its
// error is the ledger's.
func (p *Post) ServeSessions(ctx context.Context) error { return p.sessions.Start(ctx) }

// CloseSessions ends the connections of sessions, before the front stops.
func (p *Post) CloseSessions() { p.sessions.Close() }

// API makes the operator API on the listener, which it closes. The caller
// starts and stops it. Codes are api.New's.
func (p *Post) API(l net.Listener, tls *tls.Config) (*api.Server, error) {
	return api.New(api.Options{
		Guard: p.guard, Ledger: p.ledger, Sessions: p.sessions, Dir: p.opts.Dir, TLS: tls, Listener: l, Logger: p.opts.Logger,
	})
}

// Shut closes the front with the refusal and cuts all open calls off. A Keep
// that goes on may open it again: end it first.
func (p *Post) Shut(r front.Refusal) {
	p.door.Lock()
	defer p.door.Unlock()
	p.shut(r)
}

func (p *Post) shut(r front.Refusal) {
	p.front.SetUnready(r)
	p.front.CutOff(r, nil)
}

// lost shuts the front, unless the attachment was given up: then whoever gave
// it up says why.
func (p *Post) lost(ctx context.Context) {
	p.door.Lock()
	defer p.door.Unlock()
	if ctx.Err() == nil {
		p.shut(front.Refusal{Code: codes.Unavailable, Reason: "starting", Hint: p.opts.Status,
			Sentence: "the guard is not attached to lnd at the moment"})
	}
}

// opened opens the front, and says whether it did.
func (p *Post) opened(ctx context.Context) bool {
	p.door.Lock()
	defer p.door.Unlock()
	if ctx.Err() != nil {
		return false
	}
	p.front.SetReady()
	return true
}

// Close closes the ledger, after the front and every Keep have ended.
func (p *Post) Close() error { return errors.Join(p.ledger.Close(), p.lock.Release()) }
