package leyden

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/node"
)

func newLncliCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "lncli [arguments of lncli]",
		Short: "The real lncli, pointed at our node",
		Long: `Runs the real lncli with the address, certificate and admin macaroon of our
node. Where there is no node but a devnet runs, it asks the devnet's first one.`,
		Example: `  leyden lncli getinfo
  leyden lncli openchannel --node_key=… --local_amt=100000`,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if asksForHelp(args) {
				app.Lncli(append([]string{"lncli"}, args...))
				return nil
			}
			if instead, ok := ourWallet[args[0]]; ok {
				return fault.New("method_blocked", instead, "lncli %s never passes the node's front", args[0])
			}
			flags, err := app.lncliFlags()
			if err != nil {
				return err
			}
			app.Lncli(append(append([]string{"lncli"}, flags...), args...))
			return nil
		},
	}
}

// lncliFlags point at the node of our home; where there is none but a devnet
// runs, at its first node.
func (app *App) lncliFlags() ([]string, error) {
	flags, err := node.Lncli(app.Home)
	if fault.Code(err) != "no_wallet" || !devnet.Running(app.Home) {
		return flags, err
	}
	first := devnet.NodeName(0)
	fmt.Fprintf(app.Err, "leyden: there is no node in %s: this is %s of the devnet\n", app.Home.Node(), first)
	return node.Lncli(devnet.NodeHome(app.Home, first))
}

// ourWallet has lncli's commands that the front refuses, and what to type
// instead: said before lncli asks for a password.
var ourWallet = map[string]string{
	"create":          "leyden node create",
	"createwatchonly": "leyden node create",
	"unlock":          "leyden node unlock",
	"changepassword":  "leyden node change-password",
}

// asksForHelp says whether lncli would only print its help, which needs no
// node.
func asksForHelp(args []string) bool {
	return len(args) == 0 || slices.ContainsFunc(args, func(arg string) bool {
		return arg == "--help" || arg == "-h" || arg == "--version"
	}) || args[0] == "help" || args[0] == "-v"
}
