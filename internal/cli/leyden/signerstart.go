package leyden

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/signer"
)

func signerStartCmd(app *App) *cobra.Command {
	var opts signer.Options
	var detach bool
	cmd := &cobra.Command{
		Use:   "start [-- --lnd.option=value …]",
		Short: "Run the signer",
		Long: `Runs an lnd without chain and peers as a supervised child behind the signer's
front. Options come from the flags (or LEYDEN_SIGNER_RPCLISTEN, _RESTLISTEN),
then what init remembered, then signer-lnd.conf in the signer's folder.`,
		Example: `  leyden signer start --detach
  leyden signer start --detach --rpclisten 192.0.2.1:10012`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.LND = args
			signerEnvironment(cmd, &opts)
			if detach {
				return app.detachSigner(cmd, args)
			}
			return app.runSigner(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&detach, "detach", false, "return when the signer signs, and leave it running")
	f.StringArrayVar(&opts.RPCListen, "rpclisten", nil, "gRPC address of the signer, host:port (default "+signer.DefaultRPC+")")
	f.StringArrayVar(&opts.RESTListen, "restlisten", nil, "serve REST at host:port, on loopback alone (default: off)")
	f.BoolVar(&opts.REST, "rest", false, "serve REST at "+signer.DefaultREST)
	f.StringVar(&opts.PasswordFile, "password-file", "", "file with the wallet's password, mode 0600")
	return cmd
}

// signerEnvironment fills in from LEYDEN_SIGNER_… what no flag gave.
func signerEnvironment(cmd *cobra.Command, opts *signer.Options) {
	for name, target := range map[string]*[]string{"rpclisten": &opts.RPCListen, "restlisten": &opts.RESTListen} {
		if value := os.Getenv("LEYDEN_SIGNER_" + strings.ToUpper(name)); value != "" && !cmd.Flags().Changed(name) {
			*target = strings.Split(value, ",")
		}
	}
}

// runSigner runs the signer in this process until it is told to end.
func (app *App) runSigner(ctx context.Context, opts signer.Options) (err error) {
	detached := daemon.Detached()
	defer func() {
		if err != nil {
			daemon.Fail(err)
		}
	}()
	s, err := signer.New(app.Home, opts, nodeLogger(app.Err))
	if err != nil {
		return err
	}
	return s.Run(ctx, func(r signer.Running) {
		daemon.Ready()
		if !detached {
			app.printSigner(r)
		}
	})
}

// detachSigner runs the same command in the background.
func (app *App) detachSigner(cmd *cobra.Command, lndArgs []string) error {
	return background[signer.Running]{
		log: signer.LogFile(app.Home), timeout: nodeStartTimeout, status: signer.Status, print: app.printSigner,
	}.start(cmd, app.Home, append([]string{"--"}, lndArgs...)...)
}
