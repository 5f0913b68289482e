package api

import (
	"math"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// lifts end a limit by name. The names are those of the command line's flags.
var lifts = map[string]func(*policy.Limits){
	"max_payment":       func(l *policy.Limits) { l.MaxPayment = 0 },
	"max_fee":           func(l *policy.Limits) { l.MaxFee = 0 },
	"max_fee_ppm":       func(l *policy.Limits) { l.MaxFeePPM = 0 },
	"limit_hour":        func(l *policy.Limits) { l.Hour = 0 },
	"limit_day":         func(l *policy.Limits) { l.Day = 0 },
	"limit_week":        func(l *policy.Limits) { l.Week = 0 },
	"limit_month":       func(l *policy.Limits) { l.Month = 0 },
	"max_payments":      func(l *policy.Limits) { l.MaxPayments, l.Per = 0, 0 },
	"max_in_flight":     func(l *policy.Limits) { l.InFlight = 0 },
	"max_final_cltv":    func(l *policy.Limits) { l.MaxFinalCLTV = 0 },
	"max_time_lock":     func(l *policy.Limits) { l.MaxTimeLock = 0 },
	"max_open_invoices": func(l *policy.Limits) { l.OpenInvoices = 0 },
	"max_invoice":       func(l *policy.Limits) { l.MaxInvoice = 0 },
	"private_invoices":  func(l *policy.Limits) { l.PrivateInvoices = false },
	"allow_payee":       func(l *policy.Limits) { l.AllowPayees = nil },
	"deny_payee":        func(l *policy.Limits) { l.DenyPayees = nil },
}

// LimitNames are the names that a limit is lifted by, sorted.
func LimitNames() []string {
	var names []string
	for name := range lifts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// patch returns the limits with those lifted that are named, and those replaced
// that are set. A limit of 0 is refused: it could be meant as "nothing" and
// would count as "no limit". Code: bad_limits.
func patch(l policy.Limits, set *leydenv1.Limits, lift []string) (policy.Limits, error) {
	for _, name := range lift {
		end, ok := lifts[name]
		if !ok {
			return l, badLimits("there is no limit named %q", name)
		}
		end(&l)
	}
	if set == nil {
		set = &leydenv1.Limits{}
	}
	p := patcher{}
	p.amount("max_payment", set.MaxPaymentMsat, &l.MaxPayment)
	p.amount("max_fee", set.MaxFeeMsat, &l.MaxFee)
	p.amount("limit_hour", set.LimitHourMsat, &l.Hour)
	p.amount("limit_day", set.LimitDayMsat, &l.Day)
	p.amount("limit_week", set.LimitWeekMsat, &l.Week)
	p.amount("limit_month", set.LimitMonthMsat, &l.Month)
	p.amount("max_invoice", set.MaxInvoiceMsat, &l.MaxInvoice)
	p.number("max_fee_ppm", set.MaxFeePpm, &l.MaxFeePPM)
	p.number("max_payments", set.MaxPayments, &l.MaxPayments)
	p.number("max_in_flight", set.MaxInFlight, &l.InFlight)
	p.number("max_final_cltv", set.MaxFinalCltv, &l.MaxFinalCLTV)
	p.number("max_time_lock", set.MaxTimeLock, &l.MaxTimeLock)
	p.number("max_open_invoices", set.MaxOpenInvoices, &l.OpenInvoices)
	var seconds uint32
	p.number("max_payments", set.MaxPaymentsPerSeconds, &seconds)
	if seconds != 0 {
		l.Per = time.Duration(seconds) * time.Second
	}
	if set.PrivateInvoices != nil {
		l.PrivateInvoices = *set.PrivateInvoices
	}
	p.payees(set.AllowPayees, &l.AllowPayees)
	p.payees(set.DenyPayees, &l.DenyPayees)
	if p.err != nil {
		return l, p.err
	}
	if err := l.Validate(); err != nil {
		return l, badLimits("%v", err)
	}
	return l, nil
}

// patcher keeps the first error.
type patcher struct{ err error }

func (p *patcher) amount(name string, from *uint64, to *lnwire.MilliSatoshi) {
	p.zero(name, from != nil && *from == 0)
	if from != nil {
		*to = lnwire.MilliSatoshi(*from)
	}
}

func (p *patcher) number(name string, from *uint32, to *uint32) {
	p.zero(name, from != nil && *from == 0)
	if from != nil {
		*to = *from
	}
}

func (p *patcher) zero(name string, is bool) {
	if is && p.err == nil {
		p.err = fault.New(account.CodeLimits, "to end a limit: leyden accounts limits ACCOUNT --none "+name+"; to stop all spending: leyden freeze ACCOUNT",
			"%s of 0: a limit is at least 1", name)
	}
}

func (p *patcher) payees(from [][]byte, to *[]policy.PubKey) {
	if len(from) == 0 {
		return
	}
	*to = nil
	for _, raw := range from {
		if len(raw) != len(policy.PubKey{}) {
			if p.err == nil {
				p.err = badLimits("a node key has 33 bytes, not %d", len(raw))
			}
			return
		}
		*to = append(*to, policy.PubKey(raw))
	}
}

func badLimits(format string, args ...any) error {
	return fault.New(account.CodeLimits, "leyden accounts limits --help", format, args...)
}

// limitsOut writes the limits that there are.
func limitsOut(l policy.Limits) *leydenv1.Limits {
	out := &leydenv1.Limits{
		MaxPaymentMsat: given(uint64(l.MaxPayment)), MaxFeeMsat: given(uint64(l.MaxFee)), MaxFeePpm: given(l.MaxFeePPM),
		LimitHourMsat: given(uint64(l.Hour)), LimitDayMsat: given(uint64(l.Day)),
		LimitWeekMsat: given(uint64(l.Week)), LimitMonthMsat: given(uint64(l.Month)),
		MaxPayments: given(l.MaxPayments), MaxPaymentsPerSeconds: given(uint32(min(l.Per/time.Second, math.MaxUint32))),
		MaxInFlight: given(l.InFlight), MaxFinalCltv: given(l.MaxFinalCLTV), MaxTimeLock: given(l.MaxTimeLock),
		MaxOpenInvoices: given(l.OpenInvoices), MaxInvoiceMsat: given(uint64(l.MaxInvoice)),
		PrivateInvoices: given(l.PrivateInvoices),
	}
	for _, key := range l.AllowPayees {
		out.AllowPayees = append(out.AllowPayees, key[:])
	}
	for _, key := range l.DenyPayees {
		out.DenyPayees = append(out.DenyPayees, key[:])
	}
	return out
}

// given is nil for the zero value.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
