package leyden

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

func accountsReleaseCmd(app *App, t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "release PAYMENT_HASH",
		Short: "Give up a payment in flight that lnd will never end",
		Long: `An lnd that was killed can leave a payment in flight though no channel holds an
HTLC of it; what it reserves then stays held. This releases it. It is refused
while an HTLC of it may be in a channel, and while its last attempt may be of the
present run of lnd: restart the node, or wait for a day. If lnd reports the
payment as made after all, within 30 days, the account is debited.`,
		Example: "  leyden accounts payments agent\n  leyden accounts release " + lntypes.ZeroHash.String(),
		Args:    voice.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			hash, err := hex.DecodeString(args[0])
			if err != nil || len(hash) != lntypes.HashSize {
				return voice.UsageError(cmd, fmt.Errorf("payment hash %q: want 64 hex digits", args[0]))
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				p, err := c.Accounts.Release(ctx, &leydenv1.ReleaseRequest{Hash: hash})
				if err != nil {
					return err
				}
				if app.JSON {
					voice.PrintJSON(app.Out, viewPayments([]*leydenv1.Payment{p})[0])
					return nil
				}
				fmt.Fprintf(app.Out, "released: the payment of %s sat of account %s is %s\n", sat(p.AmountMsat), p.Account, p.State)
				return nil
			})
		},
	}
}
