package leyden

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/node"
)

func nodeCreateCmd(app *App) *cobra.Command {
	var n node.NewNode
	var birthday string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make the node's wallet",
		Long: `Makes the node's wallet, and remembers network, backend and profiles for every
start. The password is made and written to wallet-password.txt unless a file
is given.

A watch-only node, the default, is made of the bundle of its signer: see leyden
node import. With --mode standalone the keys are on this machine: on a terminal
the 24 words of the seed are shown once; otherwise, or with --seed-file, they
are written to a file of mode 0600.`,
		Example: `  leyden node import --bundle credentials-bundle && leyden node create
  leyden node create --mode standalone --network testnet
  leyden node create --mode standalone --restore-seed-file seed.txt`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := parseBirthday(birthday, &n.Birthday); err != nil {
				return err
			}
			if n.Mode == node.Standalone && n.SeedFile == "" {
				app.keepSeed(&n)
			}
			created, err := node.Create(cmd.Context(), app.Home, n, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, created)
				return nil
			}
			fmt.Fprintf(app.Out, "wallet made for %s in %s\npassword: %s\n", created.Network, created.Dir, created.PasswordFile)
			if created.SeedFile != "" {
				fmt.Fprintf(app.Out, "seed:     %s (move it to a safe place)\n", created.SeedFile)
			}
			fmt.Fprintf(app.Out, "next:     %s\n", startCommand(created.Mode))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Mode, "mode", node.WatchOnly, "watchonly: the keys are on a signer; standalone: the node holds its own keys")
	f.StringVar(&birthday, "birthday", "", "the day on which a signer's seed was first used, YYYY-MM-DD, to find its earlier coins (default: it was not)")
	f.StringVar(&n.Network, "network", "", "mainnet, testnet, testnet4, signet, regtest or simnet (default: lnd.conf's, else mainnet)")
	f.StringVar(&n.Backend, "backend", "", "neutrino, btcd or bitcoind (default: lnd.conf's, else neutrino)")
	f.StringArrayVar(&n.Profiles, "profile", nil, "default, debug, wumbo or taproot; may be repeated")
	f.StringVar(&n.PasswordFile, "password-file", "", "file with the wallet's password, mode 0600")
	f.StringVar(&n.SeedFile, "seed-file", "", "write the seed's 24 words to this file, mode 0600")
	f.StringVar(&n.RestoreFile, "restore-seed-file", "", "restore the wallet whose 24 words are in this file, mode 0600")
	return cmd
}

// keepSeed shows a seed to a person, and else has it written down.
func (app *App) keepSeed(n *node.NewNode) {
	if voice.IsTerminal(app.Out) && !app.JSON {
		n.ShowSeed = app.showSeed
	} else {
		n.SeedFile = node.DefaultSeedFile(app.Home)
	}
}

// startCommand is what to type after a wallet was made.
func startCommand(mode string) string {
	if mode == node.WatchOnly {
		return "leyden node start --detach --signer-host HOST:" + lnd.DefaultSignerPort
	}
	return "leyden node start --detach"
}

// parseBirthday reads a day, if one was given.
func parseBirthday(text string, into *time.Time) (err error) {
	if text == "" {
		return nil
	}
	if *into, err = time.Parse(time.DateOnly, text); err != nil || into.After(time.Now()) {
		return fault.New("bad_birthday", "write it as 2024-05-31", "--birthday %q is no day of the past", text)
	}
	return nil
}

// showSeed prints the words once, numbered as lncli does.
func (app *App) showSeed(words []string) error {
	fmt.Fprintln(app.Out, "The seed of the wallet. Write it down now: it is shown once and kept nowhere.")
	for i, word := range words {
		end := " "
		if i%4 == 3 {
			end = "\n"
		}
		if _, err := fmt.Fprintf(app.Out, "%2d. %-12s%s", i+1, word, end); err != nil {
			return err
		}
	}
	return nil
}
