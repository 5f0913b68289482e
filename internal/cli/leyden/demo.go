package leyden

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/demo"
	"github.com/leydenln/leyden/internal/fault"
)

// demoStopTimeout bounds the end of a demo.
const demoStopTimeout = 2 * time.Minute

func newDemoCmd(app *App) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole commerce loop on a private network: real lnd, real payments",
		Long: `Starts a private regtest network of three nodes, the buyer's with its keys on a
signer, a seller's service behind a gate and a buyer who has an account with a
daily limit, and shows: a price preview, a paid fetch charged with its fee, a
second fetch that costs nothing, what the buyer sees of the node, prices over the
buyer's own cap and over its limit refused, a frozen account, the journal
verified, and what both nodes say was paid.
Everything lives in a temporary folder. Without --once it stays up until Ctrl-C
and prints what to try.`,
		Example: `  leyden demo
  leyden demo --once --json`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.runDemo(cmd.Context(), once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end when the steps are done")
	return cmd
}

func (app *App) runDemo(ctx context.Context, once bool) (err error) {
	d, err := demo.New(app.demoOptions())
	if err != nil {
		return err
	}
	report, failed := d.Run(ctx)
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), demoStopTimeout)
		defer cancel()
		keep := failed != nil && ctx.Err() == nil
		err = errors.Join(err, d.Stop(stopping, keep))
	}()
	if app.JSON {
		voice.PrintJSON(app.Out, report)
	} else if failed == nil {
		fmt.Fprintf(app.Out, "all %d steps held, %.1f s\n", len(report.Steps), seconds(report.TotalMS))
	}
	if failed != nil {
		if ctx.Err() != nil {
			return fault.New("interrupted", "", "the demo was interrupted")
		}
		return fault.New(fault.Code(failed), "see the logs in "+d.Dir, "%s: %w",
			report.Steps[len(report.Steps)-1].Name, failed)
	}
	if once {
		return nil
	}
	app.tryDemo(d)
	select {
	case <-ctx.Done():
		return nil
	case <-d.Done():
		return fault.New("demo_failed", "", "the network broke")
	}
}

// demoOptions prints steps as they end: to stdout, or with --json to stderr if
// somebody looks.
func (app *App) demoOptions() demo.Options {
	out := app.Out
	if app.JSON {
		out = app.Err
		if !voice.IsTerminal(app.Err) {
			return demo.Options{}
		}
	}
	o := demo.Options{OnStep: func(number int, s demo.Step) {
		if !s.OK {
			s.Words = "FAILED " + s.Words
		}
		fmt.Fprintf(out, "%2d. %-21s %6.2f s  %s\n", number, s.Name, seconds(s.MS), s.Words)
	}}
	if voice.IsTerminal(app.Err) {
		o.OnProgress = progressTo(app.Err)
	}
	return o
}

func (app *App) tryDemo(d *demo.Demo) {
	fmt.Fprintf(app.Err, "\nThe network stays up until Ctrl-C. Try in another terminal:\n")
	for _, c := range d.Try() {
		fmt.Fprintf(app.Err, "\n  # %s\n  %s\n", c.What, c.Line)
	}
}

func seconds(ms int64) float64 { return float64(ms) / 1000 }
