package guard

import (
	"bytes"
	"context"
	"fmt"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
)

// lookup asks lnd for an invoice; nil without an error means that lnd does not
// know the hash.
func lookup(ctx context.Context, lnd *attachment, hash lntypes.Hash) (*lnrpc.Invoice, error) {
	inv, err := lnd.lightning.LookupInvoice(ctx, &lnrpc.PaymentHash{RHash: hash[:]})
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	return inv, err
}

// refreshInvoice brings the ledger up to what lnd says of an invoice that may
// still change, and returns both. inv is nil where the ledger's own copy is the
// last word.
func (g *Guard) refreshInvoice(
	ctx context.Context, lnd *attachment, row account.Invoice,
) (account.Invoice, *lnrpc.Invoice, error) {
	if resolved(row) {
		return row, nil, nil
	}
	inv, err := lookup(ctx, lnd, row.Hash)
	if err != nil {
		return row, nil, lndError(err)
	}
	if row, err = g.recordInvoice(ctx, row, inv); err != nil {
		return row, nil, err
	}
	if resolved(row) || gone(inv) { // canceled for a transfer that is pending
		return row, nil, nil
	}
	return row, inv, nil
}

func resolved(row account.Invoice) bool {
	return row.State == account.StateSettled || row.State == account.StateCanceled
}

// recordInvoice writes down what lnd says of an account's invoice: nil that lnd
// does not know it. A settled one is credited, once, with what was received. It
// wakes those who watch the account. A cancelled one that lnd then has settled,
// which must not happen, is credited too. Errors are for clients.
func (g *Guard) recordInvoice(
	ctx context.Context, row account.Invoice, inv *lnrpc.Invoice,
) (account.Invoice, error) {
	if row.State == account.StateSettled {
		return row, nil
	}
	if inv != nil && !sameInvoice(row, inv) {
		inv = nil
	}
	updated, err := g.writeInvoice(ctx, row, inv)
	if err != nil {
		return row, g.ledgerFailed(err)
	}
	if updated.State == account.StateSettled {
		g.invoices.made.giveBack(row.Account, invoiceRate)
	}
	if updated.State != row.State {
		g.invoices.changes.notify(row.Account)
	}
	return updated, nil
}

func (g *Guard) writeInvoice(ctx context.Context, row account.Invoice, inv *lnrpc.Invoice) (account.Invoice, error) {
	ledger := g.opts.Ledger
	if inv == nil {
		if row.State != account.StateOpen {
			return row, nil
		}
		last, err := canceledCopy(row)
		if err != nil {
			return row, err
		}
		return ledger.InvoiceCanceled(ctx, row.Hash, last)
	}
	last, err := proto.Marshal(inv)
	if err != nil {
		return row, err
	}
	switch inv.GetState() {
	case lnrpc.Invoice_SETTLED:
		preimage, err := lntypes.MakePreimage(inv.GetRPreimage())
		if err != nil {
			return row, fmt.Errorf("settled invoice %s: %w", row.Hash, err)
		}
		if inv.GetAmtPaidMsat() < 0 {
			return row, fmt.Errorf("settled invoice %s: received %d msat", row.Hash, inv.GetAmtPaidMsat())
		}
		received := lnwire.MilliSatoshi(inv.GetAmtPaidMsat())
		return ledger.InvoiceSettled(ctx, row.Hash, inv.GetAddIndex(), received, preimage, last)
	case lnrpc.Invoice_CANCELED:
		return ledger.InvoiceCanceled(ctx, row.Hash, last)
	default:
		if row.State != account.StatePending {
			return row, nil
		}
		return ledger.InvoiceMade(ctx, row.Hash, inv.GetAddIndex(), last)
	}
}

// sameInvoice says whether lnd's invoice of the row's hash is the one that the
// row stands for. It is not if lnd forgot that one and was given another of the
// same hash, or if another was made in the instant between the guard's look-up
// and the account's own request.
//
// The payment address tells two invoices apart for good: lnd numbers its
// invoices anew when it moves them to SQL.
func sameInvoice(row account.Invoice, inv *lnrpc.Invoice) bool {
	last := new(lnrpc.Invoice)
	if proto.Unmarshal(row.Last, last) == nil && len(last.GetPaymentAddr()) > 0 {
		return bytes.Equal(last.GetPaymentAddr(), inv.GetPaymentAddr())
	}
	if row.AddIndex != 0 {
		return row.AddIndex == inv.GetAddIndex()
	}
	return inv.GetMemo() == row.Memo && lnwire.MilliSatoshi(inv.GetValueMsat()) == row.Amount
}

// canceledCopy is the ledger's copy of an invoice that lnd has forgotten, which
// it does only with cancelled ones.
func canceledCopy(row account.Invoice) ([]byte, error) {
	inv := new(lnrpc.Invoice)
	if err := proto.Unmarshal(row.Last, inv); err != nil {
		return nil, err
	}
	inv.State = lnrpc.Invoice_CANCELED
	return proto.Marshal(inv)
}
