package account

import "context"

// InvoiceMarks returns how far the account's own numbers have come: of the
// invoices added and of those settled. Code: account_unknown.
func (l *Ledger) InvoiceMarks(ctx context.Context, of ID) (added, settled uint64, err error) {
	added, err = read(ctx, l, func(s *step) (uint64, error) {
		row, err := s.AccountByName(s, of[:])
		if err != nil {
			return 0, unknown(of.String(), err)
		}
		settled = uint64(row.Settled)
		return uint64(row.Invoices), nil
	})
	return added, settled, err
}
