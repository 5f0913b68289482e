package account

import (
	"context"
	"fmt"
	"time"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// givenUpFor is how long a payment that was given up may still turn out paid.
const givenUpFor = 30 * 24 * time.Hour

// GiveUp releases an open payment that lnd will never end, on an operator's
// word: to StateVoid if lnd does not know it, to StateFailed if lnd has it in
// flight. GivenUp then lists it, since Settle must be told if it is paid after
// all. Code: not_found, when it is not open or lnd has no part in it.
func (l *Ledger) GiveUp(ctx context.Context, by audit.Actor, payment int64, state State, o Outcome) (Payment, error) {
	if state != StateFailed && state != StateVoid {
		return Payment{}, fmt.Errorf("give payment %d up: state %q", payment, state)
	}
	return write(ctx, l, func(s *step) (Payment, error) {
		found, err := s.openByID(payment)
		if err != nil {
			return Payment{}, err
		}
		row := found.Payment
		if row.Invoice.Valid {
			return Payment{}, fault.New(CodeNotFound, "", "payment %x is a transfer: not lnd's", row.Hash)
		}
		account, err := s.AccountByID(s, row.Account)
		if err != nil {
			return Payment{}, err
		}
		s.actor = by
		row.State, row.Reason = string(state), o.Reason
		keep(&row, o)
		err = s.resolved(found.Payment, &row, account, "payment.release",
			releaseDetail{Index: row.N, State: state, Reason: o.Reason})
		if err == nil && state == StateFailed {
			err = s.GivenUpInsert(s, guarddb.GivenUpInsertParams{Payment: row.ID, AtMs: s.now})
		}
		return paymentOf(row, found.Name), err
	})
}

// GivenUp returns the payments that were given up within the last 30 days while
// lnd had them in flight, oldest first, but those that were paid after all.
func (l *Ledger) GivenUp(ctx context.Context) ([]Payment, error) {
	return read(ctx, l, func(s *step) ([]Payment, error) {
		rows, err := s.GivenUpSince(s, s.now-givenUpFor.Milliseconds())
		list := make([]Payment, len(rows))
		for i, row := range rows {
			list[i] = paymentOf(row.Payment, row.Name)
		}
		return list, err
	})
}
