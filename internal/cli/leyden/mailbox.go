package leyden

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/mailbox"
)

// How long a relay may take to start and to stop.
const (
	mailboxStartTimeout = 30 * time.Second
	mailboxStopTimeout  = 30 * time.Second
)

func newMailboxCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mailbox",
		Short: "Run a relay of Lightning Node Connect",
		Example: `  leyden mailbox start --detach --name relay.example
  leyden mailbox status`,
	}
	cmd.AddCommand(mailboxStartCmd(app), mailboxStopCmd(app), mailboxStatusCmd(app))
	return cmd
}

func mailboxStartCmd(app *App) *cobra.Command {
	var opts mailbox.Options
	var detach bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run the relay",
		Long: `Runs a relay through which nodes and their remote controls find each other, with
no port open at either. It sees when they talk, and never what they say.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (opts.CertPath == "") != (opts.KeyPath == "") {
				return voice.UsageError(cmd, errors.New("--tlscert and --tlskey go together"))
			}
			if opts.CertPath != "" && opts.Authority.Name != "" {
				return voice.UsageError(cmd, errors.New("one of --tlscert and --autocert"))
			}
			if detach {
				return app.detachMailbox(cmd)
			}
			return app.runMailbox(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&detach, "detach", false, "return when the relay serves, and leave it running")
	f.StringVar(&opts.Listen, "listen", mailbox.DefaultListen, "address for clients, host:port")
	f.StringArrayVar(&opts.Names, "name", nil, "name or address by which clients reach this machine, for a certificate of our own")
	f.StringVar(&opts.CertPath, "tlscert", "", "certificate of another making, PEM (default: our own)")
	f.StringVar(&opts.KeyPath, "tlskey", "", "its key, PEM")
	f.StringVar(&opts.Authority.Name, "autocert", "", "DNS name for which Let's Encrypt is asked for a certificate; it must reach the relay as port 443 of that name")
	f.StringVar(&opts.Authority.Email, "autocert-email", "", "what the authority may write to")
	f.StringVar(&opts.Authority.Directory, "autocert-ca", "", "URL of another authority's directory")
	f.StringVar(&opts.Authority.Root, "autocert-root", "", "PEM file by which that authority's server is trusted")
	f.StringVar(&opts.Metrics, "metrics", "", "serve figures to Prometheus at host:port (default: off)")
	limits, usual := &opts.Limits, mailbox.DefaultLimits()
	f.IntVar(&limits.Boxes, "boxes", usual.Boxes, "boxes in all; a session has two")
	f.IntVar(&limits.ClientBoxes, "client-boxes", usual.ClientBoxes, "boxes of one client network")
	f.IntVar(&limits.ClientConnections, "client-connections", usual.ClientConnections, "connections of one client network")
	f.IntVar(&limits.BoxRate, "box-rate", usual.BoxRate, "messages a second into one box; more are delayed")
	f.IntVar(&limits.ClientRate, "client-rate", usual.ClientRate, "messages a second of one client network; more are delayed")
	f.Int64Var(&limits.QueuedBytes, "queued-bytes", usual.QueuedBytes, "bytes that may wait in all")
	f.DurationVar(&limits.Stale, "stale", usual.Stale, "delete a box that nobody has used for so long")
	return cmd
}

// runMailbox runs the relay in this process until it is told to end.
func (app *App) runMailbox(ctx context.Context, opts mailbox.Options) (err error) {
	detached := daemon.Detached()
	defer func() {
		if err != nil {
			daemon.Fail(err)
		}
	}()
	return mailbox.Run(ctx, app.Home, opts, nodeLogger(app.Err), func(r mailbox.Running) {
		daemon.Ready()
		if !detached {
			app.printMailbox(r)
		}
	})
}

// detachMailbox runs the same command in the background.
func (app *App) detachMailbox(cmd *cobra.Command) error {
	return background[mailbox.Running]{
		log: mailbox.LogFile(app.Home), timeout: mailboxStartTimeout, status: mailbox.Status, print: app.printMailbox,
	}.start(cmd, app.Home)
}

func mailboxStopCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the running relay",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), mailboxStopTimeout)
			defer cancel()
			if err := mailbox.Stop(ctx, app.Home); err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]bool{"stopped": true})
				return nil
			}
			fmt.Fprintln(app.Out, "relay stopped")
			return nil
		},
	}
}

func mailboxStatusCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show whether the relay runs, and where; exit status 1 when it does not",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(_ *cobra.Command, _ []string) error {
			r, err := mailbox.Status(app.Home)
			if err != nil {
				return err
			}
			app.printMailbox(r)
			return nil
		},
	}
}

func (app *App) printMailbox(r mailbox.Running) {
	if app.JSON {
		voice.PrintJSON(app.Out, r)
		return
	}
	fmt.Fprintf(app.Out, "relay:       running, pid %d, %s\n", r.PID, r.Listen)
	fmt.Fprintf(app.Out, "certificate: %s\n", r.Cert)
	if r.Metrics != "" {
		fmt.Fprintf(app.Out, "figures:     http://%s/metrics\n", r.Metrics)
	}
}
