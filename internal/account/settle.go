package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// Seen records lnd's payment index of an open payment. One that is known, or a
// payment that is not open, stays as it is. Not journalled. Code: not_found.
func (l *Ledger) Seen(ctx context.Context, payment int64, lndIndex uint64) error {
	if lndIndex > math.MaxInt64 {
		return fault.New(CodeBadAmount, "", "payment index %d of lnd is out of range", lndIndex)
	}
	known, err := read(ctx, l, func(s *step) (bool, error) {
		found, err := s.PaymentByID(s, payment)
		done := State(found.Payment.State) != StateOpen || found.Payment.LndIndex != 0
		return done, missing("payment", payment, err)
	})
	if known || err != nil {
		return err
	}
	_, err = write(ctx, l, func(s *step) (struct{}, error) {
		return struct{}{}, s.PaymentSeen(s, guarddb.PaymentSeenParams{ID: payment, LndIndex: int64(lndIndex)})
	})
	return err
}

// Settle debits what was really paid and frees the rest. If lnd paid more than
// was reserved, or what it had called failed, which must not happen, that is
// debited and journalled all the same. Repeating it does nothing. Codes:
// not_found, bad_amount.
func (l *Ledger) Settle(ctx context.Context, payment int64, o Outcome) (Payment, error) {
	if o.Paid > policy.MaxAmount || o.Fee > o.Paid || o.LndIndex > math.MaxInt64 {
		return Payment{}, fault.New(CodeBadAmount, "",
			"payment %d of %d msat with %d msat of fees, lnd's index %d: out of range", payment, o.Paid, o.Fee, o.LndIndex)
	}
	return l.resolve(ctx, payment, paidByLnd,
		func(s *step, row *guarddb.Payment, account guarddb.Account) (string, any) {
			detail := settleDetail{Index: row.N, Paid: o.Paid, Fee: o.Fee}
			if State(row.State) != StateOpen {
				detail.Fault = "lnd paid it after it was " + row.State
			} else if int64(o.Paid) > row.ReservedMsat {
				detail.Fault = fmt.Sprintf("lnd paid more than the %d msat that were reserved", row.ReservedMsat)
			}
			succeed(row, o, account)
			return "payment.settle", detail
		})
}

// Release frees everything: state is StateFailed or StateVoid. Repeating it does
// nothing; a settled payment is never released. Codes: not_found, bad_amount.
func (l *Ledger) Release(ctx context.Context, payment int64, state State, o Outcome) (Payment, error) {
	if state != StateFailed && state != StateVoid {
		return Payment{}, fmt.Errorf("release payment %d: state %q", payment, state)
	}
	if o.LndIndex > math.MaxInt64 {
		return Payment{}, fault.New(CodeBadAmount, "", "payment index %d of lnd is out of range", o.LndIndex)
	}
	return l.resolve(ctx, payment, func(row guarddb.Payment) (bool, error) { return State(row.State) != StateOpen, nil },
		func(_ *step, row *guarddb.Payment, _ guarddb.Account) (string, any) {
			row.State, row.Reason = string(state), o.Reason
			keep(row, o)
			return "payment.release", releaseDetail{Index: row.N, State: state, Reason: o.Reason}
		})
}

// paidByLnd says whether a payment that lnd has paid is settled already.
func paidByLnd(row guarddb.Payment) (done bool, err error) {
	if row.Invoice.Valid {
		return false, fault.New(CodeNotFound, "", "payment %x is a transfer: not lnd's", row.Hash)
	}
	return State(row.State) == StateSucceeded, nil
}

// succeed makes a payment one that succeeded.
func succeed(row *guarddb.Payment, o Outcome, account guarddb.Account) {
	row.State, row.Reason = string(StateSucceeded), ""
	row.PaidMsat, row.FeeMsat = int64(o.Paid), int64(o.Fee)
	row.CumMsat, row.CumCount = account.SpentMsat+row.PaidMsat, account.SpentCount+1
	row.Preimage = o.Preimage[:]
	keep(row, o)
}

// keep takes over what lnd said. An index that was seen stays.
func keep(row *guarddb.Payment, o Outcome) {
	if row.LndIndex == 0 {
		row.LndIndex = int64(o.LndIndex)
	}
	row.Final = blob(o.Final)
}

// settleDetail and releaseDetail are what the journal says about an outcome.
type settleDetail struct {
	Index int64               `json:"index"`
	Paid  lnwire.MilliSatoshi `json:"paid_msat"`
	Fee   lnwire.MilliSatoshi `json:"fee_msat"`
	Fault string              `json:"fault,omitempty"`
	To    string              `json:"to,omitempty"` // the account of a transfer
}

type releaseDetail struct {
	Index  int64  `json:"index"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// resolve ends a payment, unless done says that it has ended: change alters the
// row and returns the kind and detail of the journal entry. A repetition costs
// no write.
func (l *Ledger) resolve(
	ctx context.Context, payment int64, done func(guarddb.Payment) (bool, error),
	change func(*step, *guarddb.Payment, guarddb.Account) (kind string, detail any),
) (Payment, error) {
	return write(ctx, l, func(s *step) (Payment, error) {
		found, err := s.PaymentByID(s, payment)
		if err != nil {
			return Payment{}, missing("payment", payment, err)
		}
		row, was := found.Payment, found.Payment
		if ended, err := done(row); ended || err != nil {
			return paymentOf(row, found.Name), err
		}
		account, err := s.AccountByID(s, row.Account)
		if err != nil {
			return Payment{}, err
		}
		kind, detail := change(s, &row, account)
		err = s.resolved(was, &row, account, kind, detail)
		return paymentOf(row, found.Name), err
	})
}

// resolved journals and writes a payment's end and what it means for its
// account.
func (s *step) resolved(was guarddb.Payment, row *guarddb.Payment, account guarddb.Account, kind string, detail any) error {
	seq, err := s.log(s.actor, kind, ID(account.Name).String(), lntypes.Hash(row.Hash).String(), detail)
	if err != nil {
		return err
	}
	row.ReservedMsat, row.ResolvedMs, row.ResolveSeq = 0, s.now, sql.NullInt64{Int64: seq, Valid: true}
	void := bit(State(row.State) == StateVoid) - bit(State(was.State) == StateVoid)
	err = errors.Join(
		s.PaymentResolve(s, guarddb.PaymentResolveParams{
			ID: row.ID, State: row.State, PaidMsat: row.PaidMsat, FeeMsat: row.FeeMsat,
			CumMsat: row.CumMsat, CumCount: row.CumCount, LndIndex: row.LndIndex,
			ResolvedMs: row.ResolvedMs, ResolveSeq: row.ResolveSeq,
			Reason: row.Reason, Preimage: blob(row.Preimage), Final: blob(row.Final),
		}),
		s.AccountRelease(s, guarddb.AccountReleaseParams{
			ID: account.ID, ReservedMsat: was.ReservedMsat, WasOpen: bit(State(was.State) == StateOpen), Void: void,
			SpentMsat: max(account.SpentMsat, row.CumMsat), SpentCount: max(account.SpentCount, row.CumCount),
			NowMs: s.now,
		}),
	)
	if err != nil || State(row.State) != StateSucceeded {
		return err
	}
	against := int64(bookNode)
	if row.Invoice.Valid {
		against = bookTransfers
	}
	return s.post(movement{
		key: fmt.Sprintf("payment/%d", row.ID), kind: "payment", seq: seq,
		payment: sql.NullInt64{Int64: row.ID, Valid: true},
		account: account.ID, against: against, amount: -row.PaidMsat,
	})
}
