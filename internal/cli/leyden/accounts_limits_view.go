package leyden

import (
	"fmt"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// limitsView are an account's limits in JSON; what is not there is no limit.
type limitsView struct {
	MaxPayment   *uint64  `json:"max_payment_sat,omitempty"`
	MaxFee       *uint64  `json:"max_fee_sat,omitempty"`
	MaxFeePPM    *uint32  `json:"max_fee_ppm,omitempty"`
	Hour         *uint64  `json:"limit_hour_sat,omitempty"`
	Day          *uint64  `json:"limit_day_sat,omitempty"`
	Week         *uint64  `json:"limit_week_sat,omitempty"`
	Month        *uint64  `json:"limit_month_sat,omitempty"`
	MaxPayments  *uint32  `json:"max_payments,omitempty"`
	Per          *uint32  `json:"max_payments_per_seconds,omitempty"`
	InFlight     *uint32  `json:"max_in_flight,omitempty"`
	FinalCLTV    *uint32  `json:"max_final_cltv,omitempty"`
	TimeLock     *uint32  `json:"max_time_lock,omitempty"`
	OpenInvoices *uint32  `json:"max_open_invoices,omitempty"`
	MaxInvoice   *uint64  `json:"max_invoice_sat,omitempty"`
	Private      bool     `json:"private_invoices,omitempty"`
	Allow        []string `json:"allow_payees,omitempty"`
	Deny         []string `json:"deny_payees,omitempty"`
}

func viewLimits(l *leydenv1.Limits) limitsView {
	return limitsView{
		MaxPayment: inSat(l.MaxPaymentMsat), MaxFee: inSat(l.MaxFeeMsat), MaxFeePPM: l.MaxFeePpm,
		Hour: inSat(l.LimitHourMsat), Day: inSat(l.LimitDayMsat), Week: inSat(l.LimitWeekMsat), Month: inSat(l.LimitMonthMsat),
		MaxPayments: l.MaxPayments, Per: l.MaxPaymentsPerSeconds, InFlight: l.MaxInFlight,
		FinalCLTV: l.MaxFinalCltv, TimeLock: l.MaxTimeLock, OpenInvoices: l.MaxOpenInvoices,
		MaxInvoice: inSat(l.MaxInvoiceMsat), Private: l.GetPrivateInvoices(),
		Allow: hexes(l.AllowPayees), Deny: hexes(l.DenyPayees),
	}
}

func inSat(msat *uint64) *uint64 {
	if msat == nil {
		return nil
	}
	return new(*msat / 1000)
}

// usageView is what counts against the limits, in JSON.
type usageView struct {
	HourMsat     uint64 `json:"hour_msat"`
	DayMsat      uint64 `json:"day_msat"`
	WeekMsat     uint64 `json:"week_msat"`
	MonthMsat    uint64 `json:"month_msat"`
	Payments     uint32 `json:"payments"`
	InFlight     uint32 `json:"in_flight"`
	OpenInvoices uint32 `json:"open_invoices"`
}

func viewUsage(u *leydenv1.Usage) usageView {
	return usageView{
		HourMsat: u.HourMsat, DayMsat: u.DayMsat, WeekMsat: u.WeekMsat, MonthMsat: u.MonthMsat,
		Payments: u.Payments, InFlight: u.InFlight, OpenInvoices: u.OpenInvoices,
	}
}

// limitLine is a limit for a person.
type limitLine struct{ name, value, used string }

// limitLines are the limits there are, with what is used of them if known.
func limitLines(l *leydenv1.Limits, u *leydenv1.Usage) []limitLine {
	var lines []limitLine
	add := func(name, value, used string) {
		if u == nil {
			used = ""
		}
		lines = append(lines, limitLine{name, value, used})
	}
	money := func(name string, limit *uint64, used string) {
		if limit != nil {
			add(name, sat(*limit)+" sat", used)
		}
	}
	number := func(name string, limit *uint32, unit, used string) {
		if limit != nil {
			add(name, fmt.Sprint(*limit)+unit, used)
		}
	}
	money("max_payment", l.MaxPaymentMsat, "")
	money("max_fee", l.MaxFeeMsat, "")
	number("max_fee_ppm", l.MaxFeePpm, " ppm", "")
	money("limit_hour", l.LimitHourMsat, sat(u.GetHourMsat()))
	money("limit_day", l.LimitDayMsat, sat(u.GetDayMsat()))
	money("limit_week", l.LimitWeekMsat, sat(u.GetWeekMsat()))
	money("limit_month", l.LimitMonthMsat, sat(u.GetMonthMsat()))
	per := time.Duration(l.GetMaxPaymentsPerSeconds()) * time.Second
	number("max_payments", l.MaxPayments, "/"+policy.Span(per), fmt.Sprint(u.GetPayments()))
	number("max_in_flight", l.MaxInFlight, "", fmt.Sprint(u.GetInFlight()))
	number("max_final_cltv", l.MaxFinalCltv, " blocks", "")
	number("max_time_lock", l.MaxTimeLock, " blocks", "")
	number("max_open_invoices", l.MaxOpenInvoices, "", fmt.Sprint(u.GetOpenInvoices()))
	money("max_invoice", l.MaxInvoiceMsat, "")
	if l.GetPrivateInvoices() {
		add("private_invoices", "allowed", "")
	}
	if len(l.AllowPayees) > 0 {
		add("allow_payee", strings.Join(hexes(l.AllowPayees), " "), "")
	}
	if len(l.DenyPayees) > 0 {
		add("deny_payee", strings.Join(hexes(l.DenyPayees), " "), "")
	}
	return lines
}
