package guard

import (
	"context"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
)

// lndTimeout bounds one call to lnd that no client waits for longer.
const lndTimeout = time.Minute

// addInvoice answers AddInvoice.
func addInvoice(ctx context.Context, c *accountCall, req *lnrpc.Invoice) (*lnrpc.AddInvoiceResponse, error) {
	terms, asked, err := parseAddInvoice(req)
	if err != nil {
		return nil, err
	}
	var made *lnrpc.AddInvoiceResponse
	row, err := c.makeInvoice(ctx, terms, func(ctx context.Context) (addIndex uint64, err error) {
		made, err = c.lnd.lightning.AddInvoice(ctx, asked)
		return made.GetAddIndex(), err
	})
	if err != nil {
		return nil, err
	}
	return &lnrpc.AddInvoiceResponse{
		RHash:          made.GetRHash(),
		PaymentRequest: made.GetPaymentRequest(),
		AddIndex:       row.Index,
		PaymentAddr:    made.GetPaymentAddr(),
	}, nil
}

// addHoldInvoice answers AddHoldInvoice.
func addHoldInvoice(
	ctx context.Context, c *accountCall, req *invoicesrpc.AddHoldInvoiceRequest,
) (*invoicesrpc.AddHoldInvoiceResp, error) {
	terms, asked, err := parseAddHoldInvoice(req)
	if err != nil {
		return nil, err
	}
	var made *invoicesrpc.AddHoldInvoiceResp
	row, err := c.makeInvoice(ctx, terms, func(ctx context.Context) (addIndex uint64, err error) {
		made, err = c.lnd.invoices.AddHoldInvoice(ctx, asked)
		return made.GetAddIndex(), err
	})
	if err != nil {
		return nil, err
	}
	return &invoicesrpc.AddHoldInvoiceResp{
		PaymentRequest: made.GetPaymentRequest(),
		AddIndex:       row.Index,
		PaymentAddr:    made.GetPaymentAddr(),
	}, nil
}

// makeInvoice has lnd make an invoice that the account owns from before: whatever
// breaks after the ledger's first entry, the hash is nobody else's, and
// reconciliation finds out whether lnd has it.
func (c *accountCall) makeInvoice(
	ctx context.Context, t invoiceTerms, add func(context.Context) (addIndex uint64, err error),
) (account.Invoice, error) {
	g := c.guard
	if t.foreign {
		known, err := lookup(ctx, c.lnd, t.hash)
		if err != nil {
			return account.Invoice{}, lndError(err)
		}
		if known != nil {
			return account.Invoice{}, errHashTaken
		}
	}
	often := invoiceRateOf(c.account.Limits)
	if !g.invoices.made.allow(c.account.ID, often, g.opts.Now()) {
		return account.Invoice{}, errManyInvoices
	}
	row, err := g.opts.Ledger.OwnInvoice(ctx, c.by, account.NewInvoice{
		Account:  c.account.ID,
		Hash:     t.hash,
		Preimage: t.preimage,
		Amount:   t.amount,
		Memo:     t.memo,
		Private:  t.private,
		Expires:  g.opts.Now().Add(t.expiry),
		Run:      c.lnd.Run,
	})
	if err != nil {
		g.invoices.made.giveBack(c.account.ID, often)
	}
	switch {
	case fault.Code(err) == account.CodeHashTaken:
		return account.Invoice{}, errHashTaken
	case err != nil:
		return account.Invoice{}, g.ledgerFailed(err)
	}
	g.sell()

	lndCtx, cancel := context.WithTimeout(c.lnd.ctx, lndTimeout)
	defer cancel()
	if ctx.Err() != nil {
		g.voidInvoice(lndCtx, row, "the call was cut before lnd had it")
		return account.Invoice{}, context.Cause(ctx)
	}
	addCtx, answered := front.WithAnswer(lndCtx)
	addIndex, err := add(addCtx)
	if err != nil {
		return account.Invoice{}, c.notMade(lndCtx, row, t, err, answered())
	}
	inv, err := lookup(lndCtx, c.lnd, t.hash)
	if err != nil {
		return account.Invoice{}, lndError(err)
	}
	if inv == nil { // cancelled and collected meanwhile, by an operator
		inv = &lnrpc.Invoice{RHash: t.hash[:], Memo: t.memo, ValueMsat: int64(t.amount), AddIndex: addIndex}
		inv.State = lnrpc.Invoice_CANCELED
	}
	row, err = g.recordInvoice(lndCtx, row, inv)
	if err != nil {
		return account.Invoice{}, err
	}
	return row, nil
}

// notMade frees the hash again if lnd itself refused the invoice. After a broken
// connection the invoice stays pending for reconciliation.
func (c *accountCall) notMade(ctx context.Context, row account.Invoice, t invoiceTerms, cause error, answered bool) error {
	if !answered {
		return lndError(cause)
	}
	known, err := lookup(ctx, c.lnd, t.hash)
	switch {
	case err != nil:
		return lndError(err)
	case known == nil:
		c.guard.voidInvoice(ctx, row, cause.Error())
		return cause
	case t.foreign: // somebody else was faster
		c.guard.voidInvoice(ctx, row, "lnd had the hash already")
		return errHashTaken
	default:
		_, err := c.guard.recordInvoice(ctx, row, known)
		if err != nil {
			return err
		}
		return cause
	}
}

// voidInvoice frees the hash of an invoice that lnd never made. If that fails the
// invoice stays pending for reconciliation.
func (g *Guard) voidInvoice(ctx context.Context, row account.Invoice, reason string) {
	if err := g.opts.Ledger.InvoiceVoid(ctx, row.Hash, reason); err != nil {
		g.log.Error("free the hash of an invoice that was not made", "hash", row.Hash, "err", err)
	}
}

// errHashTaken does not tell whose it is: lnd's, another account's, its own.
var errHashTaken = refuse(codes.AlreadyExists, account.CodeHashTaken, "",
	"there is an invoice with this payment hash already")
