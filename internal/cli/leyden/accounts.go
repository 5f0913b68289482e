package leyden

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

func newAccountsCmd(app *App) *cobra.Command {
	t := new(target)
	cmd := &cobra.Command{
		Use:     "accounts",
		Aliases: []string{"a"},
		Short:   "Spending accounts: balances and limits that an agent cannot exceed",
		Long: `An account is a balance with limits, and a macaroon that is held to it. Whoever
has the macaroon pays with any lnd client, up to the balance and within the
limits, and sees only the account's own payments and invoices.

An account is named by its id (16 hex digits) or its label. Amounts are sat.`,
		Example: `  leyden accounts create 50000 --label agent --max_payment 500 --limit_day 5000 --save_to agent.macaroon
  leyden accounts list
  leyden accounts credit agent 10000
  leyden accounts limits agent --limit_day 20000
  leyden accounts rotate agent --save_to agent.macaroon
  leyden freeze agent`,
	}
	cmd.AddCommand(
		accountsCreateCmd(app, t), accountsListCmd(app, t), accountsInfoCmd(app, t), accountsUpdateCmd(app, t),
		accountsAmountCmd(app, t, credit), accountsAmountCmd(app, t, debit), accountsRemoveCmd(app, t),
		accountsMacaroonCmd(app, t, reissue), accountsMacaroonCmd(app, t, rotate), accountsQRCmd(app, t),
		accountsPaymentsCmd(app, t), accountsReleaseCmd(app, t), accountsLimitsCmd(app, t), accountsCheckCmd(app, t),
	)
	t.flags(cmd)
	return cmd
}

// who is an account as named on the command line: by the first argument, or by
// one of litcli's flags.
type who struct{ id, label string }

func (w *who) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.id, "id", "", "the account's id, instead of the argument")
	cmd.Flags().StringVar(&w.label, "label", "", "the account's label, instead of the argument")
	cmd.Flags().StringVar(&w.id, "account_id", "", "the same as --id")
}

// take returns the account's name and the arguments after it.
func (w *who) take(cmd *cobra.Command, args []string) (name string, rest []string, err error) {
	switch {
	case w.id != "" && w.label != "":
		return "", nil, voice.UsageError(cmd, fmt.Errorf("name the account by --id or by --label, not both"))
	case w.id+w.label != "":
		return w.id + w.label, args, nil
	case len(args) == 0:
		return "", nil, voice.UsageError(cmd, fmt.Errorf("name an account by its id or label"))
	}
	return args[0], args[1:], nil
}

// only is take for commands that want nothing else.
func (w *who) only(cmd *cobra.Command, args []string) (string, error) {
	name, rest, err := w.take(cmd, args)
	if err == nil && len(rest) > 0 {
		err = voice.UsageError(cmd, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	return name, err
}

// amount reads a number of sat.
func amount(cmd *cobra.Command, what, text string) (uint64, error) {
	sat, err := strconv.ParseUint(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && sat > maxSat:
		return 0, voice.UsageError(cmd, fmt.Errorf("%s %q: there are no more than %d sat", what, text, maxSat))
	case err != nil:
		return 0, voice.UsageError(cmd, fmt.Errorf("%s %q: want a whole number of sat", what, text))
	}
	return sat, nil
}

func accountsListCmd(app *App, t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"l"},
		Short:   "List the accounts",
		Args:    voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				list, err := c.Accounts.List(ctx, &leydenv1.ListRequest{})
				if err != nil {
					return err
				}
				status, err := c.Accounts.Status(ctx, &leydenv1.StatusRequest{})
				if err != nil {
					return err
				}
				app.printAccounts(list.Accounts, status.FrozenAll)
				return nil
			})
		},
	}
}

func accountsInfoCmd(app *App, t *target) *cobra.Command {
	var w who
	cmd := &cobra.Command{
		Use:     "info ID|LABEL",
		Aliases: []string{"i"},
		Short:   "Show one account",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := w.only(cmd, args)
			if err != nil {
				return err
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				got, err := c.Accounts.Get(ctx, &leydenv1.AccountRequest{Account: name})
				if err != nil {
					return err
				}
				status, err := c.Accounts.Status(ctx, &leydenv1.StatusRequest{})
				if err != nil {
					return err
				}
				app.printInfo(got)
				app.warnFrozen(status.FrozenAll)
				return nil
			})
		},
	}
	w.flags(cmd)
	return cmd
}

func accountsRemoveCmd(app *App, t *target) *cobra.Command {
	var w who
	cmd := &cobra.Command{
		Use:     "remove ID|LABEL",
		Aliases: []string{"r"},
		Short:   "End an account, its macaroons and its open invoices",
		Long: `Ends an account. Its macaroons are void at once, its open invoices are
cancelled, and what is left of its balance is yours again. Refused while one of
its payments is in flight.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := w.only(cmd, args)
			if err != nil {
				return err
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				removed, err := c.Accounts.Remove(ctx, &leydenv1.AccountRequest{Account: name})
				if err != nil {
					return err
				}
				if app.JSON {
					voice.PrintJSON(app.Out, map[string]any{"removed": true, "id": removed.Id})
					return nil
				}
				fmt.Fprintf(app.Out, "account %s is removed\n", called(removed))
				return nil
			})
		},
	}
	w.flags(cmd)
	return cmd
}
