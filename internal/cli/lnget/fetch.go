package lnget

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

// fetchFlags are the flags of a fetch.
type fetchFlags struct {
	output, method           string
	headers, data            []string
	quiet, location, noPay   bool
	verbose, insecure        bool
	noProgress               bool
	maxRedirects             int
	maxCost, maxFee          int64
	paymentTimeout, httpTime time.Duration
}

func (f *fetchFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.output, "output", "o", "", "write the body to a file, whole or not at all")
	fs.StringArrayVarP(&f.headers, "header", "H", nil, "add a header, \"Name: value\" (repeatable)")
	fs.StringArrayVarP(&f.data, "data", "d", nil, "send a body: text, @FILE, or @- for standard input (repeatable, joined by &)")
	fs.StringVarP(&f.method, "request", "X", "", "HTTP method (default GET, POST with --data)")
	fs.BoolVarP(&f.location, "location", "L", true, "follow redirects; --location=false does not")
	fs.IntVar(&f.maxRedirects, "max-redirects", 10, "redirects to follow at most")
	fs.Int64Var(&f.maxCost, "max-cost", 1000, "sat that this fetch may cost at most")
	fs.Int64Var(&f.maxFee, "max-fee", 10, "sat of routing fee that a payment may cost at most")
	fs.DurationVar(&f.paymentTimeout, "payment-timeout", time.Minute, "how long a payment may take")
	fs.BoolVar(&f.noPay, "no-pay", false, "never pay; show what it would cost")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing on standard error but errors")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "say what is done and how long it takes")
	fs.BoolVarP(&f.insecure, "insecure", "k", false, "do not check the server's certificate")
	fs.BoolVar(&f.noProgress, "no-progress", false, "show no progress")
	fs.DurationVar(&f.httpTime, "timeout", 30*time.Second, "how long to wait for the server")
}

// apply puts the flags that were given over the configuration.
func (f *fetchFlags) apply(cmd *cobra.Command, c *fetch.Config) error {
	given := cmd.Flags().Changed
	if given("max-cost") {
		c.L402.MaxCostSats = f.maxCost
	}
	if given("max-fee") {
		c.L402.MaxFeeSats = f.maxFee
	}
	if given("payment-timeout") {
		c.L402.PaymentTimeout = f.paymentTimeout
	}
	if given("max-redirects") {
		c.HTTP.MaxRedirects = f.maxRedirects
	}
	if given("timeout") {
		c.HTTP.Timeout = f.httpTime
	}
	c.HTTP.AllowInsecure = c.HTTP.AllowInsecure || f.insecure
	c.L402.AutoPay = c.L402.AutoPay && !f.noPay
	c.Output.Verbose = c.Output.Verbose || f.verbose
	if err := c.Validate(); err != nil {
		return fault.New(voice.CodeUsage, "lnget --help", "%w", err)
	}
	return nil
}

// fetch gets the URL and prints what is to be said beside the body.
func (app *App) fetch(cmd *cobra.Command, f fetchFlags, url string) error {
	cfg, err := app.load()
	if err != nil {
		return err
	}
	if err := f.apply(cmd, &cfg); err != nil {
		return err
	}
	req, err := f.request(url, app)
	if err != nil {
		return err
	}
	client, err := fetch.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	if f.noPay && app.json {
		req.Output, req.Out = "", io.Discard // a question for the price
	}
	if f.output != "" && cfg.Output.Progress && !f.quiet && !f.noProgress && voice.IsTerminal(app.Err) {
		req.Progress = app.progress
	}
	res, err := client.Do(cmd.Context(), req)
	if res == nil {
		return err
	}
	app.tell(res, cfg.Output.Verbose, f.quiet)
	if f.noPay && (res.Offer != nil || app.json && res.Status != 0) && fault.Code(err) != fetch.CodeHTTPError {
		return app.printOffer(res, cfg)
	}
	if err == nil && app.json {
		app.printResult(res)
	}
	return err
}

// tell says on standard error what happened, within what was asked for.
func (app *App) tell(res *fetch.Result, verbose, quiet bool) {
	for _, w := range res.Warnings {
		fmt.Fprintf(app.Err, "lnget: warning: %s\n", w)
	}
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

// progress overwrites one line of the terminal.
func (app *App) progress(done, total int64) {
	const mb = 1_000_000
	if total > 0 {
		fmt.Fprintf(app.Err, "\r%d of %d MB\033[K\r", done/mb, total/mb)
	} else {
		fmt.Fprintf(app.Err, "\r%d MB\033[K\r", done/mb)
	}
}

// printResult prints the fetch as JSON: to standard output when the body went
// to a file, else to standard error.
func (app *App) printResult(res *fetch.Result) {
	w := app.Out
	if res.Output == "" || res.Output == "-" {
		w = app.Err
	}
	voice.PrintJSON(w, struct {
		URL         string `json:"url"`
		Status      int    `json:"status"`
		ContentType string `json:"content_type"`
		Size        int64  `json:"size"`
		Output      string `json:"output,omitempty"`
		Token       bool   `json:"token_used"`
		Paid        bool   `json:"paid"`
		AmountSat   uint64 `json:"amount_paid_sat"`
		FeeSat      uint64 `json:"fee_paid_sat"`
		DurationMS  int64  `json:"duration_ms"`
	}{res.URL, res.Status, res.ContentType, res.Size, res.Output, res.Token, res.Paid,
		l402http.Sat(res.Amount), l402http.Sat(res.Fee), res.Took.Milliseconds()})
}

// request makes the request of the flags.
func (f *fetchFlags) request(url string, app *App) (fetch.Request, error) {
	req := fetch.Request{URL: url, Method: f.method, Header: http.Header{}, Follow: f.location,
		Output: f.output, Out: app.Out}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(h, "\r\n") {
			return req, fault.New(voice.CodeUsage, "lnget --help", "header %q: want \"Name: value\"", name)
		}
		req.Header.Add(name, strings.TrimSpace(value))
	}
	if len(f.data) == 0 {
		return req, nil
	}
	body, err := readData(f.data, app.In)
	if err != nil {
		return req, err
	}
	req.Body = body
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", contentType(body))
	}
	return req, nil
}

// readData joins the values of --data as curl does: files lose their line
// breaks.
func readData(values []string, stdin io.Reader) ([]byte, error) {
	parts := make([][]byte, 0, len(values))
	for _, v := range values {
		name, isFile := strings.CutPrefix(v, "@")
		if !isFile {
			parts = append(parts, []byte(v))
			continue
		}
		var data []byte
		var err error
		if name == "-" {
			data, err = io.ReadAll(stdin)
		} else {
			data, err = os.ReadFile(name)
		}
		if err != nil {
			return nil, fault.New(voice.CodeUsage, "check the file after @", "read --data: %w", err)
		}
		parts = append(parts, bytes.Map(func(r rune) rune {
			if r == '\r' || r == '\n' || r == 0 {
				return -1
			}
			return r
		}, data))
	}
	return bytes.Join(parts, []byte("&")), nil
}

// contentType is JSON's for a JSON object or array, else that of a form, as
// with curl.
func contentType(body []byte) string {
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(trimmed) {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}
