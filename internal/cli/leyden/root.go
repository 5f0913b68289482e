// Package leyden is the command line of the operator's program: commands
// parse, call one function, and print. What they do lives in the packages they
// call; exit statuses and the voice of errors live in internal/cli/voice.
package leyden

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/buildinfo"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/config"
)

// App is what every command needs. Its fields are set before a command runs.
type App struct {
	// Home is Leyden's folder (--home, LEYDEN_HOME, ~/.leyden).
	Home config.Home

	// JSON asks for JSON output (--json), which is also what a pipe gets.
	JSON bool

	// In, Out and Err are the process's streams.
	In       io.Reader
	Out, Err io.Writer

	// Hangup, if set, catches SIGHUP from now on, for a command that reads its
	// configuration again then.
	Hangup func() <-chan os.Signal

	// Lncli runs the real lncli with the given arguments, program name
	// included, and ends the process. Set by main, which links lnd.
	Lncli func(args []string)
}

// Run parses args (without the program's name), runs the command and returns
// the exit status: 0 done, 1 failed, 2 wrong usage.
func Run(ctx context.Context, app *App, args []string) int {
	root := newRootCmd(app)
	root.SetArgs(args)
	root.SetIn(app.In)
	root.SetOut(app.Out)
	root.SetErr(app.Err)
	if !voice.IsTerminal(app.Out) {
		app.JSON = true // before parsing, so that a wrong command line is told in JSON too
	}
	err := root.ExecuteContext(ctx)
	return voice.Exit(app.Err, "leyden", app.JSON, err)
}

func newRootCmd(app *App) *cobra.Command {
	var home string
	root := &cobra.Command{
		Use:   "leyden",
		Short: "Lightning money for AI agents, inside limits they cannot exceed",
		Long: `leyden runs what an operator of paying and selling agents needs: a Lightning
node behind a front that decides, a signer that keeps its keys on another machine,
and a gate that charges for an HTTP service.`,
		Example: `  leyden demo                               see the whole loop on a private network
  leyden signer init                        make the keys, on a machine of their own
  leyden node import --bundle FILE          take over what the signer gave for the node
  leyden node create                        make a node's wallet
  leyden node start --detach                run the node
  leyden gate init && leyden gate start     charge for an HTTP service
  leyden lncli getinfo                      lncli, pointed at our node
  leyden doctor                             look for what is unsafe or broken`,
		Version:          buildinfo.Version() + " commit " + buildinfo.Commit(),
		TraverseChildren: true, // so that lncli gets only what follows it
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			resolved, err := config.ResolveHome(home)
			if err != nil {
				return err
			}
			app.Home = resolved
			return nil
		},
	}
	root.SetFlagErrorFunc(voice.UsageError)
	root.PersistentFlags().StringVar(&home, "home", "", "Leyden's folder (default $LEYDEN_HOME or ~/.leyden)")
	root.PersistentFlags().BoolVar(&app.JSON, "json", false, "print JSON (the default when the output is no terminal)")
	root.AddCommand(newNodeCmd(app), newSignerCmd(app), newLncliCmd(app), newGateCmd(app), newMailboxCmd(app), newAccountsCmd(app), newSessionsCmd(app), newFreezeCmd(app), newThawCmd(app), newAuditCmd(app), newGuardCmd(app), newBakeCmd(app), newDevnetCmd(app), newDemoCmd(app), newDoctorCmd(app))
	voice.Group(root)
	for _, cmd := range root.Commands() {
		if cmd.HasSubCommands() && cmd.RunE == nil {
			voice.Group(cmd)
		}
	}
	return root
}
