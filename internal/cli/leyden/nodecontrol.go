package leyden

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/node"
)

func nodeStopCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the node in order",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), nodeStopTimeout)
			defer cancel()
			if err := node.Stop(ctx, app.Home); err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]bool{"stopped": true})
				return nil
			}
			fmt.Fprintln(app.Out, "node stopped")
			return nil
		},
	}
}

// nodeParent is the node as the parent of an lnd.
func nodeParent(app *App) parent[node.Running] {
	return parent[node.Running]{
		app: app, name: "node", print: app.printNode,
		status: node.Status, unlock: node.Unlock, change: node.ChangePassword,
	}
}
