package leyden

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/signer"
)

func newSignerCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "signer",
		Short: "Hold the keys of a watch-only node, on a machine of their own",
		Example: `  leyden signer init --network regtest --allow-ip 192.0.2.7
  leyden signer start --detach
  leyden signer status
  leyden signer export --rotate`,
	}
	parent := signerParent(app)
	cmd.AddCommand(signerInitCmd(app), signerStartCmd(app), signerStopCmd(app), parent.statusCmd(),
		parent.unlockCmd(), signerExportCmd(app), parent.changePasswordCmd())
	return cmd
}

func (app *App) printSigner(r signer.Running) {
	if app.JSON {
		voice.PrintJSON(app.Out, r)
		return
	}
	fmt.Fprintf(app.Out, "signer:   %s on %s, pid %d, %s\n", r.State, r.Network, r.PID, r.Dir)
	fmt.Fprintf(app.Out, "gRPC:     %s\n", strings.Join(r.RPC, " "))
	if len(r.REST) > 0 {
		fmt.Fprintf(app.Out, "REST:     %s\n", strings.Join(r.REST, " "))
	}
	if r.Error != "" {
		fmt.Fprintf(app.Out, "error:    %s\n", r.Error)
	}
	if r.NextStart != nil {
		fmt.Fprintf(app.Out, "again at: %s\n", r.NextStart.Format(time.TimeOnly))
	}
	switch {
	case r.AwaitsPassword:
		fmt.Fprintln(app.Out, "next:     leyden signer unlock")
	case !r.BundleCurrent:
		fmt.Fprintln(app.Out, "next:     leyden signer export, since the bundle is missing, or its certificate or macaroon is not the present one")
	}
}

func (app *App) printExported(e *signer.Exported) {
	fmt.Fprintf(app.Out, "bundle:   %s, %d accounts, macaroon %s\n", e.Bundle, e.Accounts, e.Macaroon)
	for _, c := range e.Caveats {
		fmt.Fprintf(app.Out, "          only %s\n", c)
	}
	fmt.Fprintf(app.Out, "as text:  %s\n\n%s\n", e.File, bundle.Lines(e.Base64))
	fmt.Fprintln(app.Out, "On the node's machine, with the folder or the text:")
	fmt.Fprintln(app.Out, "  leyden node import --bundle FILE|-")
}
