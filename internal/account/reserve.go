package account

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// Reserve takes the amount and the maximum fee aside before lnd sees the
// payment. Codes: account_unknown, account_expired, frozen, payment_in_flight,
// already_paid, bad_amount; or *policy.Denied. Each is journalled, repetitions
// within a minute as a count.
func (l *Ledger) Reserve(ctx context.Context, by audit.Actor, sp Spend) (Payment, error) {
	d := denial{kind: "payment.deny", by: by, account: sp.Account, hash: sp.Hash, amount: sp.Amount, fee: sp.MaxFee}
	return decide(ctx, l, d, func(s *step) (Payment, error) { return s.reserve(by, sp) })
}

func (s *step) reserve(by audit.Actor, sp Spend) (Payment, error) {
	account, err := s.usable(sp.Account)
	if err != nil {
		return Payment{}, err
	}
	if err := s.hashFree(sp.Hash); err != nil {
		return Payment{}, err
	}
	limits, err := limitsOf(account)
	if err != nil {
		return Payment{}, err
	}
	fee := sp.MaxFee
	if !sp.ExactFee {
		fee = limits.CapFee(sp.Amount, fee)
	}
	if err := payable(sp.Amount, fee, sp.AfterIndex); err != nil {
		return Payment{}, err
	}
	used, err := s.usage(account, limits)
	if err != nil {
		return Payment{}, err
	}
	err = limits.Payment(policy.Payment{
		Amount: sp.Amount, MaxFee: fee, Payee: sp.Payee, FinalCLTV: sp.FinalCLTV, TimeLock: sp.TimeLock,
	}, used)
	if err != nil {
		return Payment{}, err
	}
	return s.insert(by, account, sp, fee)
}

func (s *step) insert(by audit.Actor, account guarddb.Account, sp Spend, fee lnwire.MilliSatoshi) (Payment, error) {
	detail := reserveDetail{Amount: sp.Amount, MaxFee: fee, Index: account.Payments + 1, To: sp.to.account}
	if sp.Payee != (policy.PubKey{}) {
		detail.Payee = &sp.Payee
	}
	seq, err := s.log(by, "payment.reserve", sp.Account.String(), sp.Hash.String(), detail)
	if err != nil {
		return Payment{}, err
	}
	row := guarddb.Payment{
		Account: account.ID, N: account.Payments + 1, Hash: sp.Hash[:], State: string(StateOpen),
		AmountMsat: int64(sp.Amount), FeeLimitMsat: int64(fee), ReservedMsat: int64(sp.Amount + fee),
		Run: sp.Run, AfterIndex: int64(sp.AfterIndex), CreatedMs: s.now, ReserveSeq: seq,
		Payee: sp.Payee[:], FinalCltv: int64(sp.FinalCLTV), TimeLock: int64(sp.TimeLock),
		Request: sp.PaymentRequest, Memo: sp.Memo,
		Invoice: sql.NullInt64{Int64: sp.to.invoice, Valid: sp.to.invoice != 0},
	}
	row.ID, err = s.PaymentInsert(s, guarddb.PaymentInsertParams{
		Account: row.Account, N: row.N, Hash: row.Hash,
		AmountMsat: row.AmountMsat, FeeLimitMsat: row.FeeLimitMsat, ReservedMsat: row.ReservedMsat,
		Run: row.Run, AfterIndex: row.AfterIndex, CreatedMs: row.CreatedMs, ReserveSeq: row.ReserveSeq,
		Payee: row.Payee, FinalCltv: row.FinalCltv, TimeLock: row.TimeLock, Request: row.Request, Memo: row.Memo,
		Invoice: row.Invoice,
	})
	if err != nil {
		return Payment{}, err
	}
	err = s.AccountReserve(s, guarddb.AccountReserveParams{
		ID: account.ID, Added: 1, ReservedMsat: row.ReservedMsat, NowMs: s.now,
	})
	return paymentOf(row, account.Name), err
}

// reserveDetail is what the journal says about a reservation.
type reserveDetail struct {
	Index  int64               `json:"index"`
	Amount lnwire.MilliSatoshi `json:"amount_msat"`
	MaxFee lnwire.MilliSatoshi `json:"max_fee_msat"`
	Payee  *policy.PubKey      `json:"payee,omitempty"`
	To     string              `json:"to,omitempty"` // the account of a transfer
}

// Raise adds a further shard to an open payment, with the checks of Reserve. A
// shard is judged with the payment it belongs to, as one; its fee is exact.
// Codes besides: not_found, when the payment is not open.
func (l *Ledger) Raise(ctx context.Context, by audit.Actor, payment int64, amount, fee lnwire.MilliSatoshi) (Payment, error) {
	before, err := read(ctx, l, func(s *step) (guarddb.PaymentByIDRow, error) { return s.openByID(payment) })
	if err != nil {
		return Payment{}, err
	}
	d := denial{
		kind: "payment.deny", by: by, account: ID(before.Name), hash: lntypes.Hash(before.Payment.Hash),
		amount: amount, fee: fee,
	}
	return decide(ctx, l, d, func(s *step) (Payment, error) { return s.raise(by, payment, amount, fee) })
}

func (s *step) raise(by audit.Actor, payment int64, amount, fee lnwire.MilliSatoshi) (Payment, error) {
	found, err := s.openByID(payment)
	if err != nil {
		return Payment{}, err
	}
	row, id := found.Payment, ID(found.Name)
	account, err := s.usable(id)
	if err != nil {
		return Payment{}, err
	}
	if err := payable(amount, fee, 0); err != nil {
		return Payment{}, err
	}
	amount += msat(row.AmountMsat)
	fee += msat(row.FeeLimitMsat)
	if err := payable(amount, fee, 0); err != nil {
		return Payment{}, err
	}
	limits, err := limitsOf(account)
	if err != nil {
		return Payment{}, err
	}
	others := account
	others.ReservedMsat -= row.ReservedMsat
	others.PaymentsOpen--
	used, err := s.usage(others, limits)
	if err != nil {
		return Payment{}, err
	}
	err = limits.Payment(policy.Payment{
		Amount: amount, MaxFee: fee, Payee: policy.PubKey(row.Payee),
		FinalCLTV: uint32(row.FinalCltv), TimeLock: uint32(row.TimeLock),
	}, used)
	if err != nil {
		return Payment{}, err
	}
	_, err = s.log(by, "payment.raise", id.String(), lntypes.Hash(row.Hash).String(),
		reserveDetail{Index: row.N, Amount: amount, MaxFee: fee})
	if err != nil {
		return Payment{}, err
	}
	more := int64(amount+fee) - row.ReservedMsat
	row.AmountMsat, row.FeeLimitMsat, row.ReservedMsat = int64(amount), int64(fee), int64(amount+fee)
	err = errors.Join(
		s.PaymentRaise(s, guarddb.PaymentRaiseParams{
			ID: row.ID, AmountMsat: row.AmountMsat, FeeLimitMsat: row.FeeLimitMsat, ReservedMsat: row.ReservedMsat,
		}),
		s.AccountReserve(s, guarddb.AccountReserveParams{ID: account.ID, ReservedMsat: more, NowMs: s.now}),
	)
	return paymentOf(row, found.Name), err
}

func (s *step) openByID(payment int64) (guarddb.PaymentByIDRow, error) {
	found, err := s.PaymentByID(s, payment)
	if err == nil && State(found.Payment.State) != StateOpen {
		return found, fault.New(CodeNotFound, "", "payment %x is %s, not open", found.Payment.Hash, found.Payment.State)
	}
	if err == nil && found.Payment.Invoice.Valid {
		return found, fault.New(CodeNotFound, "", "payment %x is a transfer, of which there is one part", found.Payment.Hash)
	}
	return found, missing("payment", payment, err)
}

// usable returns the account if it may make payments and invoices now.
func (s *step) usable(id ID) (guarddb.Account, error) {
	row, err := s.live(id)
	switch {
	case err != nil:
		return row, err
	case row.ExpiresMs != 0 && s.now >= row.ExpiresMs:
		return row, fault.New(CodeExpired, "", "account %s expired at %s", id, clock(row.ExpiresMs).UTC().Format("2006-01-02 15:04:05 UTC"))
	case row.Frozen != 0:
		return row, fault.New(CodeFrozen, "", "account %s is frozen by its operator", id)
	case s.frozen:
		return row, fault.New(CodeFrozen, "", "everything is frozen by the operator")
	}
	return row, nil
}

// hashFree says whether nobody pays or has paid the hash.
func (s *step) hashFree(hash lntypes.Hash) error {
	use, err := s.PaymentHashUse(s, hash[:])
	switch {
	case err != nil:
		return err
	case use.Paid != 0:
		return fault.New(CodeAlreadyPaid, "", "payment %s has succeeded already", hash)
	case use.Open != 0:
		return fault.New(CodeInFlight, "", "payment %s is in flight", hash)
	}
	return nil
}

// payable refuses what is no amount of bitcoin, alone or together.
func payable(amount, fee lnwire.MilliSatoshi, index uint64) error {
	switch {
	case amount == 0:
		return fault.New(CodeBadAmount, "", "a payment of nothing")
	case amount > policy.MaxAmount || fee > policy.MaxAmount || amount+fee > policy.MaxAmount:
		return fault.New(CodeBadAmount, "", "a payment of %d msat and %d msat of fees: more than there is", amount, fee)
	case index > math.MaxInt64:
		return fault.New(CodeBadAmount, "", "payment index %d of lnd is out of range", index)
	}
	return nil
}

// missing makes not_found of a row that is not there.
func missing(what string, name any, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(CodeNotFound, "", "no %s %v", what, name)
	}
	return err
}
