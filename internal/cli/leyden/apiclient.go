package leyden

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/node"
)

// apiTimeout bounds one command's calls.
const apiTimeout = 2 * time.Minute

// target is where the operator's API is, as the flags say; what they leave out
// is the running node's.
type target struct{ api.Target }

// flags adds litcli's own names for them, to all commands under cmd.
func (t *target) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&t.Address, "rpcserver", "", "operator API of the node, host:port (default: the running node's)")
	f.StringVar(&t.CertPath, "tlscertpath", "", "the node's certificate (default: tls.cert in the node's folder)")
	f.StringVar(&t.MacaroonPath, "macaroonpath", "", "the operator's macaroon (default: "+api.MacaroonFile+" in the guard's folder)")
	cmd.SetGlobalNormalizationFunc(underscores)
}

// underscores makes --save-to the same flag as litcli's --save_to.
func underscores(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(strings.ReplaceAll(name, "-", "_"))
}

// call runs fn with a connection. Without --rpcserver and a running node the
// code is not_running.
func (app *App) call(cmd *cobra.Command, t *target, fn func(context.Context, *api.Client) error) error {
	client, err := app.dial(t)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), apiTimeout)
	defer cancel()
	return fn(ctx, client)
}

func (app *App) dial(t *target) (*api.Client, error) {
	at := t.Target
	if at.CertPath == "" {
		at.CertPath = app.serving().TLSCert
	}
	if at.MacaroonPath == "" {
		at.MacaroonPath = filepath.Join(app.Home.Guard(), api.MacaroonFile)
	}
	if at.Address == "" {
		running := app.serving()
		if running.err != nil {
			return nil, running.err
		}
		if running.API == "" {
			return nil, fault.New("node_unreachable", "leyden node status", "the node has not opened the operator's port yet")
		}
		at.Address = node.Dialable(running.API)
	}
	return api.Dial(at)
}
