package lnget

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/internal/lightning"
)

// nodeTimeout bounds what `ln` asks of the node.
const nodeTimeout = 10 * time.Second

func newLNCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{Use: "ln", Short: "Look at the Lightning node that pays",
		Args: voice.Args(cobra.NoArgs), RunE: help}
	cmd.AddCommand(
		&cobra.Command{Use: "status", Short: "Is the node there, and does it know our macaroon?",
			Args: voice.Args(cobra.NoArgs), RunE: app.ask(app.lnStatus)},
		&cobra.Command{Use: "info", Short: "What the node says of itself",
			Args: voice.Args(cobra.NoArgs), RunE: app.ask(app.lnInfo)},
		newLNCCmd(app),
		notBuiltIn("neutrino", "An embedded wallet (comes later)"))
	return cmd
}

// notBuiltIn is a command that only says what to do instead, whatever its
// arguments.
func notBuiltIn(name, short string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(*cobra.Command, []string) error { return fetch.NotBuiltIn("lnget ln " + name) }}
}

// node dials the configured node.
func (app *App) node() (fetch.Config, *lightning.Client, error) {
	cfg, err := app.load()
	if err != nil {
		return cfg, nil, err
	}
	client, err := cfg.LN.Dial()
	return cfg, client, err
}

// ask is a command that asks the configured node, for at most nodeTimeout.
func (app *App) ask(f func(context.Context, fetch.Config, *lightning.Client) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		cfg, client, err := app.node()
		if err != nil {
			return err
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), nodeTimeout)
		defer cancel()
		return f(ctx, cfg, client)
	}
}

func (app *App) lnStatus(ctx context.Context, cfg fetch.Config, client *lightning.Client) error {
	asked := make(chan error, 1)
	var info lightning.Info
	go func() { // beside the other question: a relay is far away
		var err error
		info, err = client.GetInfo(ctx)
		asked <- err
	}()
	state, unasked := client.State(ctx)
	err := <-asked
	if unasked != nil && err != nil {
		return unasked
	}
	if unasked != nil {
		state = "SERVER_ACTIVE" // litd does not tell an account, and answers it only then
	}
	if err == nil && cfg.LN.Mode == "lnd" && info.Network != cfg.LN.LND.Network {
		err = fault.New("wrong_network", "set ln.lnd.network to "+info.Network,
			"the node is on %s, the configuration says %s", info.Network, cfg.LN.LND.Network)
	}
	// A macaroon need not allow GetInfo to be able to pay.
	if err != nil && fault.Code(err) != lightning.CodePermissionDenied {
		return err
	}
	if app.asJSON(cfg) {
		out := map[string]any{"mode": cfg.LN.Mode, "host": client.Host(), "state": state,
			"network": cfg.LN.LND.Network, "connected": true}
		if cfg.LN.Mode == "lnc" {
			out["session"] = cfg.LN.LNC.SessionID
		}
		if err == nil {
			out["pubkey"], out["synced"], out["active_channels"] = info.Pubkey, info.SyncedToChain, info.ActiveChannels
		}
		voice.PrintJSON(app.Out, out)
		return nil
	}
	fmt.Fprintf(app.Out, "node %s: %s\n", client.Host(), state)
	return nil
}

func (app *App) lnInfo(ctx context.Context, cfg fetch.Config, client *lightning.Client) error {
	info, err := client.GetInfo(ctx)
	if fault.Code(err) == lightning.CodePermissionDenied && cfg.LN.Mode == "lnd" {
		info, err = readonlyInfo(ctx, cfg.LN.LND, err)
	}
	if err != nil {
		return err
	}
	if app.asJSON(cfg) {
		voice.PrintJSON(app.Out, map[string]any{"pubkey": info.Pubkey, "alias": info.Alias, "version": info.Version,
			"network": info.Network, "block_height": info.BlockHeight, "synced_to_chain": info.SyncedToChain,
			"synced_to_graph": info.SyncedToGraph, "active_channels": info.ActiveChannels,
			"inactive_channels": info.InactiveChannels, "pending_channels": info.PendingChannels, "peers": info.Peers})
		return nil
	}
	table(app.Out, "pubkey\t"+info.Pubkey, func(row func(...any)) {
		row("alias", info.Alias)
		row("version", info.Version)
		row("network", info.Network)
		row("height", info.BlockHeight)
		row("synced", info.SyncedToChain)
		row("channels", fmt.Sprintf("%d active, %d inactive, %d pending", info.ActiveChannels,
			info.InactiveChannels, info.PendingChannels))
		row("peers", info.Peers)
	})
	return nil
}

// readonlyInfo asks with the readonly.macaroon that lnd keeps beside the
// macaroon that pays, which need not allow the question. Without one, the
// refusal stands.
func readonlyInfo(ctx context.Context, c fetch.LNDConfig, refusal error) (lightning.Info, error) {
	c.Macaroon = filepath.Join(filepath.Dir(c.Macaroon), "readonly.macaroon")
	client, err := fetch.Dial(c)
	if err != nil {
		return lightning.Info{}, refusal
	}
	defer client.Close()
	return client.GetInfo(ctx)
}
