package leyden

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
)

func bakeRotateCmd(app *App, t *bakeTarget) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "rotate FILE",
		Short: "Put a new macaroon in a file, and end the old one",
		Long: `Puts a macaroon with a new root key, the same permissions and the same caveats into
the file, and ends the old one. Whoever uses the file reads it again.`,
		Args: voice.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.atOven(cmd, t, func(ctx context.Context, o *oven) error {
				made, err := o.Rotate(ctx, args[0], force)
				if err != nil {
					return err
				}
				return app.printBaked(made, 0)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also a macaroon that leyden bake has not made, if the node accepts it; ends all of its root key")
	return cmd
}

func bakeRevokeCmd(app *App, t *bakeTarget) *cobra.Command {
	var id uint64
	var force bool
	cmd := &cobra.Command{
		Use:   "revoke FILE | --root-key-id N",
		Short: "End a macaroon",
		Long: `Ends a macaroon at the node, at once. At our node its open calls end as well; a
payment that is under way goes on. The file stays. Give the root key's id if the
file is lost: leyden bake list has it.`,
		Args: voice.Args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			byID := cmd.Flags().Changed("root-key-id")
			if byID == (len(args) == 1) {
				return voice.UsageError(cmd, fmt.Errorf("give either a file or --root-key-id"))
			}
			return app.atOven(cmd, t, func(ctx context.Context, o *oven) (err error) {
				if byID {
					err = o.Revoke(ctx, id, force)
				} else {
					id, err = o.RevokeFile(ctx, args[0], force)
				}
				if err != nil {
					return err
				}
				if app.JSON {
					voice.PrintJSON(app.Out, map[string]string{"revoked_root_key_id": fmt.Sprint(id)})
					return nil
				}
				fmt.Fprintf(app.Out, "root key %d and every macaroon on it are revoked\n", id)
				return nil
			})
		},
	}
	cmd.Flags().Uint64Var(&id, "root-key-id", 0, "the root key, if there is no file")
	cmd.Flags().BoolVar(&force, "force", false, "also a root key that leyden bake has not made")
	return cmd
}
