package leyden

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/guardpost"
)

// source is where an answer comes from.
type source string

const (
	fromNode source = "node"
	fromFile source = "file"
)

// live asks the running node, or has read take it from the guard's database
// while none runs.
func (app *App) live(
	cmd *cobra.Command, t *target,
	ask func(context.Context, *api.Client) error, read func(context.Context, *account.Ledger) error,
) error {
	err := app.call(cmd, t, ask)
	if fault.Code(err) != "not_running" {
		return err
	}
	return guardpost.Offline(cmd.Context(), app.Home.Guard(), func(path string, l *account.Ledger) error {
		if !app.JSON {
			fmt.Fprintf(app.Err, "no node is running: reading %s\n", path)
		}
		return read(cmd.Context(), l)
	})
}
