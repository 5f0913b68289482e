package leyden

import (
	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/node"
)

func newLncliCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "lncli [arguments of lncli]",
		Short: "The real lncli, pointed at our node",
		Example: `  leyden lncli getinfo
  leyden lncli openchannel --node_key=… --local_amt=100000`,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			flags, err := node.Lncli(app.Home)
			if err != nil {
				return err
			}
			app.Lncli(append(append([]string{"lncli"}, flags...), args...))
			return nil
		},
	}
}
