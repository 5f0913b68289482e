package leyden

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
)

// Time that a network may take to come up and to end.
const (
	devnetUpTimeout   = 5 * time.Minute
	devnetDownTimeout = 3 * time.Minute
	devnetAskTimeout  = 30 * time.Second
)

func newDevnetCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devnet",
		Short: "A private Lightning network on regtest to play with",
		Example: `  leyden devnet up                      two nodes, funded, with a channel
  leyden devnet up --signer             the first one watch-only, its keys on a signer
  leyden devnet mine 6
  leyden devnet status
  leyden devnet down --clean`,
	}
	cmd.AddCommand(devnetUpCmd(app), devnetServeCmd(app), devnetKeepCmd(app),
		devnetStatusCmd(app), devnetMineCmd(app), devnetDownCmd(app))
	return cmd
}

func devnetStatusCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Describe the running network; exit status 1 when there is none",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), devnetAskTimeout)
			defer cancel()
			info, err := devnet.Status(ctx, app.Home)
			if err != nil {
				return err
			}
			app.printDevnet(info)
			return nil
		},
	}
}

func devnetMineCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "mine N",
		Short: "Mine N blocks",
		Args:  voice.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 || n > 10_000 {
				return voice.UsageError(cmd, fmt.Errorf("mine %q: give a number of blocks from 1 to 10000", args[0]))
			}
			height, err := devnet.Mine(cmd.Context(), app.Home, n)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]int{"mined": n, "height": height})
				return nil
			}
			fmt.Fprintf(app.Out, "mined %d, height %d\n", n, height)
			return nil
		},
	}
}

func devnetDownCmd(app *App) *cobra.Command {
	var clean bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the network; up brings it back as it was",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), devnetDownTimeout)
			defer cancel()
			if err := devnet.Down(ctx, app.Home, clean); err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]bool{"stopped": true, "deleted": clean})
				return nil
			}
			fmt.Fprintln(app.Out, "devnet down")
			return nil
		},
	}
	cmd.Flags().BoolVar(&clean, "clean", false, "delete it, wallets and chain included")
	return cmd
}

func (app *App) printDevnet(info devnet.Info) {
	if app.JSON {
		voice.PrintJSON(app.Out, info)
		return
	}
	fmt.Fprintf(app.Out, "%-7s %-22s %-22s %-22s %12s  %s\n", "NODE", "GRPC", "REST", "PEERS", "CHANNELS", "PUBKEY")
	for _, n := range info.Nodes {
		balance := "away"
		if n.ChannelBalanceSat != nil {
			balance = strconv.FormatInt(*n.ChannelBalanceSat, 10) + " sat"
		}
		fmt.Fprintf(app.Out, "%-7s %-22s %-22s %-22s %12s  %s\n", n.Name, n.RPC, n.REST, n.P2P, balance, n.Pubkey)
	}
	for _, n := range info.Nodes {
		if n.Signer != nil {
			fmt.Fprintf(app.Out, "signer  %-22s of %s\n", n.Signer.RPC, n.Name)
		}
	}
	fmt.Fprintf(app.Out, "btcd    %-22s peers %s\n", info.Btcd.RPC, info.Btcd.P2P)
	if len(info.Nodes) > 0 {
		home := devnet.NodeHome(config.Home(info.Home), info.Nodes[0].Name)
		fmt.Fprintf(app.Out, "\ntry: leyden --home %s lncli channelbalance\n", home)
	}
}
