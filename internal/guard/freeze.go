package guard

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/front"
)

var errFrozen = refuse(codes.PermissionDenied, account.CodeFrozen, "leyden thaw --all",
	"everything on this node that moves money is frozen")

// Freeze freezes or thaws an account, or with a nil id all accounts and what
// moves money for operators, and returns the payments of those that are in
// flight. Once a freeze has returned, no payment that is not among them reaches
// lnd. What is in flight goes on to its end. Closing channels by force stays
// allowed. Errors are the ledger's.
func (g *Guard) Freeze(ctx context.Context, by audit.Actor, id *account.ID, frozen bool) (inFlight []account.Payment, err error) {
	if id == nil {
		err = g.freezeAll(ctx, by, frozen)
	} else {
		_, err = g.opts.Ledger.Update(ctx, by, *id, account.Change{Frozen: &frozen})
	}
	if err != nil {
		return nil, err
	}
	if frozen {
		g.cutPayments(id)
	}
	return g.opts.Ledger.OpenPayments(ctx, id)
}

func (g *Guard) freezeAll(ctx context.Context, by audit.Actor, frozen bool) error {
	g.freezing.Lock()
	defer g.freezing.Unlock()
	if err := g.opts.Ledger.SetFrozenAll(ctx, by, frozen); err != nil {
		// It may have been written all the same: what it says counts.
		_ = g.loadFrozen(context.WithoutCancel(ctx))
		return err
	}
	g.frozen.Store(frozen)
	return nil
}

// loadFrozen takes over what the ledger says. Frozen if it cannot be read.
func (g *Guard) loadFrozen(ctx context.Context) error {
	frozen, err := g.opts.Ledger.FrozenAll(ctx)
	g.frozen.Store(frozen || err != nil)
	return err
}

// cutPayments ends the open calls that may yet hand lnd a payment: those of the
// account, or of everybody.
func (g *Guard) cutPayments(id *account.ID) {
	r := errFrozen
	if id != nil {
		r = refuse(codes.PermissionDenied, account.CodeFrozen, "",
			"account %s was frozen; a payment that is in flight goes on: look it up by its hash", id)
	}
	g.opts.CutOff(*r, func(call *front.Call) bool {
		return operations[call.Method].effect == moves && (id == nil || belongsTo(call, *id))
	})
}
