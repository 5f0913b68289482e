package leyden

import (
	"github.com/spf13/cobra"
)

func newNodeCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a Lightning node behind its front",
		Example: `  leyden node import --bundle credentials-bundle.tar.gz.b64
  leyden node create
  leyden node start --detach --signer-host signer.example:10012
  leyden node status
  leyden node stop`,
	}
	parent := nodeParent(app)
	cmd.AddCommand(nodeImportCmd(app), nodeCreateCmd(app), nodeStartCmd(app), nodeStopCmd(app), parent.statusCmd(),
		parent.unlockCmd(), nodeMigrateCmd(app), parent.changePasswordCmd(), nodeBackupCmd(app))
	return cmd
}
