package leyden

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/gate"
	"github.com/leydenln/leyden/internal/node"
)

// How long a gate may take to start and to stop.
const (
	gateStartTimeout = 30 * time.Second
	gateStopTimeout  = 30 * time.Second
)

func newGateCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gate",
		Short: "Charge for an HTTP service, by L402 and the Payment scheme",
		Example: `  leyden gate init --backend 127.0.0.1:8080 --price 100
  leyden gate start --detach
  leyden gate tokens list
  leyden gate reload`,
	}
	cmd.AddCommand(gateInitCmd(app), gateStartCmd(app), gateStopCmd(app), gateStatusCmd(app), gateReloadCmd(app),
		gateServicesCmd(app), gateTokensCmd(app), gateTransactionsCmd(app), gateStatsCmd(app), gateRotateKeyCmd(app))
	return cmd
}

func gateInitCmd(app *App) *cobra.Command {
	var o gate.InitOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a gate.yaml that is connected to the local node",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Price < 1 {
				return voice.UsageError(cmd, fmt.Errorf("--price %d: want 1 or more; what is free has auth: off in gate.yaml", o.Price))
			}
			if o.Port < 1 || o.Port > 65535 {
				return voice.UsageError(cmd, fmt.Errorf("--port %d: want 1 to 65535", o.Port))
			}
			if o.LndDir == "" {
				o.LndDir = app.Home.Node()
				app.fillFromNode(&o)
			}
			dir, err := filepath.Abs(o.LndDir)
			if err != nil {
				return err
			}
			o.LndDir = dir
			path, err := gate.Init(app.Home.Gate(), o)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]string{"config": path})
				return nil
			}
			fmt.Fprintf(app.Out, "wrote %s: look it over, then leyden gate start\n", path)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Insecure, "insecure", false, "plain HTTP, on the loopback alone (development)")
	f.IntVar(&o.Port, "port", 8081, "port to listen on")
	f.StringVar(&o.Network, "network", "", "mainnet, testnet, signet, regtest or simnet (default: the node's)")
	f.StringVar(&o.Backend, "backend", "127.0.0.1:8080", "the service to charge for, host:port (also --address)")
	f.Int64Var(&o.Price, "price", 100, "price of a token in sat")
	f.StringVar(&o.LndDir, "lnddir", "", "folder of another lnd (default: our node's)")
	f.StringVar(&o.LndHost, "lndhost", "", "its gRPC address, host:port (default: our node's, else localhost:10009)")
	f.BoolVar(&o.Force, "force", false, "overwrite the gate.yaml that is there")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "address" {
			name = "backend"
		}
		return pflag.NormalizedName(name)
	})
	return cmd
}

// fillFromNode takes network and address from our node, if it runs.
func (app *App) fillFromNode(o *gate.InitOptions) {
	r, err := node.Status(app.Home)
	if err != nil {
		return
	}
	if o.Network == "" {
		o.Network = r.Network
	}
	if o.LndHost == "" && len(r.RPC) > 0 {
		o.LndHost = r.RPC[0]
	}
}

func gateStartCmd(app *App) *cobra.Command {
	var (
		detach bool
		config string
	)
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run the gate",
		Long: `Runs the gate with gate.yaml in Leyden's gate folder, or ~/.aperture/aperture.yaml
when there is none. SIGHUP, or leyden gate reload, reads it again without losing
a request.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if detach {
				return app.detachGate(cmd.Context(), config)
			}
			return app.runGate(cmd.Context(), config)
		},
	}
	cmd.Flags().BoolVar(&detach, "detach", false, "return when the gate serves, and leave it running")
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	return cmd
}

// runGate runs the gate in this process until it is told to end.
func (app *App) runGate(ctx context.Context, config string) (err error) {
	detached := daemon.Detached()
	defer func() {
		if err != nil {
			daemon.Fail(err)
		}
	}()
	var hangup <-chan os.Signal
	if app.Hangup != nil {
		hangup = app.Hangup()
	}
	return gate.Run(ctx, app.Home, config, app.Err, hangup, func(s gate.Status) {
		daemon.Ready()
		if !detached {
			app.printGate(s)
		}
	})
}

// detachGate runs the same command in the background.
func (app *App) detachGate(ctx context.Context, config string) error {
	log := gate.LogFile(app.Home)
	if err := files.MkdirPrivate(filepath.Dir(log)); err != nil {
		return err
	}
	args := []string{"gate", "start", "--home=" + string(app.Home)}
	if config != "" {
		abs, err := filepath.Abs(config)
		if err != nil {
			return err
		}
		args = append(args, "--config="+abs)
	}
	start, cancel := context.WithTimeout(ctx, gateStartTimeout)
	defer cancel()
	if _, err := daemon.Detach(start, daemon.Spawn{Args: args, LogFile: log}); err != nil {
		return err
	}
	s, err := gate.ReadStatus(ctx, app.Home, config)
	if err != nil {
		return err
	}
	app.printGate(s)
	return nil
}

func gateStopCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the running gate, letting requests end",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), gateStopTimeout)
			defer cancel()
			if err := gate.Stop(ctx, app.Home); err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]bool{"stopped": true})
				return nil
			}
			fmt.Fprintln(app.Out, "gate stopped")
			return nil
		},
	}
}

func gateStatusCmd(app *App) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether the gate runs, what it sells, and its node; exit status 1 when it does not run",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := gate.ReadStatus(cmd.Context(), app.Home, config)
			if err != nil {
				return err
			}
			app.printGate(s)
			if !s.Running {
				return voice.ErrSilent
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	return cmd
}

func (app *App) printGate(s gate.Status) {
	if app.JSON {
		voice.PrintJSON(app.Out, s)
		return
	}
	state := "not running"
	if s.Running {
		state = fmt.Sprintf("running, pid %d", s.PID)
	}
	fmt.Fprintf(app.Out, "gate:     %s, %s\n", state, s.URL)
	fmt.Fprintf(app.Out, "config:   %s\n", s.Config)
	if c := s.Certificate; c != nil {
		fmt.Fprintf(app.Out, "TLS:      %s certificate for %s, until %s\n", c.Source, strings.Join(c.Names, ", "), c.Expires.Local().Format(time.DateOnly))
		if c.Error != "" {
			fmt.Fprintf(app.Out, "          %s\n", c.Error)
		}
	}
	for _, service := range s.Services {
		price := "free"
		if service.PriceSat > 0 {
			price = fmt.Sprintf("%d sat", service.PriceSat)
		}
		fmt.Fprintf(app.Out, "service:  %s, %s, backend %s\n", service.Name, price, service.Address)
	}
	if s.HashMail {
		fmt.Fprintln(app.Out, "hashmail: relay of Lightning Node Connect, on the same port")
	}
	fmt.Fprintf(app.Out, "invoices: %d open, %d paid, %d sat received\n",
		s.OpenInvoices, s.Settled, s.ReceivedMsat/1000)
	switch {
	case s.Node.Host == "":
		fmt.Fprintln(app.Out, "node:     none, everything is free")
	case s.Node.Reachable:
		fmt.Fprintf(app.Out, "node:     %s on %s, reachable\n", s.Node.Host, s.Node.Network)
	default:
		fmt.Fprintf(app.Out, "node:     %s: %s\n", s.Node.Host, s.Node.Error)
	}
	if s.Health != nil && s.Health.Reason != "" {
		fmt.Fprintf(app.Out, "health:   %s, %s\n", s.Health.Status, s.Health.Reason)
	}
}
