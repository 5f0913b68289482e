package leyden

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/signer"
)

func signerInitCmd(app *App) *cobra.Command {
	var n signer.NewSigner
	var noSeedFile, restore bool
	var ips, ranges []string
	cmd := &cobra.Command{
		Use:   "init [-- --lnd.option=value …]",
		Short: "Make the signer's wallet and its credentials bundle",
		Long: `Makes the wallet that holds the keys, and the bundle that a watch-only node
imports: public keys, the signer's certificate, and a macaroon that can only sign.
The password is made and written to wallet-password.txt unless a file is given;
the 24 words of a new seed are written to seed.txt, mode 0600. --seed-file writes
nothing: it names the words to restore.`,
		Example: `  leyden signer init --network testnet --allow-ip 192.0.2.7
  leyden signer init --seed-file seed.txt --allow-range 192.0.2.0/24`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			n.LND = args
			if given(cmd, "seed-file", "restore", "no-seed-file") > 1 {
				return voice.UsageError(cmd, errors.New("give one of --seed-file, --restore and --no-seed-file"))
			}
			if n.Bundle.AllowIP, n.Bundle.AllowRange, err = oneBound(ips, ranges); err != nil {
				return err
			}
			if restore {
				if n.Restore, err = app.askSeed(); err != nil {
					return err
				}
			}
			if noSeedFile {
				if err := app.canConfirm(); err != nil {
					return err
				}
				n.Confirm = app.confirmSeed
			}
			created, err := signer.Create(cmd.Context(), app.Home, n, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			app.printCreated(created)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Network, "network", "", "mainnet, testnet, testnet4, signet, regtest or simnet (default: signer-lnd.conf's, else mainnet)")
	f.StringVar(&n.PasswordFile, "password-file", "", "file with the wallet's password, mode 0600")
	f.StringVar(&n.RestoreFile, "seed-file", "", "restore the keys of the 24 words in this file, mode 0600")
	f.BoolVar(&restore, "restore", false, "restore the keys of 24 words that are asked for")
	f.StringVar(&n.PassphraseFile, "seed-passphrase-file", "", "file with the seed's own passphrase, mode 0600")
	f.BoolVar(&noSeedFile, "no-seed-file", false, "show the words of a new seed once, and keep them nowhere")
	f.StringArrayVar(&n.TLSExtraIPs, "tlsextraip", nil, "address by which the node reaches the signer, for the certificate")
	f.StringArrayVar(&n.TLSExtraDomains, "tlsextradomain", nil, "name by which the node reaches the signer, for the certificate")
	boundFlags(cmd, &ips, &ranges)
	return cmd
}

// given counts which of the flags were given.
func given(cmd *cobra.Command, flags ...string) (n int) {
	for _, name := range flags {
		if cmd.Flags().Changed(name) {
			n++
		}
	}
	return n
}

// boundFlags are those of every command that makes a bundle.
func boundFlags(cmd *cobra.Command, ips, ranges *[]string) {
	cmd.Flags().StringArrayVar(ips, "allow-ip", nil, "the one address that the node's macaroon works from")
	cmd.Flags().StringArrayVar(ranges, "allow-range", nil, "the one network (CIDR) that the node's macaroon works from")
}

// oneBound refuses several: lnd wants all caveats to hold at once.
func oneBound(ips, ranges []string) (ip, ipRange string, err error) {
	if len(ips) > 1 || len(ranges) > 1 {
		return "", "", fault.New("bad_bounds", "give one network that has them all: --allow-range 192.0.2.0/24",
			"a macaroon works from one address or one network")
	}
	return append(ips, "")[0], append(ranges, "")[0], nil
}

func (app *App) printCreated(c *signer.Created) {
	if app.JSON {
		voice.PrintJSON(app.Out, c)
		return
	}
	fmt.Fprintf(app.Out, "signer made for %s in %s\npassword: %s\n", c.Network, c.Dir, c.PasswordFile)
	if c.SeedFile != "" {
		fmt.Fprintf(app.Out, "seed:     %s (move it to a safe place)\n", c.SeedFile)
	}
	app.printExported(c.Exported)
	fmt.Fprintln(app.Out, "Here, next:\n  leyden signer start --detach")
}
