package leyden

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// issue is one of the two commands that make a macaroon.
type issue struct {
	name, short, long string
	do                func(*api.Client, context.Context, *leydenv1.AccountRequest) (*leydenv1.MacaroonResponse, error)
}

var (
	reissue = issue{"macaroon", "Make one more macaroon for an account",
		"Makes one more macaroon for an account whose file was lost. Those there are stay good:\nto end them, rotate.",
		func(c *api.Client, ctx context.Context, req *leydenv1.AccountRequest) (*leydenv1.MacaroonResponse, error) {
			return c.Accounts.Issue(ctx, req)
		}}
	rotate = issue{"rotate", "End all macaroons of an account and make a new one",
		"Ends all macaroons of an account, also those made by hand, and makes a new one.\nBalance, limits and history stay.",
		func(c *api.Client, ctx context.Context, req *leydenv1.AccountRequest) (*leydenv1.MacaroonResponse, error) {
			return c.Accounts.Rotate(ctx, req)
		}}
)

func accountsMacaroonCmd(app *App, t *target, how issue) *cobra.Command {
	var w who
	var saveTo string
	cmd := &cobra.Command{
		Use:   how.name + " ID|LABEL",
		Short: how.short,
		Long:  how.long,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := w.only(cmd, args)
			if err != nil {
				return err
			}
			if err := replaceable(saveTo); err != nil {
				return err
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				got, err := how.do(c, ctx, &leydenv1.AccountRequest{Account: name})
				if err != nil {
					return err
				}
				return app.handOver(got.Account, got.Macaroon, saveTo)
			})
		},
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&saveTo, "save_to", "", "write the macaroon to this file, mode 0600, in place of an account's macaroon if there is one")
	return cmd
}
