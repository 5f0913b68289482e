// Package lnget is the command line of the buyer's program: commands parse,
// call one function of internal/fetch, and print. Exit statuses are those of
// the seeds: 0 done, 1 failed, 2 over --max-cost, 3 payment failed, 4 network.
package lnget

import (
	"context"
	"errors"
	"io"
	"log"
	"os"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/buildinfo"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/l402/l402http"
)

// App is what every command needs.
type App struct {
	// In, Out and Err are the process's streams.
	In       io.Reader
	Out, Err io.Writer

	// Environ looks a variable of the environment up; Variables is all of it, as
	// [os.Environ] has it, nil where misspelt ones do not matter.
	Environ   func(string) (string, bool)
	Variables []string

	json, human bool
	config      string
}

// Run parses args (without the program's name), runs the command and returns
// the exit status. It silences package log, to which net/http writes what
// strangers say out of turn.
func Run(ctx context.Context, app *App, args []string) int {
	log.SetOutput(io.Discard)
	printed := &sink{Writer: app.Out}
	app.Out = printed
	root := Command(app)
	root.SetArgs(args)
	root.SetIn(app.In)
	root.SetOut(app.Out)
	root.SetErr(app.Err)
	err := root.ExecuteContext(ctx)
	if err == nil && printed.err != nil {
		err = fault.New(fetch.CodeOutput, "", "write standard output: %w", printed.err)
	}
	if err != nil && !errors.Is(err, voice.ErrSilent) {
		voice.Print(app.Err, "lnget", app.json, err)
	}
	return status(err)
}

// sink remembers that standard output could not be written to, instead of each
// of those who print to it.
type sink struct {
	io.Writer
	err error
}

// Write implements [io.Writer].
func (s *sink) Write(p []byte) (int, error) {
	if _, err := s.Writer.Write(p); s.err == nil {
		s.err = err
	}
	return len(p), nil
}

// Fd is the file that it is, if any (see [voice.IsTerminal]).
func (s *sink) Fd() uintptr {
	if f, ok := s.Writer.(*os.File); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// stdout is where a body goes, whose errors end the fetch.
func (app *App) stdout() io.Writer {
	if s, ok := app.Out.(*sink); ok {
		return s.Writer
	}
	return app.Out
}

// status is the exit status of an error.
func status(err error) int {
	if err == nil {
		return 0
	}
	if pay, ok := errors.AsType[*l402http.Error](err); ok {
		switch pay.Code {
		case l402http.CodePaymentFailed, l402http.CodePaymentUnresolved:
			return 3
		}
	}
	switch fault.Code(err) {
	case l402http.CodeOverMaxCost:
		return 2
	case fetch.CodeNetwork, fetch.CodeNoTor, lightning.CodeUnreachable, lightning.CodeTimeout,
		lightning.CodeSessionNotFound, lightning.CodeSessionInUse, lightning.CodeRelayUnreachable:
		return 4
	}
	return 1
}

// Command returns the command line, for programs that look at it.
func Command(app *App) *cobra.Command {
	var f fetchFlags
	root := &cobra.Command{
		Use:   "lnget [flags] URL",
		Short: "Get a URL, and pay for it over Lightning when it asks",
		Long: `lnget gets a URL like curl and prints the body. When the server answers 402
with an L402 challenge, lnget pays the invoice from your Lightning node, within
--max-cost and --max-fee, keeps the token, and asks again. The same origin is
not paid twice while its token is good.

Exit status: 0 done, 1 failed (also when the server answers 400 or more; its
body is printed all the same), 2 the price is over --max-cost, 3 the payment
failed, 4 network.`,
		Example: `  lnget config init                                  find the node on this machine
  lnget --max-cost 500 https://api.example.com/data  get, and pay at most 500 sat
  lnget --no-pay --json https://api.example.com/data what would it cost?
  lnget -q https://api.example.com/data | jq .price
  lnget -d '{"query":"x"}' https://api.example.com/search
  lnget tokens list                                  what was bought`,
		Version:       buildinfo.Version() + " commit " + buildinfo.Commit(),
		Args:          atMostOneURL,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.fetch(cmd, &f, args)
		},
	}
	root.SetFlagErrorFunc(voice.UsageError)
	root.PersistentFlags().StringVar(&app.config, "config", "", "configuration file (default ~/.lnget/config.yaml)")
	root.PersistentFlags().BoolVar(&app.json, "json", false, "print JSON")
	root.PersistentFlags().BoolVar(&app.human, "human", false, "print for people, also to a pipe")
	f.register(root)
	app.completions(root)
	root.AddCommand(newConfigCmd(app), newTokensCmd(app), newLNCmd(app), newPaymentsCmd(app))
	return root
}

func atMostOneURL(cmd *cobra.Command, args []string) error {
	if len(args) > 1 && !cmd.Flags().Changed("wait-approval") { // how long is no URL, and is refused by name
		return voice.UsageError(cmd, errors.New("more than one URL given; quote it if it holds spaces"))
	}
	return nil
}

// load reads the configuration.
func (app *App) load() (fetch.Config, error) {
	if err := fetch.CheckEnviron(app.Variables); err != nil {
		return fetch.Config{}, err
	}
	return fetch.LoadConfig(app.config, app.Environ)
}

// asJSON says whether lists and objects are printed as JSON: when asked for,
// and to a pipe unless --human or the configuration wants otherwise.
func (app *App) asJSON(c fetch.Config) bool {
	if app.json || app.human {
		return app.json
	}
	return c.Output.Format == "json" && !voice.IsTerminal(app.Out)
}
