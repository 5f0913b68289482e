package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// OwnInvoice records the ownership before lnd sees the invoice. Codes:
// hash_taken, account_unknown, account_expired, frozen, bad_amount; or
// *policy.Denied. Each is journalled, repetitions within a minute as a count.
func (l *Ledger) OwnInvoice(ctx context.Context, by audit.Actor, n NewInvoice) (Invoice, error) {
	if n.Preimage != nil && n.Preimage.Hash() != n.Hash {
		return Invoice{}, fmt.Errorf("own invoice %s: the preimage is another's", n.Hash)
	}
	d := denial{kind: "invoice.deny", by: by, account: n.Account, hash: n.Hash, amount: n.Amount}
	return decide(ctx, l, d, func(s *step) (Invoice, error) { return s.own(by, n) })
}

func (s *step) own(by audit.Actor, n NewInvoice) (Invoice, error) {
	account, err := s.usable(n.Account)
	if err != nil {
		return Invoice{}, err
	}
	if _, err := s.InvoiceByHash(s, n.Hash[:]); err == nil {
		return Invoice{}, fault.New(CodeHashTaken, "", "there is an invoice with the payment hash %s already", n.Hash)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return Invoice{}, err
	}
	if n.Amount > policy.MaxAmount {
		return Invoice{}, fault.New(CodeBadAmount, "", "an invoice of %d msat: more than there is", n.Amount)
	}
	limits, err := limitsOf(account)
	if err != nil {
		return Invoice{}, err
	}
	used := policy.Usage{OpenInvoices: count(account.InvoicesOpen)}
	if err := limits.Invoice(policy.Invoice{Amount: n.Amount, Private: n.Private}, used); err != nil {
		return Invoice{}, err
	}
	seq, err := s.log(by, "invoice.own", n.Account.String(), n.Hash.String(), ownDetail{Amount: n.Amount, Hold: n.Preimage == nil})
	if err != nil {
		return Invoice{}, err
	}
	row := guarddb.Invoice{
		Account: account.ID, Hash: n.Hash[:], State: string(StatePending), Preimage: []byte{},
		AmountMsat: int64(n.Amount), Private: bit(n.Private), Run: n.Run,
		CreatedMs: s.now, ExpiresMs: millis(n.Expires), OwnSeq: seq, Memo: n.Memo,
	}
	if n.Preimage != nil {
		row.Preimage = n.Preimage[:]
	}
	row.ID, err = s.InvoiceInsert(s, guarddb.InvoiceInsertParams{
		Account: row.Account, Hash: row.Hash, Preimage: row.Preimage, AmountMsat: row.AmountMsat,
		Private: row.Private, Run: row.Run, CreatedMs: row.CreatedMs, ExpiresMs: row.ExpiresMs,
		OwnSeq: row.OwnSeq, Memo: row.Memo,
	})
	if err != nil {
		return Invoice{}, err
	}
	account.InvoicesOpen++
	return invoiceOf(row, account.Name), s.countInvoices(account)
}

// ownDetail is what the journal says about an invoice that is owned.
type ownDetail struct {
	Amount lnwire.MilliSatoshi `json:"amount_msat"`
	Hold   bool                `json:"hold,omitempty"`
}

// InvoiceMade records that lnd has it, with lnd's add index. Created is now.
// Repeating it does nothing. Code: not_found.
func (l *Ledger) InvoiceMade(ctx context.Context, hash lntypes.Hash, addIndex uint64, last []byte) (Invoice, error) {
	return l.change(ctx, hash, addIndex, func(s *step, row *guarddb.Invoice, _ *guarddb.Account) (string, any, error) {
		if State(row.State) != StatePending && State(row.State) != StateVoid {
			return "", nil, nil
		}
		row.State, row.Last = string(StateOpen), blob(last)
		return "invoice.made", nil, nil
	})
}

// InvoiceVoid records that lnd never made it; the hash is free again. Repeating
// it does nothing, nor does it for an invoice that lnd has. Code: not_found.
func (l *Ledger) InvoiceVoid(ctx context.Context, hash lntypes.Hash, reason string) error {
	_, err := l.change(ctx, hash, 0, func(s *step, row *guarddb.Invoice, _ *guarddb.Account) (string, any, error) {
		if State(row.State) != StatePending {
			return "", nil, nil
		}
		row.State, row.Reason = string(StateVoid), reason
		return "invoice.void", map[string]string{"reason": reason}, nil
	})
	return err
}

// InvoiceSettled credits what was received, once. An invoice that is pending
// counts as made, and one that was canceled or void, which must not happen, is
// credited and journalled all the same. Codes: not_found, bad_amount.
func (l *Ledger) InvoiceSettled(ctx context.Context, hash lntypes.Hash, addIndex uint64, received lnwire.MilliSatoshi, preimage lntypes.Preimage, last []byte) (Invoice, error) {
	if received > policy.MaxAmount {
		return Invoice{}, fault.New(CodeBadAmount, "", "invoice %s received %d msat: more than there is", hash, received)
	}
	return l.change(ctx, hash, addIndex, func(s *step, row *guarddb.Invoice, account *guarddb.Account) (string, any, error) {
		if State(row.State) == StateSettled {
			return "", nil, nil
		}
		if preimage.Hash() == hash {
			row.Preimage = preimage[:]
		}
		return "invoice.settle", receive(row, account, received, last), nil
	})
}

// receive makes an invoice one that is settled.
func receive(row *guarddb.Invoice, account *guarddb.Account, received lnwire.MilliSatoshi, last []byte) creditDetail {
	detail := creditDetail{Received: received}
	if !unresolved(*row) {
		detail.Fault = "it was paid after it was " + row.State
	}
	account.Settled++
	row.State, row.SettleN, row.Reason = string(StateSettled), account.Settled, ""
	row.ReceivedMsat, row.Last = int64(received), blob(last)
	return detail
}

// creditDetail is what the journal says about a settled invoice.
type creditDetail struct {
	Received lnwire.MilliSatoshi `json:"received_msat"`
	Fault    string              `json:"fault,omitempty"`
	From     string              `json:"from,omitempty"` // the account of a transfer
}

// InvoiceCanceled records that it cannot be paid any more. An invoice that is
// pending counts as made. Repeating it, or for one that was settled, does
// nothing, nor does it while a transfer to it is pending, which is what cancels
// it at lnd. Code: not_found.
func (l *Ledger) InvoiceCanceled(ctx context.Context, hash lntypes.Hash, last []byte) (Invoice, error) {
	return l.change(ctx, hash, 0, func(s *step, row *guarddb.Invoice, _ *guarddb.Account) (string, any, error) {
		if !unresolved(*row) {
			return "", nil, nil
		}
		if pending, err := s.transferPending(*row); pending || err != nil {
			return "", nil, err
		}
		row.State, row.Last = string(StateCanceled), blob(last)
		return "invoice.cancel", nil, nil
	})
}

func unresolved(row guarddb.Invoice) bool {
	return State(row.State) == StatePending || State(row.State) == StateOpen
}

// change alters an invoice as fn says, which returns the kind and detail of the
// journal entry, or no kind if there is nothing to do.
func (l *Ledger) change(
	ctx context.Context, hash lntypes.Hash, addIndex uint64,
	fn func(*step, *guarddb.Invoice, *guarddb.Account) (kind string, detail any, err error),
) (Invoice, error) {
	if addIndex > math.MaxInt64 {
		return Invoice{}, fault.New(CodeBadAmount, "", "add index %d of lnd is out of range", addIndex)
	}
	return write(ctx, l, func(s *step) (Invoice, error) {
		row, account, err := s.invoice(hash)
		if err != nil {
			return Invoice{}, err
		}
		was := row
		kind, detail, err := fn(s, &row, &account)
		if kind == "" || err != nil {
			return invoiceOf(row, account.Name), err
		}
		if row.AddIndex == 0 {
			row.AddIndex = int64(addIndex)
		}
		err = s.changed(was, &row, account, bookNode, kind, detail)
		return invoiceOf(row, account.Name), err
	})
}

// changed journals and writes an invoice's new state. What was received comes
// from the book `from`.
func (s *step) changed(
	was guarddb.Invoice, row *guarddb.Invoice, account guarddb.Account, from int64, kind string, detail any,
) error {
	seq, err := s.log(audit.ByGuard, kind, ID(account.Name).String(), lntypes.Hash(row.Hash).String(), detail)
	if err != nil {
		return err
	}
	s.number(row, &account)
	row.ResolvedMs, row.ResolveSeq = 0, sql.NullInt64{}
	if !unresolved(*row) {
		row.ResolvedMs, row.ResolveSeq = s.now, sql.NullInt64{Int64: seq, Valid: true}
	}
	account.InvoicesOpen += bit(unresolved(*row)) - bit(unresolved(was))
	return s.setInvoice(*row, account, from, seq)
}

// invoice returns the invoice of the hash and its account: a void one only if
// there is no other.
func (s *step) invoice(hash lntypes.Hash) (guarddb.Invoice, guarddb.Account, error) {
	found, err := s.InvoiceByHash(s, hash[:])
	if errors.Is(err, sql.ErrNoRows) {
		var void guarddb.InvoiceVoidByHashRow
		void, err = s.InvoiceVoidByHash(s, hash[:])
		found.Invoice = void.Invoice
	}
	if err != nil {
		return guarddb.Invoice{}, guarddb.Account{}, missing("invoice", hash, err)
	}
	account, err := s.AccountByID(s, found.Invoice.Account)
	return found.Invoice, account, err
}

// number gives an invoice that lnd has its place in the account's list.
func (s *step) number(row *guarddb.Invoice, account *guarddb.Account) {
	if row.N != 0 || State(row.State) == StatePending || State(row.State) == StateVoid {
		return
	}
	account.Invoices++
	row.N, row.CreatedMs = account.Invoices, s.now
}

func (s *step) setInvoice(row guarddb.Invoice, account guarddb.Account, from, seq int64) error {
	err := errors.Join(
		s.InvoiceSet(s, guarddb.InvoiceSetParams{
			ID: row.ID, N: row.N, SettleN: row.SettleN, Preimage: blob(row.Preimage), State: row.State,
			ReceivedMsat: row.ReceivedMsat, AddIndex: row.AddIndex, CreatedMs: row.CreatedMs,
			ResolvedMs: row.ResolvedMs, ResolveSeq: row.ResolveSeq, Reason: row.Reason, Last: blob(row.Last),
		}),
		s.countInvoices(account),
	)
	if err != nil || State(row.State) != StateSettled {
		return err
	}
	return s.post(movement{
		key: fmt.Sprintf("invoice/%d", row.ID), kind: "invoice", seq: seq,
		invoice: sql.NullInt64{Int64: row.ID, Valid: true},
		account: account.ID, against: from, amount: row.ReceivedMsat,
	})
}

func (s *step) countInvoices(account guarddb.Account) error {
	return s.AccountInvoices(s, guarddb.AccountInvoicesParams{
		ID: account.ID, Invoices: account.Invoices, InvoicesOpen: account.InvoicesOpen,
		Settled: account.Settled, NowMs: s.now,
	})
}
