package lnget

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

// fetch gets the URL and prints what is to be said beside the body.
func (app *App) fetch(cmd *cobra.Command, f *fetchFlags, args []string) error {
	url, err := app.target(cmd, f, args)
	if err != nil {
		return err
	}
	cfg, err := app.load()
	if err != nil {
		return err
	}
	if err := f.apply(cmd, &cfg); err != nil {
		return err
	}
	req, err := f.request(cmd, url, app)
	if err != nil {
		return err
	}
	client, err := fetch.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	app.json = app.json || f.printBody
	if !app.json {
		req.Warn = func(text string) { fmt.Fprintf(app.Err, "lnget: warning: %s\n", voice.Plain(text)) }
	}
	if f.dryRun {
		return app.dryRun(cmd, client, req, cfg)
	}
	var body *inline
	if f.printBody {
		body = &inline{}
		defer body.drop()
		req.Out, req.Answered = body, body.answered // which -o FILE leaves empty
	}
	req.NoBody = f.noPay && app.json && !f.printBody && !f.toFile() // a question for the price
	var progress *bar
	if f.toFile() && cfg.Output.Progress && !f.quiet && !f.noProgress && voice.IsTerminal(app.Err) {
		progress = newBar(app.Err)
		req.Progress = progress.show
	}
	res, err := client.Do(cmd.Context(), req)
	if progress != nil {
		progress.end()
	}
	if errors.Is(err, errTooLarge) {
		err = fault.New("body_too_large", "write it to a file: -o FILE", "the body is over %d bytes, too large for --print-body", maxPrintBody)
	}
	if res == nil {
		return err
	}
	app.tell(res, cfg.Output.Verbose, f.quiet)
	switch {
	case f.noPay && res.Offer != nil, req.NoBody && err == nil:
		return app.printOffer(res, cfg)
	case app.json:
		return app.report(f, res, body, err)
	}
	return err
}

// target is the URL, of the command line or of --params.
func (app *App) target(cmd *cobra.Command, f *fetchFlags, args []string) (string, error) {
	url := ""
	if f.params != "" {
		var err error
		if url, err = app.readParams(cmd, f); err != nil {
			return "", err
		}
	}
	switch {
	case url == "" && len(args) == 0:
		return "", voice.UsageError(cmd, errors.New("no URL given"))
	case url != "" && len(args) > 0:
		return "", voice.UsageError(cmd, errors.New("the URL is given twice, in --params too"))
	case url == "":
		url = args[0]
	}
	return url, nil
}

// tell says on standard error what happened, within what was asked for.
func (app *App) tell(res *fetch.Result, verbose, quiet bool) {
	if verbose {
		for _, s := range res.Steps {
			fmt.Fprintf(app.Err, "* %s\n", s)
		}
		if res.Status != 0 {
			fmt.Fprintf(app.Err, "* status %d, %d bytes, %s in all\n", res.Status, res.Size, res.Took.Round(10*time.Microsecond))
		}
	}
	if res.Paid && !quiet && !app.json {
		fmt.Fprintf(app.Err, "lnget: paid %d sat and a fee of %d sat\n", l402http.Sat(res.Amount), l402http.Sat(res.Fee))
	}
}
