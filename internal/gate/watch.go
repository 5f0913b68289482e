package gate

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

const (
	minBackoff    = 200 * time.Millisecond
	maxBackoff    = 3 * time.Second
	probeTimeout  = 5 * time.Second
	sweepInterval = 10 * time.Second
	// mintGrace is for how long after its record an invoice may still be on
	// its way to the node.
	mintGrace = time.Minute
	// keepUnpaid is for how long records of what was never paid are kept.
	keepUnpaid = 30 * 24 * time.Hour
	// maxUnpaid is how many of them are kept, about 50 MB.
	maxUnpaid = 100_000
)

// watcher keeps the records true: it learns from the node what was paid and
// what expired, and from the database which tokens have been revoked.
type watcher struct {
	db      *gatedb.DB
	link    *link
	seller  *l402http.Seller
	log     *slog.Logger
	started time.Time
	revoked atomic.Pointer[map[l402.TokenID]struct{}]
	// honours reports whether what is paid for now is still sold like that.
	honours func(l402http.OpenChallenge) bool
}

// isRevoked answers from memory.
func (w *watcher) isRevoked(id l402.TokenID) bool {
	_, yes := (*w.revoked.Load())[id]
	return yes
}

// loadRevocations reads what has been revoked.
func (w *watcher) loadRevocations(ctx context.Context) error {
	ids, err := w.db.Revoked(ctx)
	if err != nil {
		return err
	}
	set := make(map[l402.TokenID]struct{}, len(ids))
	for _, id := range ids {
		set[id] = struct{}{}
	}
	w.revoked.Store(&set)
	return nil
}

// follow stays subscribed to the node's invoices until ctx ends, and comes
// back after every break.
func (w *watcher) follow(ctx context.Context) {
	backoff := minBackoff
	for ctx.Err() == nil {
		began := time.Now()
		if err := w.subscribe(ctx); ctx.Err() == nil {
			w.link.report(err)
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		pause(ctx, backoff)
		backoff = min(2*backoff, maxBackoff)
	}
}

// subscribe records settlements until the stream breaks. What was settled
// while nobody listened is found by looking every open invoice up: at once,
// and once more for what came between that and the stream.
func (w *watcher) subscribe(ctx context.Context) error {
	select {
	case <-w.link.broken: // said before the probe that now follows
	default:
	}
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	err := w.link.probe(probe)
	cancel()
	if err != nil {
		return err
	}
	w.link.report(nil)
	if err := w.reconcile(ctx, time.Time{}); err != nil {
		return err
	}
	node, err := w.link.current()
	if err != nil {
		return err
	}
	return w.listen(ctx, node)
}

// listen records settlements until the stream breaks, ctx ends, or another
// call finds that the node does not answer.
func (w *watcher) listen(parent context.Context, node Node) error {
	ctx, cancel := context.WithCancelCause(parent)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel(nil)
	helpers.Go(func() {
		select {
		case err := <-w.link.broken:
			cancel(err)
		case <-ctx.Done():
		}
	})
	helpers.Go(func() {
		pause(ctx, maxBackoff)
		if err := w.reconcile(ctx, time.Time{}); err != nil {
			cancel(err)
		}
	})
	err := node.SubscribeInvoices(ctx, 0, 0, func(inv lightning.Invoice) error {
		if inv.State != lightning.InvoiceSettled {
			return nil
		}
		return w.settle(ctx, inv)
	})
	if cause := context.Cause(ctx); cause != nil && parent.Err() == nil {
		return cause
	}
	return err
}

// sweep looks at intervals for open invoices that have expired or buy nothing
// any more, for new revocations and for old records, until ctx ends.
func (w *watcher) sweep(ctx context.Context) {
	for pause(ctx, sweepInterval); ctx.Err() == nil; pause(ctx, sweepInterval) {
		w.tidy(ctx)
	}
}

// tidy is one sweep.
func (w *watcher) tidy(ctx context.Context) {
	if err := w.loadRevocations(ctx); err != nil && ctx.Err() == nil {
		w.log.Error("read revocations", "err", err)
	}
	if _, err := w.db.Prune(ctx, time.Now().Add(-keepUnpaid), maxUnpaid); err != nil && ctx.Err() == nil {
		w.log.Error("forget old records", "err", err)
	}
	if _, err := w.db.PruneRedemptions(ctx, time.Now()); err != nil && ctx.Err() == nil {
		w.log.Error("forget old redemptions", "err", err)
	}
	if w.link == nil || w.link.Ready() != nil {
		return
	}
	if err := w.reconcile(ctx, time.Now()); err != nil && ctx.Err() == nil {
		w.log.Warn("look up expired invoices", "err", err)
	}
	bounded, cancel := context.WithTimeout(ctx, sweepInterval) // a node that hangs must not keep revocations waiting
	defer cancel()
	if err := w.seller.Withdraw(bounded, w.honours); err != nil && ctx.Err() == nil {
		w.log.Warn("cancel invoices that buy nothing any more", "err", err)
	}
}

// reconcile asks the node what became of the open transactions that have
// expired before the time, or of all when it is zero.
func (w *watcher) reconcile(ctx context.Context, expired time.Time) error {
	open, err := w.db.OpenTransactions(ctx)
	if err != nil {
		return err
	}
	node, err := w.link.current()
	if err != nil {
		return err
	}
	for _, t := range open {
		if !expired.IsZero() && t.Expires.After(expired) {
			continue
		}
		if err := w.lookUp(ctx, node, t); err != nil {
			return err
		}
	}
	return nil
}

// lookUp brings one open transaction up to date.
func (w *watcher) lookUp(ctx context.Context, node Node, t gatedb.Transaction) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	inv, err := node.LookupInvoice(ctx, t.Hash)
	if fault.Code(err) == lightning.CodeNotFound {
		if t.Created.Before(w.started) || time.Since(t.Created) > mintGrace {
			return w.gone(ctx, t.Hash)
		}
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case inv.State == lightning.InvoiceSettled:
		return w.settle(ctx, inv)
	case inv.State == lightning.InvoiceCanceled:
		return w.gone(ctx, t.Hash)
	case t.Created.Before(w.started):
		w.seller.Restore([]l402http.OpenChallenge{openChallenge(t, inv.PaymentRequest)})
	}
	return nil
}

// settle records a payment. The hash may be that of an invoice that is none
// of ours.
func (w *watcher) settle(ctx context.Context, inv lightning.Invoice) error {
	ours, err := w.db.Settle(ctx, inv.Hash, inv.Settled, inv.AmountPaid)
	if err != nil {
		return err
	}
	w.seller.Settled(inv.Hash)
	if ours {
		w.log.Info("paid", "hash", inv.Hash, "msat", uint64(inv.AmountPaid))
	}
	return nil
}

// gone records that an invoice can no longer be paid.
func (w *watcher) gone(ctx context.Context, hash lntypes.Hash) error {
	if err := w.db.Cancel(ctx, hash); err != nil {
		return err
	}
	w.seller.Settled(hash)
	return nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
