package market

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
)

// pageSize is how many payments or invoices are read at once.
const pageSize = 10_000

// books is what `accounts check` says.
type books struct {
	OpenPayments *uint64 `json:"payments_in_flight"`
}

func (m *Market) books(ctx context.Context) (b books, err error) {
	err = m.command(ctx, &b, "accounts", "check")
	if err == nil && b.OpenPayments == nil {
		err = errors.New("accounts check does not say how many payments are in flight")
	}
	return b, err
}

// creditTime is how long lnd's news of what was received may be on its way.
const creditTime = 5 * time.Second

// Check compares ledger, journal and the three lnds, and returns how many payments
// and receipts the accounts have in all. It is for a market that is quiet.
func (m *Market) Check(ctx context.Context) (found Counts, err error) {
	for end := time.Now().Add(creditTime); ; {
		if found, err = m.compare(ctx); err == nil || time.Now().After(end) {
			return found, err
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return found, err
		}
	}
}

func (m *Market) compare(ctx context.Context) (found Counts, err error) {
	if _, err := m.books(ctx); err != nil {
		return found, err
	}
	if err := m.command(ctx, nil, "audit", "verify"); err != nil {
		return found, err
	}
	list, err := payments(ctx, m.Node())
	if err != nil {
		return found, err
	}
	atLnd := make(map[string]*lnrpc.Payment, len(list))
	for _, p := range list {
		atLnd[p.PaymentHash] = p
	}
	atLndIn, err := invoices(ctx, m.Node())
	if err != nil {
		return found, err
	}
	owner, owned, between := map[string]string{}, map[string]bool{}, transfers{}
	var faults []error
	for _, a := range m.accounts {
		paid, n, err := a.compareIn(ctx, atLnd, owner, between)
		faults = append(faults, err)
		received, k, err := a.compareOut(ctx, atLndIn, owned, between)
		faults = append(faults, err, a.compareBalance(ctx, paid, received))
		found.Payments += n
		found.Receipts += k
	}
	found.Transfers = len(between)
	faults = append(faults, between.check())
	for hash, p := range atLnd {
		if p.Status == lnrpc.Payment_SUCCEEDED && owner[hash] == "" {
			faults = append(faults, fmt.Errorf("lnd paid %s, no account was charged", hash))
		}
	}
	for hash, inv := range atLndIn {
		if inv.State == lnrpc.Invoice_SETTLED && !owned[hash] {
			faults = append(faults, fmt.Errorf("lnd received %d msat on %x, no account was credited", inv.AmtPaidMsat, hash))
		}
	}
	faults = append(faults, m.outcome.check(owner),
		m.counterparts(ctx, m.Node(), m.Seller()), m.counterparts(ctx, m.Middle(), m.Node()))
	return found, errors.Join(faults...)
}

// transfers are the payments between accounts, by hash: what the payer's books
// say and what the payee's do.
type transfers map[string]*transferred

// transferred is one payment between accounts, in msat.
type transferred struct {
	payer, payee   string
	paid, received int64
}

func (t transfers) of(hash string) *transferred {
	if t[hash] == nil {
		t[hash] = new(transferred)
	}
	return t[hash]
}

// check insists that both sides say the same.
func (t transfers) check() error {
	var faults []error
	for hash, x := range t {
		if x.payer == "" || x.payee == "" || x.payer == x.payee || x.paid != x.received {
			faults = append(faults, fmt.Errorf("transfer %s: account %q was charged %d msat, account %q credited with %d",
				hash, x.payer, x.paid, x.payee, x.received))
		}
	}
	return errors.Join(faults...)
}

// compareIn checks each payment that the account was charged for against
// lnd's, and returns their sum in msat. Of a transfer lnd knows nothing.
func (a *account) compareIn(
	ctx context.Context, atLnd map[string]*lnrpc.Payment, owner map[string]string, between transfers,
) (paid int64, n int, err error) {
	list, err := a.ln.ListPayments(ctx, &lnrpc.ListPaymentsRequest{IncludeIncomplete: true, MaxPayments: pageSize})
	if err != nil {
		return 0, 0, fmt.Errorf("account %s: list payments: %w", a.id, err)
	}
	for _, p := range list.Payments {
		if p.Status != lnrpc.Payment_SUCCEEDED {
			continue
		}
		lnd := atLnd[p.PaymentHash]
		switch {
		case owner[p.PaymentHash] != "":
			return 0, 0, fmt.Errorf("accounts %s and %s were both charged for %s", a.id, owner[p.PaymentHash], p.PaymentHash)
		case lnd == nil:
			x := between.of(p.PaymentHash)
			x.payer, x.paid = a.id, p.ValueMsat+p.FeeMsat
			lnd = p
		case lnd.Status != lnrpc.Payment_SUCCEEDED:
			return 0, 0, fmt.Errorf("account %s was charged for %s, which lnd did not pay", a.id, p.PaymentHash)
		case lnd.ValueMsat != p.ValueMsat || lnd.FeeMsat != p.FeeMsat:
			return 0, 0, fmt.Errorf("account %s: %s cost %d+%d msat, lnd says %d+%d", a.id, p.PaymentHash,
				p.ValueMsat, p.FeeMsat, lnd.ValueMsat, lnd.FeeMsat)
		}
		owner[p.PaymentHash] = a.id
		paid += lnd.ValueMsat + lnd.FeeMsat
		n++
	}
	return paid, n, nil
}

// compareOut checks that the account was credited for what lnd received on
// its invoices, and returns the sum in msat. What it received by transfer lnd
// has canceled.
func (a *account) compareOut(
	ctx context.Context, atLnd map[string]*lnrpc.Invoice, owned map[string]bool, between transfers,
) (received int64, n int, err error) {
	list, err := a.ln.ListInvoices(ctx, &lnrpc.ListInvoiceRequest{NumMaxInvoices: pageSize})
	if err != nil {
		return 0, 0, fmt.Errorf("account %s: list invoices: %w", a.id, err)
	}
	for _, inv := range list.Invoices {
		lnd := atLnd[string(inv.RHash)]
		canceled := lnd == nil || lnd.State == lnrpc.Invoice_CANCELED // it forgets these
		switch {
		case canceled && inv.State == lnrpc.Invoice_SETTLED:
			x := between.of(hex.EncodeToString(inv.RHash))
			x.payee, x.received = a.id, inv.AmtPaidMsat
			lnd = inv
		case lnd == nil && inv.State == lnrpc.Invoice_CANCELED:
			continue
		case lnd == nil:
			return 0, 0, fmt.Errorf("account %s has invoice %x, which lnd has not", a.id, inv.RHash)
		}
		if lnd.State != lnrpc.Invoice_SETTLED {
			continue
		}
		owned[string(inv.RHash)] = true
		received += lnd.AmtPaidMsat
		n++
	}
	return received, n, nil
}

// compareBalance checks that the balance is what was put in, credited and
// received, less what was paid.
func (a *account) compareBalance(ctx context.Context, paid, received int64) error {
	b, err := a.ln.ChannelBalance(ctx, &lnrpc.ChannelBalanceRequest{})
	if err != nil {
		return fmt.Errorf("account %s: balance: %w", a.id, err)
	}
	has := int64(b.LocalBalance.Msat + b.UnsettledLocalBalance.Msat) // available, and reserved
	credited := has - a.sat*1000 - received + paid
	asked, confirmed := a.credits.asked, a.credits.confirmed
	if credited%(credit*1000) != 0 || credited < confirmed*credit*1000 || credited > asked*credit*1000 {
		return fmt.Errorf("account %s has %d msat: began with %d sat, received %d msat, paid %d msat; the rest, %d msat, is not between %d and %d credits of %d sat",
			a.id, has, a.sat, received, paid, credited, confirmed, asked, credit)
	}
	return nil
}
