package leyden

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

func newFreezeCmd(app *App) *cobra.Command {
	cmd := freezeCmd(app, true)
	cmd.Use = "freeze ID|LABEL | --all"
	cmd.Short = "Stop an account, or everything, from spending at once"
	cmd.Long = `From the moment this returns an account makes no new payment and no new invoice,
whatever macaroon it has. --all freezes every account, and refuses the operator's
own macaroons every call that moves money; it lasts until thaw, also over
restarts. Payments that lnd already has may still be made: they are listed.`
	cmd.Example = `  leyden freeze agent
  leyden freeze --all`
	return cmd
}

func newThawCmd(app *App) *cobra.Command {
	cmd := freezeCmd(app, false)
	cmd.Use = "thaw ID|LABEL | --all"
	cmd.Short = "Undo freeze"
	cmd.Long = `Undoes freeze. An account that was frozen by itself stays so when all are thawed.`
	return cmd
}

func freezeCmd(app *App, frozen bool) *cobra.Command {
	t := new(target)
	req := &leydenv1.FreezeRequest{}
	cmd := &cobra.Command{
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == req.All {
				return voice.UsageError(cmd, fmt.Errorf("name one account, or --all"))
			}
			if len(args) == 1 {
				req.Account = args[0]
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				do := c.Accounts.Thaw
				if frozen {
					do = c.Accounts.Freeze
				}
				done, err := do(ctx, req)
				if err != nil {
					return err
				}
				app.printFrozen(req, frozen, done.InFlight)
				if frozen || req.All {
					return nil
				}
				status, err := c.Accounts.Status(ctx, &leydenv1.StatusRequest{})
				if err == nil {
					app.warnFrozen(status.FrozenAll)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&req.All, "all", false, "every account, and the operator's macaroons")
	t.flags(cmd)
	return cmd
}

func (app *App) printFrozen(req *leydenv1.FreezeRequest, frozen bool, inFlight []*leydenv1.Payment) {
	name := req.Account
	if req.All {
		name = "all"
	}
	if app.JSON {
		voice.PrintJSON(app.Out, map[string]any{"account": name, "frozen": frozen, "in_flight": viewPayments(inFlight)})
		return
	}
	if req.All {
		name = "every account, and the operator's macaroons"
	}
	if !frozen {
		fmt.Fprintf(app.Out, "thawed: %s\n", name)
		return
	}
	fmt.Fprintf(app.Out, "frozen: %s\n", name)
	if len(inFlight) > 0 {
		fmt.Fprintf(app.Out, "%d payments are in flight and may still be made:\n", len(inFlight))
		app.printPayments(inFlight)
	}
}
