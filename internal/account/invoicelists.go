package account

import (
	"context"
	"math"
	"slices"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/store/guarddb"
)

// InvoiceByHash returns an invoice, whoever's. Void ones are not found. Code:
// not_found.
func (l *Ledger) InvoiceByHash(ctx context.Context, hash lntypes.Hash) (Invoice, error) {
	return read(ctx, l, func(s *step) (Invoice, error) {
		row, err := s.InvoiceByHash(s, hash[:])
		if err != nil {
			return Invoice{}, missing("invoice", hash, err)
		}
		return invoiceOf(row.Invoice, row.Name), nil
	})
}

// Invoices returns a page of the account's invoices that are neither void nor
// pending. Code: account_unknown.
func (l *Ledger) Invoices(ctx context.Context, of ID, p Page) ([]Invoice, error) {
	return read(ctx, l, func(s *step) ([]Invoice, error) {
		account, err := s.AccountByName(s, of[:])
		if err != nil {
			return nil, unknown(of.String(), err)
		}
		above, below, err := p.bounds(func(from int64) (int64, error) {
			return s.InvoiceFirstSince(s, guarddb.InvoiceFirstSinceParams{Account: account.ID, FromMs: from})
		})
		if err != nil {
			return nil, err
		}
		rows, err := s.invoiceRows(account.ID, p, above, below)
		return invoicesOf(rows, account.Name), err
	})
}

func (s *step) invoiceRows(account int64, p Page, above, below int64) (rows []guarddb.Invoice, err error) {
	most := p.most()
	switch {
	case p.Open && p.Reversed:
		rows, err = s.InvoicesOpenReversed(s, guarddb.InvoicesOpenReversedParams{Account: account, Above: above, Below: below, Max: most})
	case p.Open:
		rows, err = s.InvoicesOpen(s, guarddb.InvoicesOpenParams{Account: account, Above: above, Below: below, Max: most})
	case p.Reversed:
		rows, err = s.InvoicesAllReversed(s, guarddb.InvoicesAllReversedParams{Account: account, Above: above, Below: below, Max: most})
	default:
		rows, err = s.InvoicesAll(s, guarddb.InvoicesAllParams{Account: account, Above: above, Below: below, Max: most})
	}
	if p.Reversed {
		slices.Reverse(rows)
	}
	return rows, err
}

// InvoicesSince returns, for a subscription, what was added after addIndex and
// what was settled after settleIndex (the account's own numbers), ascending, of
// each at most so many: as many mean that there may be more. Code: account_unknown.
func (l *Ledger) InvoicesSince(ctx context.Context, of ID, addIndex, settleIndex uint64, most int) (added, settled []Invoice, err error) {
	added, err = read(ctx, l, func(s *step) ([]Invoice, error) {
		account, err := s.AccountByName(s, of[:])
		if err != nil {
			return nil, unknown(of.String(), err)
		}
		rows, err := s.InvoicesSettledAfter(s, guarddb.InvoicesSettledAfterParams{
			Account: account.ID, After: int64(min(settleIndex, math.MaxInt64)), Max: int64(most),
		})
		if err != nil {
			return nil, err
		}
		settled = invoicesOf(rows, account.Name)
		rows, err = s.invoiceRows(account.ID, Page{Max: uint64(most)}, int64(min(addIndex, math.MaxInt64)), math.MaxInt64)
		return invoicesOf(rows, account.Name), err
	})
	return added, settled, err
}

// OpenInvoices returns all pending and open invoices, oldest first: of one
// account, or of all (nil). Code: account_unknown.
func (l *Ledger) OpenInvoices(ctx context.Context, of *ID) ([]Invoice, error) {
	return read(ctx, l, func(s *step) ([]Invoice, error) {
		if of != nil {
			return s.openInvoicesOf(*of)
		}
		rows, err := s.InvoicesUnfinished(s)
		list := make([]Invoice, len(rows))
		for i, row := range rows {
			list[i] = invoiceOf(row.Invoice, row.Name)
		}
		return list, err
	})
}

func (s *step) openInvoicesOf(of ID) ([]Invoice, error) {
	account, err := s.AccountByName(s, of[:])
	if err != nil {
		return nil, unknown(of.String(), err)
	}
	rows, err := s.InvoicesUnfinishedOf(s, account.ID)
	return invoicesOf(rows, account.Name), err
}
