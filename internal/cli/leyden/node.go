package leyden

import (
	"github.com/spf13/cobra"
)

func newNodeCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a Lightning node behind its front",
		Example: `  leyden node create --mode standalone --network regtest
  leyden node start --detach --backend btcd -- --btcd.rpchost=127.0.0.1:18334
  leyden node status
  leyden node stop`,
	}
	cmd.AddCommand(nodeCreateCmd(app), nodeStartCmd(app), nodeStopCmd(app), nodeStatusCmd(app), nodeUnlockCmd(app), nodeChangePasswordCmd(app))
	return cmd
}
