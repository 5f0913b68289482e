package account

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/store/guarddb"
)

// OpenPayments returns all open payments, oldest first: of one account, or of
// all (nil). Code: account_unknown.
func (l *Ledger) OpenPayments(ctx context.Context, of *ID) ([]Payment, error) {
	return read(ctx, l, func(s *step) ([]Payment, error) {
		if of != nil {
			return s.openPaymentsOf(*of)
		}
		rows, err := s.PaymentsOpen(s)
		list := make([]Payment, len(rows))
		for i, row := range rows {
			list[i] = paymentOf(row.Payment, row.Name)
		}
		return list, err
	})
}

func (s *step) openPaymentsOf(of ID) ([]Payment, error) {
	account, err := s.AccountByName(s, of[:])
	if err != nil {
		return nil, unknown(of.String(), err)
	}
	rows, err := s.PaymentsOpenOf(s, account.ID)
	return paymentsOf(rows, account.Name), err
}

// PaymentByHash returns the account's latest payment of the hash that is not
// void. Code: not_found.
func (l *Ledger) PaymentByHash(ctx context.Context, of ID, hash lntypes.Hash) (Payment, error) {
	return read(ctx, l, func(s *step) (Payment, error) {
		account, err := s.AccountByName(s, of[:])
		if err != nil {
			return Payment{}, missing("payment", hash, err)
		}
		row, err := s.PaymentLatestOfHash(s, guarddb.PaymentLatestOfHashParams{Hash: hash[:], Account: account.ID})
		if err != nil {
			return Payment{}, missing("payment", hash, err)
		}
		return paymentOf(row, account.Name), nil
	})
}

// OpenByHash returns the open payment of the hash, whoever's. Code: not_found.
func (l *Ledger) OpenByHash(ctx context.Context, hash lntypes.Hash) (Payment, error) {
	return read(ctx, l, func(s *step) (Payment, error) {
		row, err := s.PaymentOpenByHash(s, hash[:])
		if err != nil {
			return Payment{}, missing("open payment", hash, err)
		}
		return paymentOf(row.Payment, row.Name), nil
	})
}

// Payments returns a page of the account's payments that succeeded, with
// Unfinished of all but the void ones, and how many are not void in all. Code:
// account_unknown.
func (l *Ledger) Payments(ctx context.Context, of ID, p Page) (list []Payment, total uint64, err error) {
	list, err = read(ctx, l, func(s *step) ([]Payment, error) {
		account, err := s.AccountByName(s, of[:])
		if err != nil {
			return nil, unknown(of.String(), err)
		}
		total = uint64(account.Payments - account.PaymentsVoid)
		above, below, err := p.bounds(func(from int64) (int64, error) {
			return s.PaymentFirstSince(s, guarddb.PaymentFirstSinceParams{Account: account.ID, FromMs: from})
		})
		if err != nil {
			return nil, err
		}
		rows, err := s.paymentRows(account.ID, p, above, below)
		return paymentsOf(rows, account.Name), err
	})
	return list, total, err
}

func (s *step) paymentRows(account int64, p Page, above, below int64) (rows []guarddb.Payment, err error) {
	most := p.most()
	switch {
	case p.Unfinished && p.Reversed:
		rows, err = s.PaymentsAllReversed(s, guarddb.PaymentsAllReversedParams{Account: account, Above: above, Below: below, Max: most})
	case p.Unfinished:
		rows, err = s.PaymentsAll(s, guarddb.PaymentsAllParams{Account: account, Above: above, Below: below, Max: most})
	case p.Reversed:
		rows, err = s.PaymentsPaidReversed(s, guarddb.PaymentsPaidReversedParams{Account: account, Above: above, Below: below, Max: most})
	default:
		rows, err = s.PaymentsPaid(s, guarddb.PaymentsPaidParams{Account: account, Above: above, Below: below, Max: most})
	}
	if p.Reversed {
		slices.Reverse(rows)
	}
	return rows, err
}

// defaultPage is the length of a page that names none.
const defaultPage = 100

func (p Page) most() int64 {
	if p.Max == 0 {
		return defaultPage
	}
	return int64(min(p.Max, math.MaxInt64))
}

// bounds are the numbers, both exclusive, between which the page lies. Numbers
// ascend with time, so times become numbers by first, which returns the number
// of the first row at or after a time, or sql.ErrNoRows.
func (p Page) bounds(first func(fromMS int64) (int64, error)) (above, below int64, err error) {
	below = math.MaxInt64
	offset := int64(min(p.Offset, math.MaxInt64))
	if !p.Reversed {
		above = offset
	} else if offset != 0 {
		below = offset
	}
	for _, edge := range []struct {
		at    time.Time
		after int64
		set   func(n int64)
	}{
		{p.From, 0, func(n int64) { above = max(above, n-1) }},
		{p.Until, 1, func(n int64) { below = min(below, n) }},
	} {
		if edge.at.IsZero() {
			continue
		}
		n, err := first(edge.at.UnixMilli() + edge.after)
		switch {
		case err == nil:
			edge.set(n)
		case missing("", "", err) == err:
			return 0, 0, err
		case edge.after == 0:
			above = math.MaxInt64
		}
	}
	return above, below, nil
}
