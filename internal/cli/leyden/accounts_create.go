package leyden

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

func accountsCreateCmd(app *App, t *target) *cobra.Command {
	var balance, expires, saveTo string
	var limits limitFlags
	req := &leydenv1.CreateRequest{}
	cmd := &cobra.Command{
		Use:     "create BALANCE [EXPIRATION]",
		Aliases: []string{"c"},
		Short:   "Make an account and its macaroon",
		Long: `Makes an account that owns BALANCE sat of this node, and the macaroon that is
held to it: whoever has that file can spend so much and no more. EXPIRATION is a
date, a span of time (30d), or seconds since 1970; 0 is never.

The macaroon is printed once, or with --save_to written to a new file of mode
0600.`,
		Example: `  leyden accounts create 50000 --save_to /tmp/user.macaroon
  leyden accounts create 50000 30d --label agent --max_payment 500 --limit_day 5000 --save_to agent.macaroon`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			args = append(optional(balance), append(args, optional(expires)...)...)
			if len(args) == 0 || len(args) > 2 {
				return voice.UsageError(cmd, fmt.Errorf("want a balance and perhaps an expiration, got %d arguments", len(args)))
			}
			if req.BalanceMsat, err = amount(cmd, "balance", args[0]); err != nil {
				return err
			}
			req.BalanceMsat *= 1000
			if len(args) == 2 {
				if req.Expires, err = expiration(cmd, args[1]); err != nil {
					return err
				}
				if req.Expires != 0 && req.Expires <= time.Now().Unix() {
					return voice.UsageError(cmd, fmt.Errorf("expiration %q is past: the account could pay nothing", args[1]))
				}
			}
			if req.Limits, err = limits.read(cmd); err != nil {
				return err
			}
			if err := free(saveTo); err != nil {
				return err
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				made, err := c.Accounts.Create(ctx, req)
				if err != nil {
					return err
				}
				return app.handOver(made.Account, made.Macaroon, saveTo)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&balance, "balance", "", "the balance in sat, instead of the argument")
	f.StringVar(&expires, "expiration_date", "", "when the account ends, instead of the argument")
	f.StringVar(&req.Label, "label", "", "a name for the account, unique among accounts")
	f.StringVar(&saveTo, "save_to", "", "write the macaroon to this new file, mode 0600")
	f.BoolVar(&req.RequireBacking, "require_backing", false, "refuse if all balances together would exceed what the node owns in its channels")
	limits.flags(cmd)
	return cmd
}

func optional(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// expiration reads a date, a span from now, or Unix seconds, as litcli takes
// them; 0 and never are never.
func expiration(cmd *cobra.Command, text string) (unix int64, err error) {
	if text == "never" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	if d, err := span(text); err == nil && d > 0 {
		return time.Now().Add(d).Unix(), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at.Unix(), nil
		}
	}
	return 0, voice.UsageError(cmd, fmt.Errorf("expiration %q: want a date (2027-01-31), a span of time (30d), seconds since 1970, or 0 for never", text))
}

// span reads a span of time, with days (30d) and weeks (2w) as well.
func span(text string) (time.Duration, error) {
	for unit, hours := range map[string]int64{"d": 24, "w": 7 * 24} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseUint(number, 10, 16)
			if err != nil {
				return 0, fmt.Errorf("span of time %q", text)
			}
			return time.Duration(n) * time.Duration(hours) * time.Hour, nil
		}
	}
	return time.ParseDuration(text)
}
