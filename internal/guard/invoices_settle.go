package guard

import (
	"context"

	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/account"
)

// settleInvoice answers SettleInvoice: the account's own hold invoice is credited
// before the client hears that it is settled.
func settleInvoice(
	ctx context.Context, c *accountCall, req *invoicesrpc.SettleInvoiceMsg,
) (*invoicesrpc.SettleInvoiceResp, error) {
	preimage, err := lntypes.MakePreimage(req.GetPreimage())
	if err != nil {
		return nil, badRequest("preimage must be exactly 32 bytes, is instead %d", len(req.GetPreimage()))
	}
	ask := func(preimage []byte) error {
		ctx, cancel := context.WithTimeout(c.lnd.ctx, lndTimeout)
		defer cancel()
		_, err := c.lnd.invoices.SettleInvoice(ctx, &invoicesrpc.SettleInvoiceMsg{Preimage: preimage})
		return err
	}
	row, ok, err := c.ownInvoice(ctx, preimage.Hash())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, unknownTo(func() error { return ask(random32()) })
	}
	defer c.guard.payments.taking.lock(row.Hash)()
	if row, err = c.guard.opts.Ledger.InvoiceByHash(ctx, row.Hash); err != nil {
		return nil, c.guard.ledgerFailed(err)
	}
	if row.State != account.StateSettled {
		if err := ask(preimage[:]); err != nil {
			return nil, lndError(err)
		}
		if _, err := c.afterwards(row); err != nil {
			return nil, err
		}
	}
	return new(invoicesrpc.SettleInvoiceResp), nil
}

// cancelInvoice answers CancelInvoice for the account's own invoices.
func cancelInvoice(
	ctx context.Context, c *accountCall, req *invoicesrpc.CancelInvoiceMsg,
) (*invoicesrpc.CancelInvoiceResp, error) {
	hash, err := lntypes.MakeHash(req.GetPaymentHash())
	if err != nil {
		return nil, badRequest("payment hash must be exactly 32 bytes, is instead %d", len(req.GetPaymentHash()))
	}
	ask := func(hash []byte) error {
		ctx, cancel := context.WithTimeout(c.lnd.ctx, lndTimeout)
		defer cancel()
		_, err := c.lnd.invoices.CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: hash})
		return err
	}
	_, ok, err := c.ownInvoice(ctx, hash)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, unknownTo(func() error { return ask(random32()) })
	}
	defer c.guard.payments.taking.lock(hash)()
	row, err := c.guard.opts.Ledger.InvoiceByHash(ctx, hash)
	if err != nil {
		return nil, c.guard.ledgerFailed(err)
	}
	if !resolved(row) {
		if err := ask(hash[:]); err != nil {
			return nil, lndError(err)
		}
		if row, err = c.afterwards(row); err != nil {
			return nil, err
		}
	}
	switch row.State {
	case account.StateSettled:
		return nil, errAlreadySettled
	case account.StateOpen:
		return nil, errBeingPaid
	}
	return new(invoicesrpc.CancelInvoiceResp), nil
}

// errAlreadySettled is lnd's own answer.
var errAlreadySettled = status.Error(codes.Unknown, "invoice already settled")

// afterwards writes down what has become of an invoice, though the client may be
// gone.
func (c *accountCall) afterwards(row account.Invoice) (account.Invoice, error) {
	ctx, cancel := context.WithTimeout(c.lnd.ctx, lndTimeout)
	defer cancel()
	row, _, err := c.guard.refreshInvoice(ctx, c.lnd, row)
	return row, err
}
