package leyden

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/signer"
)

func signerStopCmd(app *App) *cobra.Command {
	var clean, yes bool
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the signer in order",
		Long: `Stops the signer in order. With --clean it then deletes the signer's folder, its
wallet, password, seed and bundle among it, once "delete" has been typed: without
a copy of the seed's words, all coins of the node are lost.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if clean && !yes {
				if err := app.confirmClean(); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), nodeStopTimeout)
			defer cancel()
			err := signer.Stop(ctx, app.Home)
			stopped := err == nil
			if clean && (stopped || fault.Code(err) == "not_running") {
				err = signer.Clean(ctx, app.Home)
			}
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]bool{"stopped": stopped, "deleted": clean})
				return nil
			}
			if stopped {
				fmt.Fprintln(app.Out, "signer stopped")
			}
			if clean {
				fmt.Fprintln(app.Out, "signer deleted")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&clean, "clean", false, "delete wallet, seed and bundle afterwards; asks first")
	cmd.Flags().BoolVar(&yes, "yes", false, "with --clean, do not ask")
	return cmd
}

// confirmClean asks before the keys are deleted.
func (app *App) confirmClean() error {
	in, ok := app.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fault.New("not_confirmed", "pass --yes", "no terminal to ask whether the keys may be deleted")
	}
	fmt.Fprintf(app.Err, "This deletes %s: the wallet, the seed's words and the bundle.\n"+
		"Without another copy of the words, all coins of the node are lost.\nType delete to go on: ", app.Home.Signer())
	line, _ := bufio.NewReader(in).ReadString('\n') // an end of input is no consent
	if strings.TrimSpace(line) != "delete" {
		return fault.New("not_confirmed", "type delete, or pass --yes", "nothing was stopped or deleted")
	}
	return nil
}

// signerParent is the signer as the parent of an lnd.
func signerParent(app *App) parent[signer.Running] {
	return parent[signer.Running]{
		app: app, name: "signer", print: app.printSigner,
		status: signer.Status, unlock: signer.Unlock, change: signer.ChangePassword,
	}
}
