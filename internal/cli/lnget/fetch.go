package lnget

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

// maxPrintBody bounds what --print-body prints, in bytes.
const maxPrintBody = 1 << 20

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
	switch {
	case f.noPay && app.json:
		req.Output, req.Out = "", io.Discard // a question for the price
		req.Continue = false
	case f.printBody:
		body = &inline{}
		req.Out = body // which -o FILE leaves empty
	}
	var progress *bar
	if req.Output != "" && req.Output != "-" && cfg.Output.Progress && !f.quiet && !f.noProgress && voice.IsTerminal(app.Err) {
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
	if f.noPay && (res.Offer != nil || app.json && res.Status != 0) && fault.Code(err) != fetch.CodeHTTPError {
		return app.printOffer(res, cfg)
	}
	switch {
	case body != nil && (err == nil || fault.Code(err) == fetch.CodeHTTPError):
		app.printInline(res, body)
	case err == nil && app.json:
		app.printResult(res)
	case app.json && len(res.Warnings) > 0:
		voice.PrintJSON(app.Err, map[string][]string{"warnings": res.Warnings})
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

// resultJSON is a fetch as JSON. Body is there with --print-body and is the
// text of the body; BodyBase64 is it when it is no text.
type resultJSON struct {
	URL         string   `json:"url"`
	Status      int      `json:"status"`
	ContentType string   `json:"content_type"`
	Size        int64    `json:"size"`
	Resumed     int64    `json:"resumed_from,omitempty"`
	Output      string   `json:"output,omitempty"`
	Token       bool     `json:"token_used"`
	Paid        bool     `json:"paid"`
	AmountSat   uint64   `json:"amount_paid_sat"`
	FeeSat      uint64   `json:"fee_paid_sat"`
	DurationMS  int64    `json:"duration_ms"`
	Warnings    []string `json:"warnings,omitempty"`
	Body        *string  `json:"body,omitempty"`
	BodyBase64  []byte   `json:"body_base64,omitempty"`
}

func resultOf(res *fetch.Result) resultJSON {
	return resultJSON{URL: res.URL, Status: res.Status, ContentType: res.ContentType, Size: res.Size, Resumed: res.Resumed,
		Output: res.Output, Token: res.Token, Paid: res.Paid, AmountSat: l402http.Sat(res.Amount),
		FeeSat: l402http.Sat(res.Fee), DurationMS: res.Took.Milliseconds(), Warnings: res.Warnings}
}

// printResult prints the fetch as JSON: to standard output when the body went
// to a file, else to standard error.
func (app *App) printResult(res *fetch.Result) {
	w := app.Out
	if res.Output == "" || res.Output == "-" {
		w = app.Err
	}
	voice.PrintJSON(w, resultOf(res))
}

// inline is a body that is printed within JSON.
type inline struct{ bytes.Buffer }

var errTooLarge = errors.New("too large")

// Write implements [io.Writer].
func (b *inline) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxPrintBody {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

// printInline prints the result with the body, if it is not too large.
func (app *App) printInline(res *fetch.Result, body *inline) {
	out := resultOf(res)
	text := append([]byte{}, body.Bytes()...)
	if out.Output != "" && out.Output != "-" {
		text = readBack(out.Output)
	}
	if utf8.Valid(text) && text != nil {
		s := string(text)
		out.Body = &s
	} else {
		out.BodyBase64 = text
	}
	voice.PrintJSON(app.Out, out)
}

// readBack returns what was written to a file, nil if it is too large.
func readBack(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPrintBody+1))
	if err != nil || len(text) > maxPrintBody {
		return nil
	}
	return text
}
