package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"golang.org/x/sync/errgroup"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
)

const (
	// lookupsAtOnce bounds the look-ups that a pass has under way.
	lookupsAtOnce = 8

	// settlingIn is when the invoices are looked at again after the events were
	// subscribed to: lnd does not say when the subscription has begun.
	settlingIn = time.Second

	sweepInterval = 30 * time.Second

	// sweepSome is how many invoices that need no look a sweep looks at.
	sweepSome = 50

	// forgottenAfter is how long an invoice stays pending at an lnd that does
	// not know it, though the request may still be on its way.
	forgottenAfter = 10 * time.Minute
)

// reconcileInvoices looks at every invoice that was left pending or open, before
// accounts are served. An error ends the attachment.
func (g *Guard) reconcileInvoices(ctx context.Context, lnd *attachment) error {
	return g.lookAtInvoices(ctx, lnd, func(account.Invoice) bool { return true })
}

// followInvoices credits what is settled until ctx ends (nil); an error ends
// the attachment. Lnd is not asked for events before an account has an invoice: it
// reads each new invoice anew to tell of it, whoever made it.
//
// lnd's events since an index are not asked for: it replays nothing from index
// 0, so that all open invoices have to be looked up in any case.
func (g *Guard) followInvoices(ctx context.Context, lnd *attachment) error {
	open, err := g.opts.Ledger.OpenInvoices(ctx, nil)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("read the open invoices: %w", err)
	}
	if len(open) > 0 {
		g.sell()
	}
	select {
	case <-g.selling:
	case <-ctx.Done():
		return nil
	}
	work, both := errgroup.WithContext(ctx)
	work.Go(func() error { return g.followSettled(both, lnd) })
	work.Go(func() error { return g.sweepInvoices(both, lnd) })
	err = work.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// followSettled credits each invoice as lnd says that it is settled.
func (g *Guard) followSettled(ctx context.Context, lnd *attachment) error {
	events, err := lnd.lightning.SubscribeInvoices(ctx, new(lnrpc.InvoiceSubscription))
	if err != nil {
		return fmt.Errorf("follow invoices: %w", err)
	}
	for {
		inv, err := events.Recv()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("follow invoices: %w", err)
		}
		if inv.GetState() != lnrpc.Invoice_SETTLED {
			continue
		}
		if err := g.creditEvent(ctx, inv); err != nil {
			return err
		}
	}
}

// creditEvent credits a settled invoice if it is an account's.
func (g *Guard) creditEvent(ctx context.Context, inv *lnrpc.Invoice) error {
	hash, err := lntypes.MakeHash(inv.GetRHash())
	if err != nil { // an AMP invoice that the node made on the spot
		return nil
	}
	row, err := g.opts.Ledger.InvoiceByHash(ctx, hash)
	switch {
	case fault.Code(err) == account.CodeNotFound:
		return nil
	case err != nil:
		return fmt.Errorf("credit invoice %s: %w", hash, err)
	}
	_, err = g.recordInvoice(ctx, row, inv)
	return err
}

// sweepInvoices looks at invoices again and again: soon at all of them, then at
// those that may have changed without an event, and at a few of the others; at all
// again when the ledger could not be written.
func (g *Guard) sweepInvoices(ctx context.Context, lnd *attachment) error {
	timer := time.NewTimer(settlingIn)
	defer timer.Stop()
	due := func(account.Invoice) bool { return true }
	for rest := (rotation{}); ; {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		err := g.lookAtInvoices(ctx, lnd, due)
		if err != nil && !errors.Is(err, errLedger) {
			return err
		}
		rest.begin()
		due = func(row account.Invoice) bool {
			return err != nil || row.State == account.StatePending || g.expired(row) || rest.takes(row)
		}
		timer.Reset(sweepInterval)
	}
}

// rotation takes a few invoices in each sweep, in turn.
type rotation struct {
	after int64 // the last one taken
	taken int
	more  bool
}

// begin begins the next sweep: at the front again if the last one came to the end.
func (r *rotation) begin() {
	if !r.more {
		r.after = 0
	}
	r.taken, r.more = 0, false
}

// takes is asked about each invoice in ascending order of ID.
func (r *rotation) takes(row account.Invoice) bool {
	if row.ID <= r.after {
		return false
	}
	if r.taken == sweepSome {
		r.more = true
		return false
	}
	r.after, r.taken = row.ID, r.taken+1
	return true
}

// lookAtInvoices asks lnd about the pending and open invoices that are due, and
// writes down what has become of them. due is asked in ascending order of ID.
func (g *Guard) lookAtInvoices(ctx context.Context, lnd *attachment, due func(account.Invoice) bool) error {
	rows, err := g.opts.Ledger.OpenInvoices(ctx, nil)
	if err != nil {
		return fmt.Errorf("read the open invoices: %w", err)
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(lookupsAtOnce)
	for _, row := range rows {
		if due(row) {
			work.Go(func() error { return g.lookAtInvoice(ctx, lnd, row) })
		}
	}
	return work.Wait()
}

func (g *Guard) lookAtInvoice(ctx context.Context, lnd *attachment, row account.Invoice) error {
	inv, err := lookup(ctx, lnd, row.Hash)
	if err != nil {
		return fmt.Errorf("look up invoice %s: %w", row.Hash, err)
	}
	if row.State == account.StatePending && (inv == nil || !sameInvoice(row, inv)) {
		if g.mayStillCome(lnd, row) {
			return nil
		}
		if err := g.opts.Ledger.InvoiceVoid(ctx, row.Hash, "lnd does not have it"); err != nil {
			return fmt.Errorf("free the hash of invoice %s: %w", row.Hash, err)
		}
		return nil
	}
	_, err = g.recordInvoice(ctx, row, inv)
	return err
}

// mayStillCome says whether the request for a pending invoice may still be on
// its way to lnd.
func (g *Guard) mayStillCome(lnd *attachment, row account.Invoice) bool {
	if row.Run != lnd.Run && !lnd.MayOutlive {
		return false
	}
	age := g.opts.Now().Sub(row.Created)
	return age < forgottenAfter
}
