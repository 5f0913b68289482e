package leyden

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/node"
)

func nodeMigrateCmd(app *App) *cobra.Command {
	var host, password string
	var yes bool
	cmd := &cobra.Command{
		Use:   "migrate --signer-host HOST:PORT",
		Short: "Take the keys out of a standalone node whose seed is on a signer now",
		Long: `Makes a stopped standalone node a watch-only one: its channels stay, its private
keys go. The signer must have the same seed (leyden signer init --seed-file), and
its bundle must have been imported. It proves that it holds the keys first, and
every account of the wallet is compared. This cannot be undone without the seed.`,
		Example: `  leyden node import --bundle credentials-bundle.tar.gz.b64
  leyden node migrate --signer-host signer.example:10012`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				if err := app.confirm("The private keys in this node's wallet are deleted; only the signer, or the seed's words, has them then."); err != nil {
					return err
				}
			}
			done, err := node.Migrate(cmd.Context(), app.Home, host, password, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, done)
				return nil
			}
			fmt.Fprintf(app.Out, "no private key is left in the wallet; %s signs from now on\n", done.Signer)
			if done.SeedFile != "" {
				fmt.Fprintf(app.Out, "seed:     %s still has the words: move it off this machine\n", done.SeedFile)
			}
			fmt.Fprintln(app.Out, "next:     leyden node start --detach")
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&host, "signer-host", "", "where the signer is, host:port")
	f.StringVar(&password, "password-file", "", "file with the wallet's password, mode 0600 (default: the one a start uses)")
	f.BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
