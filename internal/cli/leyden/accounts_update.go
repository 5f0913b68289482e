package leyden

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
)

func accountsUpdateCmd(app *App, t *target) *cobra.Command {
	var w who
	var newBalance, newExpires, newLabel string
	cmd := &cobra.Command{
		Use:     "update ID|LABEL [EXPIRATION]",
		Aliases: []string{"u"},
		Short:   "Give an account another expiry, label or balance",
		Example: `  leyden accounts update agent 90d
  leyden accounts update agent --new_label summer`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, rest, err := w.take(cmd, args)
			if err != nil {
				return err
			}
			rest = append(rest, optional(newExpires)...)
			req := &litrpc.UpdateAccountRequest{AccountBalance: -1, ExpirationDate: -1, NewLabel: newLabel}
			if len(rest) > 1 || len(rest) == 0 && newLabel == "" && newBalance == "" {
				return voice.UsageError(cmd, fmt.Errorf("want one expiration, or --new_label or --new_balance"))
			}
			if len(rest) == 1 {
				if req.ExpirationDate, err = expiration(cmd, rest[0]); err != nil {
					return err
				}
			}
			if newBalance != "" {
				sat, err := amount(cmd, "balance", newBalance)
				if err != nil {
					return err
				}
				req.AccountBalance = int64(sat)
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				return app.update(ctx, c, name, req)
			})
		},
	}
	w.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&newExpires, "new_expiration_date", "", "when the account ends, instead of the argument")
	f.StringVar(&newLabel, "new_label", "", "another label")
	f.StringVar(&newBalance, "new_balance", "", "another balance in sat; credit and debit are safer while the account is in use")
	for _, how := range []change{credit, debit} { // where litcli has them
		sub := accountsAmountCmd(app, t, how)
		sub.Hidden = true
		cmd.AddCommand(sub)
	}
	return cmd
}

// update finds the account first, since litrpc tells ids from labels.
func (app *App) update(ctx context.Context, c *api.Client, name string, req *litrpc.UpdateAccountRequest) error {
	found, err := c.Accounts.Get(ctx, &leydenv1.AccountRequest{Account: name})
	if err != nil {
		return err
	}
	req.Id = found.Account.Id
	if _, err := c.Lit.UpdateAccount(ctx, req); err != nil {
		return err
	}
	if found, err = c.Accounts.Get(ctx, &leydenv1.AccountRequest{Account: req.Id}); err != nil {
		return err
	}
	app.printAccount(found.Account)
	return nil
}

// change is one of the two commands that change a balance.
type change struct {
	name, short string
	backing     bool // has --require_backing
	do          func(*api.Client, context.Context, *leydenv1.AmountRequest) (*leydenv1.Account, error)
}

var (
	credit = change{"credit", "Raise an account's balance", true,
		func(c *api.Client, ctx context.Context, req *leydenv1.AmountRequest) (*leydenv1.Account, error) {
			return c.Accounts.Credit(ctx, req)
		}}
	debit = change{"debit", "Lower an account's balance, never below what payments in flight hold", false,
		func(c *api.Client, ctx context.Context, req *leydenv1.AmountRequest) (*leydenv1.Account, error) {
			return c.Accounts.Debit(ctx, req)
		}}
)

func accountsAmountCmd(app *App, t *target, how change) *cobra.Command {
	var w who
	var given string
	req := &leydenv1.AmountRequest{}
	cmd := &cobra.Command{
		Use:   how.name + " ID|LABEL AMOUNT",
		Short: how.short,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, rest, err := w.take(cmd, args)
			if err != nil {
				return err
			}
			rest = append(rest, optional(given)...)
			if len(rest) != 1 {
				return voice.UsageError(cmd, fmt.Errorf("want an account and an amount of sat"))
			}
			sat, err := amount(cmd, "amount", rest[0])
			if err != nil {
				return err
			}
			req.Account, req.AmountMsat = name, sat*1000
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				changed, err := how.do(c, ctx, req)
				if err != nil {
					return err
				}
				app.printAccount(changed)
				return nil
			})
		},
	}
	w.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&given, "amount", "", "the amount in sat, instead of the argument")
	f.StringVar(&req.Key, "key", "", "a name for this change: repeated with the same name it takes effect once")
	if how.backing {
		f.BoolVar(&req.RequireBacking, "require_backing", false, "refuse if all balances together would exceed what the node owns in its channels")
	}
	return cmd
}
