package leyden

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// checkView is what a check found, in JSON.
type checkView struct {
	OK           bool     `json:"ok"`
	Accounts     uint64   `json:"accounts"`
	Payments     uint64   `json:"payments"`
	OpenPayments uint64   `json:"payments_in_flight"`
	Invoices     uint64   `json:"invoices"`
	Entries      uint64   `json:"entries"`
	BalancesSat  uint64   `json:"balances_sat"`
	ChannelsSat  *uint64  `json:"channel_balance_sat,omitempty"`
	Backed       *bool    `json:"backed,omitempty"`
	Faults       []string `json:"faults"`
	Warnings     []string `json:"warnings"`
	From         source   `json:"from"`
}

func accountsCheckCmd(app *App, t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Recompute all balances, and compare them with the node's channels",
		Long: `Recomputes the ledger from its entries: sums, running totals, what is held for
payments in flight, the references of the journal. With a running node it also
compares all balances with what the node owns in its channels. Exit status 1 when
the ledger is not consistent.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var view checkView
			err := app.live(cmd, t, func(ctx context.Context, c *api.Client) error {
				found, err := c.Accounts.Check(ctx, &leydenv1.CheckRequest{})
				if err == nil {
					view = viewCheck(found)
				}
				return err
			}, func(ctx context.Context, l *account.Ledger) error {
				found, err := l.Check(ctx)
				if err == nil {
					view = viewReport(found)
				}
				return err
			})
			if err != nil {
				return err
			}
			app.printCheck(view)
			if !view.OK {
				return voice.ErrSilent
			}
			return nil
		},
	}
}

func viewCheck(c *leydenv1.CheckResponse) checkView {
	view := checkView{
		OK: len(c.Faults) == 0, Accounts: c.Accounts, Payments: c.Payments, OpenPayments: c.OpenPayments,
		Invoices: c.Invoices, Entries: c.Entries, BalancesSat: c.BalancesMsat / 1000, Faults: notNil(c.Faults),
		Warnings: notNil(c.Warnings), From: fromNode,
	}
	if c.ChannelBalanceMsat != nil {
		view.ChannelsSat = inSat(c.ChannelBalanceMsat)
		view.Backed = new(c.BalancesMsat <= *c.ChannelBalanceMsat)
	}
	return view
}

func viewReport(r account.Report) checkView {
	return checkView{
		OK: len(r.Faults) == 0, Accounts: r.Accounts, Payments: r.Payments, OpenPayments: r.OpenPayments,
		Invoices: r.Invoices, Entries: r.Entries, BalancesSat: uint64(r.Balances) / 1000, Faults: notNil(r.Faults),
		Warnings: notNil(r.Warnings), From: fromFile,
	}
}

// notNil makes an empty list [] in JSON.
func notNil(list []string) []string { return append([]string{}, list...) }

func (app *App) printCheck(v checkView) {
	if app.JSON {
		voice.PrintJSON(app.Out, v)
		return
	}
	fmt.Fprintf(app.Out, "ledger:    %d accounts, %d payments (%d in flight), %d invoices, %d entries\n",
		v.Accounts, v.Payments, v.OpenPayments, v.Invoices, v.Entries)
	fmt.Fprintf(app.Out, "balances:  %d sat\n", v.BalancesSat)
	if v.ChannelsSat != nil {
		verdict := "every balance is backed"
		if !*v.Backed {
			verdict = "the accounts hold more than the node owns"
		}
		fmt.Fprintf(app.Out, "channels:  %d sat of the node's own: %s\n", *v.ChannelsSat, verdict)
	}
	for _, w := range v.Warnings {
		fmt.Fprintf(app.Out, "warning:   %s\n", w)
	}
	app.printFaults(v.Faults, "the ledger is consistent")
}

func (app *App) printFaults(faults []string, well string) {
	if len(faults) == 0 {
		fmt.Fprintln(app.Out, well)
		return
	}
	for _, f := range faults {
		fmt.Fprintf(app.Out, "FAULT:     %s\n", f)
	}
}
