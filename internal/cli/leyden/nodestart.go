package leyden

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/session"
)

// nodeStartTimeout bounds a start in the background; a wallet takes some
// seconds to open, and lnd may have a database to bring up to date.
const nodeStartTimeout = 10 * time.Minute

func nodeStartCmd(app *App) *cobra.Command {
	var opts node.Options
	var detach bool
	cmd := &cobra.Command{
		Use:   "start [-- --lnd.option=value …]",
		Short: "Run the node",
		Long: `Runs lnd as a supervised child behind the front. Options come from the flags
(or LEYDEN_NODE_NETWORK, _BACKEND, _PROFILE, _SIGNER_HOST, _RPCLISTEN, _RESTLISTEN, _APILISTEN, _LISTEN),
then what create remembered, then lnd.conf in the node's folder. Every other
option of lnd goes into lnd.conf, or after --.`,
		Example: `  leyden node start --detach
  leyden node start --detach --signer-host signer.example:10012
  leyden node start --detach -- --alias=kettle`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.LND = args
			nodeEnvironment(cmd, &opts)
			if detach {
				return app.detachNode(cmd, args)
			}
			return app.runNode(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&detach, "detach", false, "return when the node is up, and leave it running")
	f.StringVar(&opts.Network, "network", "", "the chain (default: the one given to create)")
	f.StringVar(&opts.Backend, "backend", "", "neutrino, btcd or bitcoind")
	f.StringArrayVar(&opts.Profiles, "profile", nil, "default, debug, wumbo or taproot; may be repeated")
	f.StringArrayVar(&opts.RPCListen, "rpclisten", nil, "gRPC address of the node, host:port (default "+node.DefaultRPC+")")
	f.StringArrayVar(&opts.RESTListen, "restlisten", nil, "serve REST at host:port (default: off)")
	f.StringArrayVar(&opts.APIListen, "apilisten", nil, "address of the operator API, host:port (default "+node.DefaultAPI+")")
	f.BoolVar(&opts.REST, "rest", false, "serve REST at "+node.DefaultREST)
	f.StringVar(&opts.SignerHost, "signer-host", "", "where a watch-only node's signer is, host:port; remembered (default port "+lnd.DefaultSignerPort+")")
	f.StringArrayVar(&opts.Listen, "listen", nil, "address for Lightning peers, host:port (default :9735)")
	f.StringVar(&opts.PasswordFile, "password-file", "", "file with the wallet's password, mode 0600")
	f.DurationVar(&opts.SyncGrace, "sync-wait", 10*time.Second, "with --detach, how long to wait for the chain once lnd answers")
	f.DurationVar(&opts.PairWithin, "firstlncconndeadline", session.DefaultPairWithin, "how long a new session waits for its client (see leyden sessions)")
	return cmd
}

// nodeEnvironment fills in from LEYDEN_NODE_… what no flag gave.
func nodeEnvironment(cmd *cobra.Command, opts *node.Options) {
	for name, target := range map[string]*string{"network": &opts.Network, "backend": &opts.Backend, "signer-host": &opts.SignerHost} {
		if value := os.Getenv("LEYDEN_NODE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))); value != "" && !cmd.Flags().Changed(name) {
			*target = value
		}
	}
	for name, target := range map[string]*[]string{"profile": &opts.Profiles, "rpclisten": &opts.RPCListen,
		"restlisten": &opts.RESTListen, "apilisten": &opts.APIListen, "listen": &opts.Listen} {
		if value := os.Getenv("LEYDEN_NODE_" + strings.ToUpper(name)); value != "" && !cmd.Flags().Changed(name) {
			*target = strings.Split(value, ",")
		}
	}
}

// runNode runs the node in this process until it is told to end.
func (app *App) runNode(ctx context.Context, opts node.Options) (err error) {
	detached := daemon.Detached()
	defer func() {
		if err != nil {
			daemon.Fail(err)
		}
	}()
	n, err := node.New(ctx, app.Home, opts, nodeLogger(app.Err))
	if err != nil {
		return err
	}
	return n.Run(ctx, func(r node.Running) {
		daemon.Ready()
		if !detached {
			app.printNode(r)
		}
	})
}

// detachNode runs the same command in the background.
func (app *App) detachNode(cmd *cobra.Command, lndArgs []string) error {
	return background[node.Running]{
		log: node.LogFile(app.Home), timeout: nodeStartTimeout, status: node.Status, print: app.printNode,
	}.start(cmd, app.Home, append([]string{"--"}, lndArgs...)...)
}

// givenFlags writes the command's own flags that were given as a command line
// again, without the one named.
func givenFlags(cmd *cobra.Command, without string) []string {
	var args []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name == without || cmd.InheritedFlags().Lookup(f.Name) != nil {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			args = append(args, "--"+f.Name+"="+value)
		}
	})
	return args
}

func (app *App) printNode(r node.Running) {
	if app.JSON {
		voice.PrintJSON(app.Out, r)
		return
	}
	fmt.Fprintf(app.Out, "node:     %s on %s, pid %d, %s\n", r.State, r.Network, r.PID, r.Dir)
	fmt.Fprintf(app.Out, "gRPC:     %s\n", strings.Join(r.RPC, " "))
	if len(r.REST) > 0 {
		fmt.Fprintf(app.Out, "REST:     %s\n", strings.Join(r.REST, " "))
	}
	fmt.Fprintf(app.Out, "peers:    %s\n", strings.Join(r.P2P, " "))
	fmt.Fprintf(app.Out, "accounts: %s, operator API at %s\n", guardState(r.Guard), r.API)
	if r.Signer != "" {
		fmt.Fprintf(app.Out, "signer:   %s, %s\n", r.Signer, signerState(r.SignerError))
	}
	if r.Error != "" {
		fmt.Fprintf(app.Out, "error:    %s\n", r.Error)
	}
	if r.GuardError != "" {
		fmt.Fprintf(app.Out, "guard:    %s\n", r.GuardError)
	}
	if r.NextStart != nil {
		fmt.Fprintf(app.Out, "again at: %s\n", r.NextStart.Format(time.TimeOnly))
	}
	if r.AwaitsPassword {
		fmt.Fprintf(app.Out, "next:     leyden node unlock\n")
	}
}

// signerState says whether the signer signs.
func signerState(away string) string {
	if away == "" {
		return "there"
	}
	return "away: " + away
}

// guardState says whether accounts can be used.
func guardState(guard string) string {
	if guard == "" {
		return "refused, the guard is not attached"
	}
	return "guarded"
}

func nodeLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, nil))
}
