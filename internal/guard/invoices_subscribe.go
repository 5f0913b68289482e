package guard

import (
	"context"
	"errors"
	"io"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
)

// newsAtOnce is how many invoices a subscription reads from the ledger at once.
const newsAtOnce = 100

// subscribeInvoices answers SubscribeInvoices from the ledger: as with lnd, what
// was added or settled after the given indices, where those are not 0, and then
// each invoice as it is added and as it is settled.
func subscribeInvoices(
	ctx context.Context, c *accountCall, req *lnrpc.InvoiceSubscription, send func(proto.Message) error,
) error {
	g := c.guard
	wake, stop := g.invoices.changes.watch(c.account.ID)
	defer stop()
	added, settled, err := g.opts.Ledger.InvoiceMarks(ctx, c.account.ID)
	if err != nil {
		return g.ledgerFailed(err)
	}
	if index := req.GetAddIndex(); index != 0 {
		added = position(index)
	}
	if index := req.GetSettleIndex(); index != 0 {
		settled = position(index)
	}
	for {
		newAdded, newSettled, err := g.opts.Ledger.InvoicesSince(ctx, c.account.ID, added, settled, newsAtOnce)
		if err != nil {
			return g.ledgerFailed(err)
		}
		for _, row := range newAdded {
			added = row.Index
			if row.State == account.StateCanceled { // lnd says nothing of these
				continue
			}
			if err := g.sendInvoice(row, nil, send); err != nil {
				return err
			}
		}
		for _, row := range newSettled {
			settled = row.SettleIndex
			if err := g.sendInvoice(row, nil, send); err != nil {
				return err
			}
		}
		if len(newAdded) == newsAtOnce || len(newSettled) == newsAtOnce {
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *Guard) sendInvoice(row account.Invoice, inv *lnrpc.Invoice, send func(proto.Message) error) error {
	shown, err := g.showInvoice(row, inv)
	if err != nil {
		return err
	}
	return send(shown)
}

// subscribeSingleInvoice answers SubscribeSingleInvoice. Of an invoice that is
// not the account's it hears nothing until it makes that invoice itself, just as
// lnd stays silent about one that nobody made yet.
func subscribeSingleInvoice(
	ctx context.Context, c *accountCall, req *invoicesrpc.SubscribeSingleInvoiceRequest,
	send func(proto.Message) error,
) error {
	hash, err := lntypes.MakeHash(req.GetRHash())
	if err != nil {
		return badRequest("payment hash must be exactly 32 bytes, is instead %d", len(req.GetRHash()))
	}
	row, err := c.awaitInvoice(ctx, hash)
	if err != nil {
		return err
	}
	if row, _, err = c.guard.refreshInvoice(ctx, c.lnd, row); err != nil {
		return err
	}
	if resolved(row) {
		return c.guard.sendInvoice(row, nil, send)
	}
	return c.followInvoice(ctx, row, send)
}

// awaitInvoice returns the account's invoice of the hash once there is one.
func (c *accountCall) awaitInvoice(ctx context.Context, hash lntypes.Hash) (account.Invoice, error) {
	wake, stop := c.guard.invoices.changes.watch(c.account.ID)
	defer stop()
	for {
		row, ok, err := c.ownInvoice(ctx, hash)
		if err != nil || ok {
			return row, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return row, context.Cause(ctx)
		}
	}
}

// awaitTransfer waits for what becomes of an invoice that lnd has canceled for a
// transfer.
func (c *accountCall) awaitTransfer(ctx context.Context, row account.Invoice) (account.Invoice, error) {
	wake, stop := c.guard.invoices.changes.watch(c.account.ID)
	defer stop()
	for {
		row, err := c.guard.opts.Ledger.InvoiceByHash(ctx, row.Hash)
		if err != nil {
			return row, c.guard.ledgerFailed(err)
		}
		if resolved(row) {
			return row, nil
		}
		select {
		case <-wake:
		case <-c.lnd.ctx.Done():
			return row, errNotAttached
		case <-ctx.Done():
			return row, context.Cause(ctx)
		}
	}
}

// followInvoice passes on what lnd says of an open invoice, each thing once the
// ledger has it, until the last.
func (c *accountCall) followInvoice(ctx context.Context, row account.Invoice, send func(proto.Message) error) error {
	lndCtx, cancel := context.WithCancel(c.lnd.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	updates, err := c.lnd.invoices.SubscribeSingleInvoice(lndCtx,
		&invoicesrpc.SubscribeSingleInvoiceRequest{RHash: row.Hash[:]})
	if err != nil {
		return lndError(err)
	}
	for {
		inv, err := updates.Recv()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return lndError(err)
		}
		if row, err = c.guard.recordInvoice(lndCtx, row, inv); err != nil {
			return err
		}
		if !resolved(row) && gone(inv) {
			if row, err = c.awaitTransfer(ctx, row); err != nil {
				return err
			}
		}
		if resolved(row) {
			return c.guard.sendInvoice(row, nil, send)
		}
		if err := c.guard.sendInvoice(row, inv, send); err != nil {
			return err
		}
	}
}
