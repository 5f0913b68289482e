package leyden

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/signer"
)

// bakeTimeout bounds one command's calls.
const bakeTimeout = 30 * time.Second

// bakeTarget is the node whose macaroons are made: ours, unless flags say
// another.
type bakeTarget struct {
	address, cert, macaroon string
	signer                  bool
}

func (t *bakeTarget) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&t.address, "rpcserver", "", "gRPC address of another lnd, host:port (default: our running node)")
	f.StringVar(&t.cert, "tlscertpath", "", "that lnd's tls.cert")
	f.StringVar(&t.macaroon, "macaroonpath", "", "that lnd's admin.macaroon")
	f.BoolVar(&t.signer, "signer", false, "our running signer, on this machine")
	cmd.SetGlobalNormalizationFunc(dashes)
}

// dashes makes lncli's --save_to the same flag as --save-to.
func dashes(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
}

// oven is a bakery with what its macaroons are for.
type oven struct {
	*bakery.Bakery

	// dir is where they go unless told otherwise; "": there is no such place.
	dir string

	// passes says which methods the front before the node lets pass; nil: all.
	passes func(method string) bool
}

// offer is what the node offers to whoever comes through the front.
func (o *oven) offer(ctx context.Context) (bakery.Offer, error) {
	offer, err := o.Offer(ctx)
	if o.passes != nil {
		maps.DeleteFunc(offer, func(method string, _ []macaroon.Permission) bool { return !o.passes(method) })
	}
	return offer, err
}

// atOven runs fn with a bakery at the target. Codes: not_running, and those of
// lightning.Dial and signer.Dial.
func (app *App) atOven(cmd *cobra.Command, t *bakeTarget, fn func(context.Context, *oven) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), bakeTimeout)
	defer cancel()
	switch {
	case t.signer && t.address+t.cert+t.macaroon != "":
		return voice.UsageError(cmd, fmt.Errorf("--signer is the one on this machine: it needs no --rpcserver, --tlscertpath or --macaroonpath"))
	case t.signer:
		return app.atSignersOven(ctx, fn)
	case t.address != "":
		return app.atRemoteOven(ctx, cmd, t, fn)
	case t.cert+t.macaroon != "":
		return voice.UsageError(cmd, fmt.Errorf("--tlscertpath and --macaroonpath are for another lnd: give its --rpcserver"))
	}
	r, err := node.Status(app.Home)
	if err != nil {
		return err
	}
	if len(r.RPC) == 0 {
		return fault.New("node_unreachable", "leyden node status", "the node has not opened its port yet")
	}
	client, err := lightning.Dial(lightning.Config{Host: node.Dialable(r.RPC[0]), TLSCertPath: r.TLSCert, MacaroonPath: r.Macaroon})
	if err != nil {
		return err
	}
	defer client.Close()
	return fn(ctx, &oven{Bakery: bakery.New(client, bakery.AtNode, app.Home.Bakery()), dir: filepath.Dir(r.Macaroon)})
}

func (app *App) atRemoteOven(ctx context.Context, cmd *cobra.Command, t *bakeTarget, fn func(context.Context, *oven) error) error {
	if t.macaroon == "" {
		return voice.UsageError(cmd, fmt.Errorf("--rpcserver needs --macaroonpath, and --tlscertpath unless a public authority has signed its certificate"))
	}
	address := lnd.WithPort(t.address, "10009")
	client, err := lightning.Dial(lightning.Config{Host: address, TLSCertPath: t.cert, MacaroonPath: t.macaroon})
	if err != nil {
		return err
	}
	defer client.Close()
	err = fn(ctx, &oven{Bakery: bakery.New(client, address, app.Home.Bakery())})
	hint := map[string]string{
		lightning.CodeUnreachable:      "check --rpcserver, and that lnd runs",
		lightning.CodeLocked:           "unlock that lnd's wallet first",
		lightning.CodeBadCertificate:   "pass --tlscertpath with that lnd's tls.cert",
		lightning.CodePermissionDenied: "pass --macaroonpath with that lnd's admin.macaroon",
		lightning.CodeBadMacaroon:      "pass --macaroonpath with that lnd's admin.macaroon",
	}[fault.Code(err)]
	if hint != "" {
		return fault.New(fault.Code(err), hint, "%w", err)
	}
	return err
}

func (app *App) atSignersOven(ctx context.Context, fn func(context.Context, *oven) error) error {
	conn, err := signer.Dial(app.Home)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = fn(ctx, &oven{Bakery: bakery.New(conn, bakery.AtSigner, app.Home.Bakery()), passes: signer.Passes})
	if st, ok := status.FromError(err); ok && err != nil && fault.Code(err) == fault.Internal {
		return fault.New("signer_refused", "leyden signer status", "the signer: %s", st.Message())
	}
	return err
}
