package leyden

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/guardd"
	"github.com/leydenln/leyden/internal/node"
)

const guardStopTimeout = 30 * time.Second

func newGuardCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Hold accounts to their limits before an lnd that runs already",
		Long: `Puts the guard, with accounts and their limits, before an lnd that somebody else
runs: clients use the guard's port in place of lnd's. leyden node has its own.`,
		Example: `  leyden guard start --detach --lnd-rpcserver localhost:10009 \
      --lnd-tlscertpath ~/.lnd/tls.cert \
      --lnd-macaroonpath ~/.lnd/data/chain/bitcoin/mainnet/admin.macaroon
  leyden guard status
  leyden guard stop`,
	}
	cmd.AddCommand(guardStartCmd(app), guardStopCmd(app), guardStatusCmd(app))
	return cmd
}

func guardStopCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the guard in order; lnd goes on",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), guardStopTimeout)
			defer cancel()
			if err := guardd.Stop(ctx, app.Home); err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]bool{"stopped": true})
				return nil
			}
			fmt.Fprintln(app.Out, "guard stopped")
			return nil
		},
	}
}

func guardStatusCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say how the guard is; exit status 1 when it is not running",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			r, err := guardd.Status(app.Home)
			if err != nil {
				return err
			}
			app.printGuard(r)
			return nil
		},
	}
}

func (app *App) printGuard(r guardd.Running) {
	if app.JSON {
		voice.PrintJSON(app.Out, r)
		return
	}
	fmt.Fprintf(app.Out, "guard:    %s, pid %d, before lnd at %s on %s\n", r.State, r.PID, r.LND, r.Network)
	fmt.Fprintf(app.Out, "gRPC:     %s\n", strings.Join(r.RPC, " "))
	if len(r.REST) > 0 {
		fmt.Fprintf(app.Out, "REST:     %s\n", strings.Join(r.REST, " "))
	}
	fmt.Fprintf(app.Out, "API:      %s\n", r.API)
	fmt.Fprintf(app.Out, "cert:     %s\n", r.TLSCert)
	if r.Error != "" {
		fmt.Fprintf(app.Out, "error:    %s\n", r.Error)
	}
}

// serving is where the accounts of a home can be used and managed.
type serving struct {
	RPC, REST    []string
	API, TLSCert string

	err error // nobody serves
}

// serving is what the running node serves, or else the running guard. While
// neither runs only the certificate is right, for other addresses.
func (app *App) serving() serving {
	r, err := node.Status(app.Home)
	if err == nil {
		return serving{RPC: r.RPC, REST: r.REST, API: r.API, TLSCert: filepath.Join(r.Dir, "tls.cert")}
	}
	if g, guardErr := guardd.Status(app.Home); guardErr == nil {
		return serving{RPC: g.RPC, REST: g.REST, API: g.API, TLSCert: g.TLSCert}
	}
	return serving{TLSCert: filepath.Join(app.Home.Node(), "tls.cert"), err: err}
}
