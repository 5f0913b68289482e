package account

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// transferee is what a transfer pays: an invoice, and the account it is of.
type transferee struct {
	invoice int64
	account string
}

// Transfer reserves a payment to an invoice that another account of this node
// has made: with all the checks of Reserve, without a fee or a time lock. From
// then on the transfer is pending, and the invoice is not marked as canceled.
// SettleTransfer or Release ends it. Codes besides Reserve's: same_node (no
// invoice of another account's, or none whose preimage is known here),
// invoice_canceled, already_paid, bad_amount (not the invoice's).
func (l *Ledger) Transfer(ctx context.Context, by audit.Actor, sp Spend) (Payment, error) {
	sp.MaxFee, sp.ExactFee, sp.FinalCLTV, sp.TimeLock = 0, true, 0, 0
	d := denial{kind: "payment.deny", by: by, account: sp.Account, hash: sp.Hash, amount: sp.Amount}
	return decide(ctx, l, d, func(s *step) (Payment, error) {
		var err error
		if sp.to, err = s.transferable(sp); err != nil {
			return Payment{}, err
		}
		return s.reserve(by, sp)
	})
}

// transferable returns the invoice that sp pays, if it can be by transfer.
func (s *step) transferable(sp Spend) (transferee, error) {
	row, payee, err := s.invoice(sp.Hash)
	if fault.Code(err) == CodeNotFound {
		return transferee{}, fault.New(CodeSameNode, "", "no account of this node has made invoice %s", sp.Hash)
	}
	if err != nil {
		return transferee{}, err
	}
	switch {
	case ID(payee.Name) == sp.Account:
		return transferee{}, fault.New(CodeSameNode, "", "an account cannot pay its own invoice")
	case State(row.State) == StateSettled:
		return transferee{}, fault.New(CodeAlreadyPaid, "", "invoice %s has been paid already", sp.Hash)
	case State(row.State) != StateOpen || payee.RemovedMs != 0:
		return transferee{}, fault.New(CodeCanceled, "", "invoice %s can no longer be paid", sp.Hash)
	case len(row.Preimage) != lntypes.PreimageSize:
		return transferee{}, fault.New(CodeSameNode, "ask the payee for an invoice that is not a hold invoice",
			"a hold invoice of an account cannot be paid by another account of the same node")
	case row.AmountMsat != 0 && msat(row.AmountMsat) != sp.Amount:
		return transferee{}, fault.New(CodeBadAmount, "", "a payment of %d msat to an invoice of %d msat", sp.Amount, row.AmountMsat)
	}
	return transferee{invoice: row.ID, account: ID(payee.Name).String()}, nil
}

// transferPending says whether a transfer to the invoice is pending.
func (s *step) transferPending(row guarddb.Invoice) (bool, error) {
	pending, err := s.TransferPending(s, sql.NullInt64{Int64: row.ID, Valid: true})
	return pending != 0, err
}

// Transferred is what both sides of a transfer read again.
type Transferred struct {
	Final, Last []byte // lnd's lnrpc.Payment and lnrpc.Invoice as they would be, in protobuf's wire form

	// Addr is the invoice's payment address (BOLT 11, s); nil: it has none.
	Addr *[32]byte
}

// SettleTransfer ends a pending transfer whose invoice can no longer be paid
// over Lightning: in one transaction the payer is debited and given the
// preimage, and the payee credited. Repeating it does nothing. Codes: not_found,
// when it is no transfer or was released; already_paid, when the invoice was
// settled otherwise.
func (l *Ledger) SettleTransfer(ctx context.Context, payment int64, x Transferred) (Payment, Invoice, error) {
	var invoice Invoice
	p, err := write(ctx, l, func(s *step) (Payment, error) {
		found, err := s.PaymentByID(s, payment)
		if err != nil {
			return Payment{}, missing("payment", payment, err)
		}
		row, was := found.Payment, found.Payment
		to, payee, err := s.invoice(lntypes.Hash(row.Hash))
		if err != nil {
			return Payment{}, err
		}
		switch {
		case !row.Invoice.Valid || row.Invoice.Int64 != to.ID || State(row.State) == StateFailed || State(row.State) == StateVoid:
			return Payment{}, fault.New(CodeNotFound, "", "payment %x is no pending transfer", row.Hash)
		case State(row.State) == StateSucceeded:
			invoice = invoiceOf(to, payee.Name)
			return paymentOf(row, found.Name), nil
		case State(to.State) == StateSettled:
			return Payment{}, fault.New(CodeAlreadyPaid, "", "invoice %x was settled otherwise", row.Hash)
		}
		payer, err := s.AccountByID(s, row.Account)
		if err != nil {
			return Payment{}, err
		}
		err = s.transfer(was, &row, payer, &to, payee, x)
		invoice = invoiceOf(to, payee.Name)
		return paymentOf(row, found.Name), err
	})
	if err != nil {
		return Payment{}, Invoice{}, err
	}
	return p, invoice, nil
}

// transfer moves the money and writes both ends of it.
func (s *step) transfer(
	was guarddb.Payment, row *guarddb.Payment, payer guarddb.Account, to *guarddb.Invoice, payee guarddb.Account, x Transferred,
) error {
	outcome := Outcome{Paid: msat(row.AmountMsat), Preimage: lntypes.Preimage(to.Preimage), Final: x.Final}
	paid := settleDetail{Index: row.N, Paid: outcome.Paid, To: ID(payee.Name).String()}
	succeed(row, outcome, payer)
	if err := s.resolved(was, row, payer, "payment.settle", paid); err != nil {
		return fmt.Errorf("debit the transfer %x: %w", row.Hash, err)
	}
	before := *to
	received := receive(to, &payee, outcome.Paid, x.Last)
	received.From = ID(payer.Name).String()
	if err := s.changed(before, to, payee, bookTransfers, "invoice.settle", received); err != nil {
		return fmt.Errorf("credit the transfer %x: %w", row.Hash, err)
	}
	if x.Addr == nil {
		return nil
	}
	return s.TransferAddressInsert(s, guarddb.TransferAddressInsertParams{PaymentAddr: x.Addr[:], Invoice: to.ID})
}

// TransferredTo returns the invoice with a payment address, whoever's, if it was
// paid by transfer: lnd does not find it any more. Code: not_found.
func (l *Ledger) TransferredTo(ctx context.Context, addr [32]byte) (Invoice, error) {
	return read(ctx, l, func(s *step) (Invoice, error) {
		row, err := s.InvoiceByTransferAddress(s, addr[:])
		if err != nil {
			return Invoice{}, missing("transfer to the payment address", fmt.Sprintf("%x", addr), err)
		}
		return invoiceOf(row.Invoice, row.Name), nil
	})
}
