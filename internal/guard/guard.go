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
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/front"
)

// Options of a Guard.
type Options struct {
	// Ledger is required.
	Ledger *account.Ledger

	// CutOff ends open calls at the front: front.Server.CutOff.
	CutOff func(front.Refusal, func(*front.Call) bool) int

	// JudgeAddresses makes the guard itself judge ipaddr and iprange caveats,
	// for an lnd that does not see the clients' addresses.
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
	// to another run of lnd.
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
	opts Options

	invoices invoiceDesk
}

// New makes a guard that is attached to nothing: accounts are refused.
func New(opts Options) (*Guard, error) { return &Guard{opts: opts}, nil }

// Call is part of front.Hook.
func (g *Guard) Call(ctx context.Context, call *front.Call) (front.Decision, error) {
	return front.Decision{}, errors.New("not built yet")
}

// Serve attaches the guard to a run of lnd: it registers the middleware that
// makes account macaroons worthless at lnd's own port, learns what it must
// know, calls ready, settles what was left open, and follows payments and
// invoices until ctx ends (nil) or lnd or the middleware is gone (an error).
func (g *Guard) Serve(ctx context.Context, lnd Access, ready func()) error {
	return errors.New("not built yet")
}
