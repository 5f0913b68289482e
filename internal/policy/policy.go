// Package policy decides whether an account may make a payment or an invoice.
// It is pure: limits, what was spent so far and what is asked go in, nil or a
// typed refusal comes out. It reads no clock, no file and no database; whoever
// calls it does so inside the transaction that reserves the money. It promises
// that no sum of amounts overflows into permission, and that a narrower limit
// never allows more.
package policy

import (
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
)

// Limits are what an account may do. A zero field means no limit, or the
// default named in its comment. Amounts in msat; windows are rolling and count
// fees and what is reserved for payments in flight.
type Limits struct {
	// MaxPayment bounds the amount of one payment, without its fee.
	MaxPayment lnwire.MilliSatoshi `json:"max_payment_msat,omitempty"`

	// MaxFee and MaxFeePPM (millionths of the amount) bound the fee of one
	// payment. A client that allows more gets the smaller of these.
	MaxFee    lnwire.MilliSatoshi `json:"max_fee_msat,omitempty"`
	MaxFeePPM uint32              `json:"max_fee_ppm,omitempty"`

	// Hour, Day, Week and Month (30 days) bound what is spent in any such span.
	Hour  lnwire.MilliSatoshi `json:"limit_hour_msat,omitempty"`
	Day   lnwire.MilliSatoshi `json:"limit_day_msat,omitempty"`
	Week  lnwire.MilliSatoshi `json:"limit_week_msat,omitempty"`
	Month lnwire.MilliSatoshi `json:"limit_month_msat,omitempty"`

	// MaxPayments bounds the payments, made or in flight, in any span of Per.
	MaxPayments uint32        `json:"max_payments,omitempty"`
	Per         time.Duration `json:"max_payments_per,omitempty"`

	// InFlight bounds the payments in flight at once; 0 means DefaultInFlight.
	InFlight uint32 `json:"max_in_flight,omitempty"`

	// MaxFinalCLTV bounds the final hop's time lock that an invoice asks for,
	// MaxTimeLock the whole route's. Blocks.
	MaxFinalCLTV uint32 `json:"max_final_cltv,omitempty"`
	MaxTimeLock  uint32 `json:"max_time_lock,omitempty"`

	// OpenInvoices bounds the invoices open at once; 0 means
	// DefaultOpenInvoices. MaxInvoice bounds the amount of one; with it, an
	// invoice must name an amount.
	OpenInvoices uint32              `json:"max_open_invoices,omitempty"`
	MaxInvoice   lnwire.MilliSatoshi `json:"max_invoice_msat,omitempty"`

	// PrivateInvoices allows invoices that show the node's unannounced channels.
	PrivateInvoices bool `json:"private_invoices,omitempty"`

	// AllowPayees, when not empty, are the only nodes that may be paid;
	// DenyPayees never are. DenyPayees wins.
	AllowPayees []PubKey `json:"allow_payees,omitempty"`
	DenyPayees  []PubKey `json:"deny_payees,omitempty"`

	// AllowHosts is kept for what knows the host it pays. Nothing that comes
	// through a node's front does, so Validate refuses it.
	AllowHosts []string `json:"allow_hosts,omitempty"`
}

// Defaults of limits that are never without one.
const (
	DefaultInFlight     = 32
	DefaultOpenInvoices = 1000
)

// Spans of the rolling windows.
const (
	Hour  = time.Hour
	Day   = 24 * time.Hour
	Week  = 7 * Day
	Month = 30 * Day
)

// Usage is what an account has and has done, as the ledger knows it now,
// without the payment or invoice that is judged.
type Usage struct {
	// Available is the balance less what is reserved.
	Available lnwire.MilliSatoshi

	// Hour, Day, Week, Month: spent in the span that ends now, fees and open
	// reservations included.
	Hour, Day, Week, Month lnwire.MilliSatoshi

	// Payments made or in flight in the span Limits.Per that ends now.
	Payments uint32

	// InFlight payments, OpenInvoices.
	InFlight, OpenInvoices uint32
}

// Payment is a payment that is asked for, the whole of it where shards join one
// that is open. FinalCLTV and TimeLock are blocks, 0 where not known.
type Payment struct {
	Amount, MaxFee      lnwire.MilliSatoshi
	Payee               PubKey
	FinalCLTV, TimeLock uint32
}

// Invoice is an invoice that is asked for. Amount 0 leaves it to the payer.
type Invoice struct {
	Amount  lnwire.MilliSatoshi
	Private bool
}
