package leyden

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// accountView is an account in JSON. Amounts in sat are rounded down.
type accountView struct {
	ID           string     `json:"id"`
	Label        string     `json:"label"`
	BalanceSat   uint64     `json:"balance_sat"`
	AvailableSat uint64     `json:"available_sat"`
	ReservedSat  uint64     `json:"reserved_sat"`
	InitialSat   uint64     `json:"initial_sat"`
	BalanceMsat  uint64     `json:"balance_msat"`
	Created      time.Time  `json:"created"`
	Updated      time.Time  `json:"updated"`
	Expires      *time.Time `json:"expires"`
	Expired      bool       `json:"expired"`
	Frozen       bool       `json:"frozen"`
	Generation   uint64     `json:"generation"`
	Limits       limitsView `json:"limits"`
}

func viewAccount(a *leydenv1.Account) accountView {
	return accountView{
		ID: a.Id, Label: a.Label, BalanceSat: a.BalanceMsat / 1000, AvailableSat: a.AvailableMsat / 1000,
		ReservedSat: a.ReservedMsat / 1000, InitialSat: a.InitialMsat / 1000, BalanceMsat: a.BalanceMsat,
		Created: date(a.Created), Updated: date(a.Updated), Expires: dateOrNever(a.Expires),
		Expired: a.Expired, Frozen: a.Frozen, Generation: a.Generation, Limits: viewLimits(a.Limits),
	}
}

func date(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

func dateOrNever(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	return new(date(unix))
}

// called names an account to a person.
func called(a *leydenv1.Account) string {
	if a.Label == "" {
		return a.Id
	}
	return fmt.Sprintf("%s (%s)", a.Label, a.Id)
}

func condition(a *leydenv1.Account) string {
	switch {
	case a.Frozen:
		return "frozen"
	case a.Expired:
		return "expired"
	}
	return "active"
}

func (app *App) printAccounts(list []*leydenv1.Account, frozenAll bool) {
	if app.JSON {
		views := make([]accountView, len(list))
		for i, a := range list {
			views[i] = viewAccount(a)
		}
		voice.PrintJSON(app.Out, map[string]any{"accounts": views, "frozen_all": frozenAll})
		return
	}
	if len(list) == 0 {
		fmt.Fprintln(app.Out, "no accounts yet: leyden accounts create BALANCE --save_to FILE")
		return
	}
	table(app.Out, "ID\tLABEL\tBALANCE\tAVAILABLE\tEXPIRES\tSTATE", func(w io.Writer) {
		for _, a := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Id, a.Label, sat(a.BalanceMsat), sat(a.AvailableMsat), expiry(a), condition(a))
		}
	})
	app.warnFrozen(frozenAll)
}

// warnFrozen tells a person that nobody can pay, whatever an account's own state.
func (app *App) warnFrozen(all bool) {
	if all && !app.JSON {
		fmt.Fprintln(app.Out, "everything is frozen: leyden thaw --all")
	}
}

func (app *App) printAccount(a *leydenv1.Account) {
	if app.JSON {
		voice.PrintJSON(app.Out, viewAccount(a))
		return
	}
	app.describe(a)
}

// printInfo prints an account and its payments in flight.
func (app *App) printInfo(got *leydenv1.GetResponse) {
	if app.JSON {
		voice.PrintJSON(app.Out, struct {
			accountView
			InFlight []paymentView `json:"in_flight"`
		}{viewAccount(got.Account), viewPayments(got.InFlight)})
		return
	}
	app.describe(got.Account)
	for _, p := range got.InFlight {
		fmt.Fprintf(app.Out, "in flight: %s sat, for %s, payment hash %x\n", sat(p.AmountMsat), age(p.Created, time.Now()), p.Hash)
	}
}

// age is the time since a date, in its two largest units.
func age(unix int64, now time.Time) string {
	d := max(0, now.Sub(time.Unix(unix, 0)))
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func (app *App) describe(a *leydenv1.Account) {
	fmt.Fprintf(app.Out, "account:   %s, %s\n", called(a), condition(a))
	fmt.Fprintf(app.Out, "balance:   %s sat", sat(a.BalanceMsat))
	if a.ReservedMsat > 0 {
		fmt.Fprintf(app.Out, ", %s of them held for payments in flight", sat(a.ReservedMsat))
	}
	fmt.Fprintf(app.Out, "\nexpires:   %s\n", expiry(a))
	for _, l := range limitLines(a.Limits, nil) {
		fmt.Fprintf(app.Out, "limit:     %s %s\n", l.name, l.value)
	}
}

func expiry(a *leydenv1.Account) string {
	if a.Expires == 0 {
		return "never"
	}
	return time.Unix(a.Expires, 0).Format(time.DateTime)
}

// sat writes msat as sat, with a fraction only where there is one.
func sat(msat uint64) string {
	if msat%1000 == 0 {
		return fmt.Sprint(msat / 1000)
	}
	return fmt.Sprintf("%d.%03d", msat/1000, msat%1000)
}

// table writes aligned columns under a head.
func table(out io.Writer, head string, rows func(io.Writer)) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	rows(w)
	_ = w.Flush() // of an output that is gone
}
