package leyden

import (
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/signer"
)

func signerExportCmd(app *App) *cobra.Command {
	var o signer.ExportOptions
	var from signer.Elsewhere
	var ips, ranges []string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Make the credentials bundle again",
		Long: `Makes the credentials bundle again, of the signer on this machine, whether it runs
or not, or of any lnd elsewhere. Bundles made earlier stay good unless --rotate is
given. Addresses and networks are remembered for the next export.`,
		Example: `  leyden signer export
  leyden signer export --rotate --allow-ip 192.0.2.7
  leyden signer export --rpcserver signer.example:10012 --tlscertpath tls.cert --macaroonpath admin.macaroon --output bundle`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if n := given(cmd, "rpcserver", "tlscertpath", "macaroonpath"); n != 0 && n != 3 {
				return voice.UsageError(cmd, errors.New("a signer elsewhere needs --rpcserver, --tlscertpath and --macaroonpath"))
			}
			if o.AllowIP, o.AllowRange, err = oneBound(ips, ranges); err != nil {
				return err
			}
			exported, err := app.export(cmd, from, o)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, exported)
				return nil
			}
			app.printExported(exported)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "output", "", "folder for the bundle (default: credentials-bundle in the signer's folder)")
	f.BoolVar(&o.Anywhere, "anywhere", false, "forget the address and network given before")
	f.BoolVar(&o.Rotate, "rotate", false, "make the macaroons of all earlier bundles worthless")
	f.StringVar(&from.Addr, "rpcserver", "", "a signer elsewhere, host:port")
	f.StringVar(&from.CertPath, "tlscertpath", "", "its certificate")
	f.StringVar(&from.MacaroonPath, "macaroonpath", "", "a macaroon of it that may list accounts, mode 0600")
	boundFlags(cmd, &ips, &ranges)
	return cmd
}

func (app *App) export(cmd *cobra.Command, from signer.Elsewhere, o signer.ExportOptions) (*signer.Exported, error) {
	if from.Addr == "" {
		return signer.Export(cmd.Context(), app.Home, o, slog.New(slog.DiscardHandler))
	}
	if o.Rotate {
		return nil, fault.New("not_available", "leyden signer export --rotate, on the signer's machine",
			"--rotate needs the record that the signer keeps of its bundles")
	}
	return signer.ExportElsewhere(cmd.Context(), app.Home, from, o)
}
