package leyden

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// bakeFlags are those of leyden bake itself.
type bakeFlags struct {
	role, saveTo, expires, ip, ipRange string

	custom    []string
	rootKeyID uint64
	force     bool
}

func newBakeCmd(app *App) *cobra.Command {
	t := new(bakeTarget)
	var f bakeFlags
	cmd := &cobra.Command{
		Use:   "bake --role ROLE | --custom URI...",
		Short: "Make macaroons that allow one task and nothing else",
		Long: "Makes a macaroon that allows what a role needs and nothing more, on a root key of\n" +
			"its own, so that it can be revoked alone. A macaroon spends without a limit: an\n" +
			"agent that pays is better given an account (leyden accounts create).\n\nRoles:\n" + roleHelp(),
		Example: `  leyden bake --role pay-only
  leyden bake --role invoice-only --expires 30d --ip 192.0.2.7 --save-to seller.macaroon
  leyden bake --custom /lnrpc.Lightning/GetInfo --custom /lnrpc.Lightning/AddInvoice
  leyden bake inspect seller.macaroon
  leyden bake rotate seller.macaroon`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && cmd.Flags().NFlag() == 0 {
				return cmd.Help()
			}
			if err := f.complete(cmd, args); err != nil {
				return err
			}
			return app.bake(cmd, t, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.role, "role", "", "the role")
	flags.StringSliceVar(&f.custom, "custom", nil, "methods instead of a role, as full gRPC paths")
	flags.StringVar(&f.saveTo, "save-to", "", "the macaroon's file, mode 0600 (default: ROLE.macaroon beside the node's own)")
	flags.BoolVar(&f.force, "force", false, "replace the macaroon in that file, which stays good")
	flags.StringVar(&f.expires, "expires", "", "when it ends: a span of time (30d), a date, or seconds since 1970 (default: never)")
	flags.StringVar(&f.ip, "ip", "", "the one address that it works from")
	flags.StringVar(&f.ipRange, "ip-range", "", "the network that it works from, such as 192.0.2.0/24")
	flags.Uint64Var(&f.rootKeyID, "root-key-id", 0, "a root key that is not in use (default: a random one)")
	t.flags(cmd)
	cmd.AddCommand(bakeInspectCmd(app), bakePermissionsCmd(app, t), bakeListCmd(app), bakeRotateCmd(app, t), bakeRevokeCmd(app, t))
	return cmd
}

func roleHelp() string {
	var b strings.Builder
	for _, r := range bakery.Roles() {
		fmt.Fprintf(&b, "  %-14s for %s\n", r.Name, r.For)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// complete takes the arguments after --custom for more of the same.
func (f *bakeFlags) complete(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && len(f.custom) == 0 {
		return voice.UsageError(cmd, fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath()))
	}
	f.custom = append(f.custom, args...)
	if (f.role == "") == (len(f.custom) == 0) {
		return voice.UsageError(cmd, fmt.Errorf("give either --role or --custom"))
	}
	if f.rootKeyID == 0 && cmd.Flags().Changed("root-key-id") {
		return voice.UsageError(cmd, fmt.Errorf("root key 0 is the node's own macaroons', and cannot be revoked"))
	}
	return nil
}

func (app *App) bake(cmd *cobra.Command, t *bakeTarget, f bakeFlags) error {
	order := bakery.Order{Role: bakery.CustomRole, RootKeyID: f.rootKeyID, File: f.saveTo, Overwrite: f.force}
	resolve := func(offer bakery.Offer) ([]macaroon.Permission, error) { return bakery.Custom(f.custom, offer) }
	if f.role != "" {
		role, err := bakery.RoleNamed(f.role)
		if err != nil {
			return err
		}
		order.Role = role.Name
		resolve = func(offer bakery.Offer) ([]macaroon.Permission, error) { return bakery.Resolve(role, offer) }
	}
	var err error
	if order.Bounds, err = bakery.ParseBounds(f.ip, f.ipRange); err != nil {
		return err
	}
	if f.expires != "" {
		unix, err := expiration(cmd, f.expires)
		if err != nil {
			return err
		}
		if unix != 0 {
			order.Bounds.Expires = time.Unix(unix, 0)
		}
	}
	return app.atOven(cmd, t, func(ctx context.Context, o *oven) error {
		if order.File == "" {
			if o.dir == "" {
				return voice.UsageError(cmd, fmt.Errorf("give the macaroon's file: --save-to"))
			}
			order.File = filepath.Join(o.dir, order.Role+".macaroon")
		}
		offer, err := o.offer(ctx)
		if err != nil {
			return err
		}
		if order.Permissions, err = resolve(offer); err != nil {
			return err
		}
		made, err := o.Bake(ctx, order)
		if err != nil {
			return err
		}
		return app.printBaked(made.Record, made.Overwrote)
	})
}
