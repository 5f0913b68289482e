package leyden

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/gate"
)

func gateReloadCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the running gate read its configuration again, without losing a request",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := gate.Reload(cmd.Context(), app.Home); err != nil {
				return err
			}
			return app.done("reloaded", "the gate goes by the new configuration")
		},
	}
}

// done prints that something was done.
func (app *App) done(key, sentence string) error {
	if app.JSON {
		voice.PrintJSON(app.Out, map[string]bool{key: true})
		return nil
	}
	fmt.Fprintln(app.Out, sentence)
	return nil
}

func gateRotateKeyCmd(app *App) *cobra.Command {
	var (
		config        string
		dropOld, sure bool
	)
	cmd := &cobra.Command{
		Use:   "rotate-key",
		Short: "Make a new master key, which mints at once; tokens sold before stay good",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dropOld && !sure {
				if err := app.confirm("Every token sold so far becomes worthless, and those who paid for one have to pay again."); err != nil {
					return err
				}
			}
			r, err := gate.RotateKey(cmd.Context(), app.Home, config, dropOld)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, r)
				return nil
			}
			fmt.Fprintf(app.Out, "key %s mints; older keys: %d kept, %d dropped. Back the key file up.\n", r.KeyID, r.Kept, r.Dropped)
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	cmd.Flags().BoolVar(&dropOld, "drop-old", false, "drop the older keys: every token sold so far becomes worthless")
	cmd.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return cmd
}

// confirm asks a person. Without a terminal nobody can be asked.
func (app *App) confirm(consequence string) error {
	if !voice.IsTerminal(app.Out) {
		return fault.New("needs_confirmation", "--yes says that you mean it", "%s", strings.ToLower(consequence[:1])+strings.TrimSuffix(consequence[1:], "."))
	}
	fmt.Fprintf(app.Out, "%s Go on? [y/N] ", consequence)
	answer, err := bufio.NewReader(app.In).ReadString('\n')
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return fault.New("needs_confirmation", "--yes says that you mean it", "nothing was changed")
	}
	return nil
}
