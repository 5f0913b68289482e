package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/leydenln/leyden/internal/account"
)

const (
	// paymentSweep is between two looks at open payments that nobody sees
	// through, paymentSave between two tries to write what could not be.
	paymentSweep = 30 * time.Second
	paymentSave  = time.Second

	// forgetAfter is how long an lnd that was not restarted must have answered
	// without knowing a payment of an earlier attachment, until it counts as
	// never begun. quietAfter is the same for one that it calls failed: a shard
	// of it may have been on its way.
	forgetAfter = 10 * time.Minute
	quietAfter  = time.Minute
)

// reconcilePayments looks at every payment that was left open, before accounts
// are served. An error ends the attachment.
func (g *Guard) reconcilePayments(ctx context.Context, lnd *attachment) error {
	return g.sweepPayments(ctx, lnd, time.Now())
}

// followPayments keeps looking after open payments until ctx ends (nil); an
// error ends the attachment.
func (g *Guard) followPayments(ctx context.Context, lnd *attachment) error {
	began := time.Now()
	sweep, save := time.NewTicker(paymentSweep), time.NewTicker(paymentSave)
	defer sweep.Stop()
	defer save.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-save.C:
			err = g.payments.saveAgain(ctx)
		case <-sweep.C:
			err = g.sweepPayments(ctx, lnd, began)
		}
		if err != nil && ctx.Err() == nil {
			g.log.Error("open payments could not be looked after; it will be tried again", "err", err)
		}
	}
}

// sweepPayments looks at the open payments that nobody sees through. lnd is
// known to have answered since began.
func (g *Guard) sweepPayments(ctx context.Context, lnd *attachment, began time.Time) error {
	if err := g.payments.saveAgain(ctx); err != nil {
		return err
	}
	open, err := g.opts.Ledger.OpenPayments(ctx, nil)
	if err != nil {
		return fmt.Errorf("list the open payments: %w", err)
	}
	for _, payment := range open {
		if err := ctx.Err(); err != nil {
			return err
		}
		g.resume(lnd, payment, time.Since(began))
	}
	if err := g.lookAtGivenUp(ctx, lnd); err != nil {
		return fmt.Errorf("look at what was given up: %w", err)
	}
	return nil
}

// resume looks at an open payment, unless somebody sees it through, and does so
// itself if lnd has it in flight. lnd has answered for so long.
func (g *Guard) resume(lnd *attachment, payment account.Payment, answering time.Duration) {
	defer g.payments.taking.lock(payment.Hash)()
	if g.payments.payer(payment.Hash) != nil {
		return
	}
	now, err := g.opts.Ledger.OpenByHash(lnd.ctx, payment.Hash)
	if err != nil || now.ID != payment.ID {
		return
	}
	if now.Transfer {
		g.resumeTransfer(lnd, now)
		return
	}
	p := g.newPayer(lnd, now)
	p.begun, p.patient = true, answering < quietAfter
	switch {
	case payment.Run == lnd.Run:
		p.lost = true
	case lnd.MayOutlive:
		p.lost = answering < forgetAfter
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g.payments.add(p, maxParts)
	p.look()
}
