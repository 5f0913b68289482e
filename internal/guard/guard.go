// Package guard holds account macaroons to their accounts, in a front before
// lnd. It promises: an account sees and does what the table of rules says, and
// a method without a rule is refused; no payment reaches lnd that is not
// reserved in the ledger and journalled; outcomes are settled from lnd's own
// final state, whatever the client does and whatever crashes; at lnd's own port
// an account macaroon is worth nothing. Calls with an operator's macaroon pass;
// those that change state are journalled.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/verify"
)

// Options of a Guard.
type Options struct {
	// Ledger is required.
	Ledger *account.Ledger

	// CutOff ends open calls at the front: front.Server.CutOff.
	CutOff func(front.Refusal, func(*front.Call) bool) int

	// SessionsOver is told of sessions that have ended, and returns once nothing of
	// them is served any more.
	SessionsOver func([]account.SessionID)

	// JudgeAddresses makes the guard itself judge ipaddr and iprange caveats,
	// for an lnd that does not see the clients' addresses. That lnd judges them
	// too, against the guard's own address.
	JudgeAddresses bool

	// Program is the command for hints: "leyden".
	Program string

	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// Logger is required.
	Logger *slog.Logger
}

// Access is one run of lnd, reached with the operator's power.
type Access struct {
	// Conn carries the operator's macaroon on every call. It must not reconnect
	// to another run of lnd, and is dialled with front.WatchAnswers.
	Conn *grpc.ClientConn

	// Macaroon is the operator's macaroon, binary.
	Macaroon []byte

	// Run names this life of lnd.
	Run string

	// MayOutlive means that calls of an earlier run may still be on their way:
	// an lnd that somebody else runs and that was not restarted with us.
	MayOutlive bool
}

// Guard is a front.Hook. Make it with New and attach it with Serve.
type Guard struct {
	opts     Options
	log      *slog.Logger
	rules    map[string]rule
	verifier *verify.Verifier[account.ID]

	journal journal

	// lnd is the run of lnd that the guard is attached to, or nil; run its name or
	// that of the last one, and since when that was attached to first, of Serve
	// alone.
	lnd   atomic.Pointer[attachment]
	run   string
	since time.Time

	// frozen is what the ledger says of freeze --all; freezing is held while it
	// changes.
	frozen   atomic.Bool
	freezing sync.Mutex

	sessions sessionBook

	paying  *hashes // of operators
	tallies *tallies

	raising sync.Mutex // held while balances that must be backed are raised

	payments paymentDesk
	invoices invoiceDesk

	selling chan struct{} // closed, by sell, once an account may have an open invoice
	sell    func()

	lookups allowance
	crowd   *crowd
}

// journal is where operators' calls are written.
type journal interface {
	Add(ctx context.Context, e audit.Entry) error
}

// New makes a guard that is attached to nothing: every call is refused. Errors
// are the ledger's.
func New(opts Options) (*Guard, error) {
	if opts.Ledger == nil || opts.Logger == nil {
		return nil, errors.New("guard: Ledger and Logger are required")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.CutOff == nil {
		opts.CutOff = func(front.Refusal, func(*front.Call) bool) int { return 0 }
	}
	if opts.SessionsOver == nil {
		opts.SessionsOver = func([]account.SessionID) {}
	}
	g := &Guard{
		opts: opts, log: opts.Logger, rules: allRules(), verifier: verify.New[account.ID](opts.Now),
		journal: opts.Ledger.Journal(), paying: newHashes(), tallies: newTallies(opts.Now), crowd: newCrowd(),
	}
	g.selling = make(chan struct{})
	g.sell = sync.OnceFunc(func() { close(g.selling) })
	if err := g.loadFrozen(context.Background()); err != nil {
		return nil, fmt.Errorf("read whether everything is frozen: %w", err)
	}
	if err := g.loadSessions(context.Background()); err != nil {
		return nil, fmt.Errorf("read the sessions: %w", err)
	}
	return g, nil
}

// Serve attaches the guard to a run of lnd: it registers the middleware that
// makes account macaroons worthless at lnd's own port, learns what it must
// know, calls ready, settles what was left open, and follows payments and
// invoices until ctx ends (nil) or lnd or the middleware is gone (an error).
// When it returns, nothing of the attachment runs any more. It must not be
// called again before it has returned.
func (g *Guard) Serve(ctx context.Context, lnd Access, ready func()) error {
	a := newAttachment(ctx, lnd)
	defer a.end(nil)
	if lnd.Run != g.run {
		g.run, g.since = lnd.Run, g.opts.Now()
	}
	a.since = g.since
	err := g.serve(a, ready)
	g.detach(a)
	a.end(err)
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(a.ctx)
}

// serve runs an attachment until its context ends, or the error that ends it.
func (g *Guard) serve(a *attachment, ready func()) error {
	a.keep("lnd's health", a.probe)
	if err := a.refuseAtLnd(); err != nil {
		return fmt.Errorf("register the middleware: %w", err)
	}
	if err := a.learn(); err != nil {
		return err
	}
	g.attach(a)
	ready()
	for _, reconcile := range []func(context.Context, *attachment) error{g.reconcilePayments, g.reconcileInvoices} {
		if err := reconcile(a.ctx, a); err != nil {
			return fmt.Errorf("settle what was left open: %w", err)
		}
	}
	a.spawn(func() { g.keepRetiring(a) })
	a.spawn(func() { g.keepTallies(a.ctx) })
	close(a.reconciled)
	a.keep("payments", func(ctx context.Context) error { return g.followPayments(ctx, a) })
	a.keep("invoices", func(ctx context.Context) error { return g.followInvoices(ctx, a) })
	<-a.ctx.Done()
	return context.Cause(a.ctx)
}

func (g *Guard) attach(a *attachment) {
	g.lnd.Store(a)
	g.log.Info("the guard is attached", "node", a.identity, "run", a.Run)
}

// detach makes Call refuse, before the attachment's work ends.
func (g *Guard) detach(a *attachment) {
	g.lnd.CompareAndSwap(a, nil)
	g.verifier.ForgetAll()
}
