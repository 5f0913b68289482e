package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
)

// Reason says, to a program, why something was refused. Stable.
type Reason string

// The reasons of this package.
const (
	Balance           Reason = "balance"
	LimitPayment      Reason = "limit_payment"
	LimitFee          Reason = "limit_fee"
	LimitHour         Reason = "limit_hour"
	LimitDay          Reason = "limit_day"
	LimitWeek         Reason = "limit_week"
	LimitMonth        Reason = "limit_month"
	LimitPayments     Reason = "limit_payments"
	LimitInFlight     Reason = "limit_in_flight"
	LimitCLTV         Reason = "limit_cltv"
	LimitTimeLock     Reason = "limit_time_lock"
	LimitOpenInvoices Reason = "limit_open_invoices"
	LimitInvoice      Reason = "limit_invoice"
	PayeeDenied       Reason = "payee_denied"
	PrivateDenied     Reason = "private_denied"
)

// Denied is a refusal.
type Denied struct {
	Reason Reason

	// Sentence says to a person what is refused and why, with the figures in sat.
	Sentence string

	// Hint is the next command to type for whoever holds the account, or empty.
	Hint string
}

// Error returns the sentence.
func (d *Denied) Error() string { return d.Sentence }

func deny(reason Reason, hint, format string, args ...any) *Denied {
	return &Denied{Reason: reason, Hint: hint, Sentence: fmt.Sprintf(format, args...)}
}

// String returns the payment as a sentence about it begins.
func (p Payment) String() string {
	if p.MaxFee == 0 {
		return "this payment of " + Sat(p.Amount)
	}
	return "this payment of " + Sat(p.Amount) + " and up to " + Sat(p.MaxFee) + " of fees"
}

// Sat writes an amount for people: "4,600 sat", "0.25 sat".
func Sat(amount lnwire.MilliSatoshi) string {
	return figure(amount) + " sat"
}

// figure is Sat without the unit.
func figure(amount lnwire.MilliSatoshi) string {
	text := strconv.FormatUint(uint64(amount)/1000, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if rest := uint64(amount) % 1000; rest != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%03d", rest), "0")
	}
	return text
}

// Span writes a span of time in the largest unit that it is a multiple of, as
// people give it: "1h", "30d", "90s".
func Span(d time.Duration) string {
	for _, unit := range []struct {
		long time.Duration
		name string
	}{{Day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d != 0 && d%unit.long == 0 {
			return fmt.Sprint(int64(d/unit.long)) + unit.name
		}
	}
	return d.String()
}
