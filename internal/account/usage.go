package account

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// Usage returns what the account has spent and has open, for `limits`. Code:
// account_unknown.
func (l *Ledger) Usage(ctx context.Context, id ID) (policy.Usage, error) {
	return read(ctx, l, func(s *step) (policy.Usage, error) {
		row, err := s.live(id)
		if err != nil {
			return policy.Usage{}, err
		}
		limits, err := limitsOf(row)
		if err != nil {
			return policy.Usage{}, err
		}
		limits.Hour, limits.Day, limits.Week, limits.Month = 1, 1, 1, 1
		return s.usage(row, limits)
	})
}

// usage computes what the limits look at; spans without a limit stay 0. A span
// that ends now leaves out what was settled at its very start. What is open
// counts in every span.
func (s *step) usage(row guarddb.Account, limits policy.Limits) (policy.Usage, error) {
	u := policy.Usage{
		Available:    msat(row.BalanceMsat - row.ReservedMsat),
		InFlight:     count(row.PaymentsOpen),
		OpenInvoices: count(row.InvoicesOpen),
	}
	for _, w := range []struct {
		limit lnwire.MilliSatoshi
		span  time.Duration
		used  *lnwire.MilliSatoshi
	}{
		{limits.Hour, policy.Hour, &u.Hour},
		{limits.Day, policy.Day, &u.Day},
		{limits.Week, policy.Week, &u.Week},
		{limits.Month, policy.Month, &u.Month},
	} {
		if w.limit == 0 {
			continue
		}
		before, err := s.spentBefore(row.ID, w.span)
		if err != nil {
			return u, err
		}
		*w.used = msat(row.SpentMsat - before.CumMsat + row.ReservedMsat)
	}
	if limits.MaxPayments == 0 {
		return u, nil
	}
	before, err := s.spentBefore(row.ID, limits.Per)
	u.Payments = count(row.SpentCount - before.CumCount + row.PaymentsOpen)
	return u, err
}

// spentBefore returns what the account had spent when the span that ends now
// began.
func (s *step) spentBefore(account int64, span time.Duration) (guarddb.PaymentSpentBeforeRow, error) {
	row, err := s.PaymentSpentBefore(s, guarddb.PaymentSpentBeforeParams{
		Account: account, UntilMs: s.now - span.Milliseconds(),
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return row, err
}

func count(n int64) uint32 { return uint32(min(max(0, n), math.MaxUint32)) }
