package policy

import (
	"math"
	"math/bits"
	"slices"

	"github.com/lightningnetwork/lnd/lnwire"
)

// Payment returns nil or a *Denied. What can never be allowed is judged before
// what time or money may heal, in this order: payee, amount, fee, final time
// lock, route's time lock, payments in flight, payments per interval, hour,
// day, week, month, balance.
func (l Limits) Payment(p Payment, used Usage) error {
	for _, check := range []func(Payment, Usage) *Denied{
		l.payee, l.size, l.locks, l.counts, l.windows, balance,
	} {
		if d := check(p, used); d != nil {
			return d
		}
	}
	return nil
}

// CapFee returns the fee in msat that a payment of amount may cost: the smaller
// of what was asked and what the limits allow, rounded down.
func (l Limits) CapFee(amount, asked lnwire.MilliSatoshi) lnwire.MilliSatoshi {
	if l.MaxFee != 0 {
		asked = min(asked, l.MaxFee)
	}
	if l.MaxFeePPM != 0 {
		asked = min(asked, share(amount, l.MaxFeePPM))
	}
	return asked
}

// Invoice returns nil or a *Denied, in this order: private, amount, invoices
// open.
func (l Limits) Invoice(i Invoice, used Usage) error {
	open := orDefault(l.OpenInvoices, DefaultOpenInvoices)
	switch {
	case i.Private && !l.PrivateInvoices:
		return deny(PrivateDenied, "",
			"this account may not make invoices that show the node's private channels")
	case l.MaxInvoice != 0 && i.Amount == 0:
		return deny(LimitInvoice, "", "an invoice of this account must name an amount: it may ask for up to %s",
			Sat(l.MaxInvoice))
	case l.MaxInvoice != 0 && i.Amount > l.MaxInvoice:
		return deny(LimitInvoice, "", "this invoice of %s exceeds the largest allowed, %s",
			Sat(i.Amount), Sat(l.MaxInvoice))
	case used.OpenInvoices >= open:
		return deny(LimitOpenInvoices, "lncli listinvoices --pending_only",
			"%d invoices are open, as many as are allowed", used.OpenInvoices)
	}
	return nil
}

func (l Limits) payee(p Payment, _ Usage) *Denied {
	if slices.Contains(l.DenyPayees, p.Payee) {
		return deny(PayeeDenied, "", "this account may not pay the node %s", p.Payee)
	}
	if len(l.AllowPayees) > 0 && !slices.Contains(l.AllowPayees, p.Payee) {
		return deny(PayeeDenied, "", "the node %s is not one of those that this account may pay", p.Payee)
	}
	return nil
}

func (l Limits) size(p Payment, _ Usage) *Denied {
	if l.MaxPayment != 0 && p.Amount > l.MaxPayment {
		return deny(LimitPayment, "", "this payment of %s exceeds the largest allowed, %s",
			Sat(p.Amount), Sat(l.MaxPayment))
	}
	if most := l.CapFee(p.Amount, p.MaxFee); p.MaxFee > most {
		return deny(LimitFee, "", "fees of %s for a payment of %s exceed what is allowed, %s",
			Sat(p.MaxFee), Sat(p.Amount), Sat(most))
	}
	return nil
}

func (l Limits) locks(p Payment, _ Usage) *Denied {
	if l.MaxFinalCLTV != 0 && p.FinalCLTV > l.MaxFinalCLTV {
		return deny(LimitCLTV, "", "the invoice may hold the payment for %d blocks, more than the %d allowed",
			p.FinalCLTV, l.MaxFinalCLTV)
	}
	if l.MaxTimeLock != 0 && p.TimeLock > l.MaxTimeLock {
		return deny(LimitTimeLock, "", "the route may hold the payment for %d blocks, more than the %d allowed",
			p.TimeLock, l.MaxTimeLock)
	}
	return nil
}

func (l Limits) counts(_ Payment, used Usage) *Denied {
	if used.InFlight >= orDefault(l.InFlight, DefaultInFlight) {
		return deny(LimitInFlight, "lncli listpayments --include_incomplete",
			"%d payments are in flight, as many as are allowed", used.InFlight)
	}
	if l.MaxPayments != 0 && used.Payments >= l.MaxPayments {
		return deny(LimitPayments, "", "%d payments were made or are in flight, of %d allowed in %s",
			used.Payments, l.MaxPayments, Span(l.Per))
	}
	return nil
}

func (l Limits) windows(p Payment, used Usage) *Denied {
	for _, w := range []struct {
		reason      Reason
		name        string
		limit, used lnwire.MilliSatoshi
	}{
		{LimitHour, "hourly", l.Hour, used.Hour},
		{LimitDay, "daily", l.Day, used.Day},
		{LimitWeek, "weekly", l.Week, used.Week},
		{LimitMonth, "30-day", l.Month, used.Month},
	} {
		if w.limit != 0 && exceed(w.limit, w.used, p.Amount, p.MaxFee) {
			return deny(w.reason, "", "%s exceeds the %s limit: %s of %s are spent or reserved",
				p, w.name, figure(w.used), Sat(w.limit))
		}
	}
	return nil
}

func balance(p Payment, used Usage) *Denied {
	if exceed(used.Available, p.Amount, p.MaxFee) {
		return deny(Balance, "lncli channelbalance", "%s exceeds the balance: %s are available",
			p, Sat(used.Available))
	}
	return nil
}

// exceed says whether the amounts together are more than the limit. A sum that
// no number can hold is.
func exceed(limit lnwire.MilliSatoshi, amounts ...lnwire.MilliSatoshi) bool {
	var total, carry uint64
	for _, a := range amounts {
		if total, carry = bits.Add64(total, uint64(a), 0); carry != 0 {
			return true
		}
	}
	return total > uint64(limit)
}

// share returns ppm millionths of amount, rounded down, and stops at the
// largest.
func share(amount lnwire.MilliSatoshi, ppm uint32) lnwire.MilliSatoshi {
	const million = 1_000_000
	hi, lo := bits.Mul64(uint64(amount), uint64(ppm))
	if hi >= million {
		return math.MaxUint64
	}
	part, _ := bits.Div64(hi, lo, million)
	return lnwire.MilliSatoshi(part)
}

func orDefault(limit, otherwise uint32) uint32 {
	if limit == 0 {
		return otherwise
	}
	return limit
}
