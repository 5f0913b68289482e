package leyden

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/node"
)

func nodeImportCmd(app *App) *cobra.Command {
	var path, network string
	cmd := &cobra.Command{
		Use:   "import --bundle FILE|-",
		Short: "Take over the bundle of a signer",
		Long: `Checks the credentials bundle that leyden signer init (or export) made, and
keeps it for a watch-only node: public keys, the signer's certificate, and a
macaroon with which it signs. The bundle is a folder, a .tar.gz, its base64 text
in a file, or that text on standard input (-).

A node that has its wallet takes a further bundle of the same signer, with a new
certificate or macaroon.`,
		Example: `  leyden node import --bundle credentials-bundle.tar.gz.b64
  leyden node import --bundle - --network testnet`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if path == "" {
				return fault.New("no_bundle", "leyden node import --bundle FILE", "which bundle to import was not said")
			}
			done, err := node.Import(app.Home, path, app.In, network)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, done)
				return nil
			}
			fmt.Fprintf(app.Out, "bundle of a %s signer kept in %s\n", done.Network, done.Dir)
			switch {
			case done.Wallet && done.Mode == node.Standalone:
				fmt.Fprintln(app.Out, "next:     leyden node stop, then leyden node migrate --signer-host HOST:"+lnd.DefaultSignerPort)
			case done.Running:
				fmt.Fprintln(app.Out, "the running node takes it over by itself")
			case done.Wallet:
				fmt.Fprintln(app.Out, "next:     leyden node start --detach")
			default:
				fmt.Fprintln(app.Out, "next:     leyden node create")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "bundle", "", "folder, .tar.gz, base64 text, or - for standard input")
	cmd.Flags().StringVar(&network, "network", "", "the signer's network (default: lnd.conf's, else mainnet)")
	return cmd
}
