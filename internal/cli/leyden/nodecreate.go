package leyden

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/node"
)

func nodeCreateCmd(app *App) *cobra.Command {
	var n node.NewNode
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make the node's wallet",
		Long: `Makes the node's wallet, and remembers network, backend and profiles for every
start. The password is made and written to wallet-password.txt unless a file
is given. On a terminal the 24 words of the seed are shown once; otherwise, or
with --seed-file, they are written to a file of mode 0600.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n.SeedFile == "" && voice.IsTerminal(app.Out) && !app.JSON {
				n.ShowSeed = app.showSeed
			} else if n.SeedFile == "" {
				n.SeedFile = node.DefaultSeedFile(app.Home)
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
			fmt.Fprintf(app.Out, "next:     leyden node start\n")
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Mode, "mode", "standalone", "standalone: the node holds its own keys")
	f.StringVar(&n.Network, "network", "", "mainnet, testnet, testnet4, signet, regtest or simnet (default: lnd.conf's, else mainnet)")
	f.StringVar(&n.Backend, "backend", "", "neutrino, btcd or bitcoind (default: lnd.conf's, else neutrino)")
	f.StringArrayVar(&n.Profiles, "profile", nil, "default, debug, wumbo or taproot; may be repeated")
	f.StringVar(&n.PasswordFile, "password-file", "", "file with the wallet's password, mode 0600")
	f.StringVar(&n.SeedFile, "seed-file", "", "write the seed's 24 words to this file, mode 0600")
	f.StringVar(&n.RestoreFile, "restore-seed-file", "", "restore the wallet whose 24 words are in this file, mode 0600")
	return cmd
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
