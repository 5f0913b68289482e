package leyden

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/guardd"
	"github.com/leydenln/leyden/internal/session"
)

const guardStartTimeout = 2 * time.Minute

func guardStartCmd(app *App) *cobra.Command {
	var opts guardd.Options
	var detach bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run the guard before an lnd that runs already",
		Long: `Runs the guard before an lnd v0.21 or later with rpcmiddleware.enable=true in its
lnd.conf. What must hold there is checked first.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.LND.CertPath == "" || opts.LND.MacaroonPath == "" {
				return voice.UsageError(cmd, errors.New("give --lnd-tlscertpath and --lnd-macaroonpath"))
			}
			if detach {
				return app.detachGuard(cmd)
			}
			return app.runGuard(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&detach, "detach", false, "return when the guard is attached, and leave it running")
	f.StringVar(&opts.LND.Address, "lnd-rpcserver", guardd.DefaultLND, "gRPC address of lnd, host:port")
	f.StringVar(&opts.LND.CertPath, "lnd-tlscertpath", "", "lnd's tls.cert")
	f.StringVar(&opts.LND.MacaroonPath, "lnd-macaroonpath", "", "lnd's admin.macaroon")
	f.StringArrayVar(&opts.RPCListen, "rpclisten", nil, "gRPC address for clients, host:port (default "+guardd.DefaultRPC+")")
	f.StringArrayVar(&opts.RESTListen, "restlisten", nil, "serve REST at host:port (default: off)")
	f.StringVar(&opts.APIListen, "apilisten", guardd.DefaultAPI, "address of the operator API, host:port")
	f.DurationVar(&opts.PairWithin, "firstlncconndeadline", session.DefaultPairWithin, "how long a new session waits for its client (see leyden sessions)")
	return cmd
}

// runGuard runs the guard in this process until it is told to end.
func (app *App) runGuard(ctx context.Context, opts guardd.Options) (err error) {
	detached := daemon.Detached()
	defer func() {
		if err != nil {
			daemon.Fail(err)
		}
	}()
	g, err := guardd.New(ctx, app.Home, opts, nodeLogger(app.Err))
	if err != nil {
		return err
	}
	return g.Run(ctx, func(r guardd.Running) {
		daemon.Ready()
		if !detached {
			app.printGuard(r)
		}
	})
}

// detachGuard runs the same command in the background.
func (app *App) detachGuard(cmd *cobra.Command) error {
	return background[guardd.Running]{
		log: guardd.LogFile(app.Home), timeout: guardStartTimeout, status: guardd.Status, print: app.printGuard,
	}.start(cmd, app.Home)
}
