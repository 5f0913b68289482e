package lnget

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
)

// fetchFlags are the flags of a fetch.
type fetchFlags struct {
	output, method           string
	headers, data            []string
	resume                   bool
	quiet, location          bool
	noPay, dryRun, printBody bool
	verbose, insecure        bool
	noProgress               bool
	params, idempotencyKey   string
	waitApproval, prefer     string
	maxRedirects             int
	maxCost, maxFee          int64
	paymentTimeout, httpTime time.Duration

	body []byte // of --params, as it is
}

func (f *fetchFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.output, "output", "o", "", "write the body to a file, whole or not at all")
	fs.BoolVarP(&f.resume, "continue", "c", false, "with -o: keep what has come in FILE.part, and go on from there")
	fs.StringArrayVarP(&f.headers, "header", "H", nil, "add a header, \"Name: value\" (repeatable)")
	fs.StringArrayVarP(&f.data, "data", "d", nil, "send a body: text, @FILE, or @- for standard input (repeatable, joined by &)")
	fs.StringVarP(&f.method, "request", "X", "", "HTTP method (default GET, POST with --data)")
	fs.StringVar(&f.params, "params", "", "take URL and flags from a JSON object: the object, a FILE, or - for standard input")
	fs.BoolVarP(&f.location, "location", "L", true, "follow redirects; --location=false does not")
	fs.IntVar(&f.maxRedirects, "max-redirects", 10, "redirects to follow at most")
	fs.Int64Var(&f.maxCost, "max-cost", 1000, "sat that this fetch may cost at most")
	fs.Int64Var(&f.maxFee, "max-fee", 10, "sat of routing fee that a payment may cost at most")
	fs.DurationVar(&f.paymentTimeout, "payment-timeout", time.Minute, "how long a payment may take")
	fs.StringVar(&f.prefer, "prefer-scheme", fetch.PreferL402, "how to pay when a seller offers both: l402 or payment")
	fs.BoolVar(&f.noPay, "no-pay", false, "never pay; show what it would cost")
	fs.BoolVar(&f.dryRun, "dry-run", false, "show what would be sent and paid; sends one HEAD request in its place")
	fs.StringVar(&f.idempotencyKey, "idempotency-key", "", "send this Idempotency-Key, and pay an origin once under it")
	fs.StringVar(&f.waitApproval, "wait-approval", "", "wait for a person's approval (not in this version)")
	fs.Lookup("wait-approval").NoOptDefVal = "true"
	fs.BoolVar(&f.printBody, "print-body", false, "print the result as JSON with the body in it (at most 1 MB)")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing on standard error but errors and warnings")
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
	if given("prefer-scheme") {
		c.L402.PreferScheme = f.prefer
	}
	c.HTTP.AllowInsecure = c.HTTP.AllowInsecure || f.insecure
	c.L402.AutoPay = c.L402.AutoPay && !f.noPay && !f.dryRun
	c.Output.Verbose = c.Output.Verbose || f.verbose
	if err := c.Validate(); err != nil {
		return fault.New(voice.CodeUsage, "lnget --help", "%w", err)
	}
	return nil
}

// maxKey bounds an idempotency key, in bytes.
const maxKey = 256

// check reports flags that do not go together.
func (f *fetchFlags) check(cmd *cobra.Command, header http.Header) error {
	given := cmd.Flags().Changed
	var why string
	switch {
	case given("wait-approval"):
		return fault.New("not_available", "ask the account's operator to raise its limits: leyden accounts limits ACCOUNT",
			"--wait-approval comes with approvals, which this version does not have: a payment over a limit is refused at once")
	case given("idempotency-key") && (f.idempotencyKey == "" || len(f.idempotencyKey) > maxKey || !printable(f.idempotencyKey)):
		why = "--idempotency-key wants 1 to 256 printable characters of ASCII"
	case given("idempotency-key") && header.Get("Idempotency-Key") != "":
		why = "the header Idempotency-Key is given twice"
	case f.resume && !f.toFile():
		why = "--continue wants a file to go on with: -o FILE"
	case f.resume && (f.method != "" && f.method != http.MethodGet || f.data != nil || f.body != nil):
		why = "--continue is for GET"
	case f.resume && (header.Get("Range") != "" || header.Get("If-Range") != ""):
		why = "--continue asks for a range of its own"
	case f.dryRun && f.noPay:
		why = "--dry-run and --no-pay exclude each other"
	}
	if why == "" {
		return nil
	}
	return voice.UsageError(cmd, errors.New(why))
}

// toFile reports whether the body goes to a file.
func (f *fetchFlags) toFile() bool { return f.output != "" && f.output != "-" }

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// request makes the request of the flags.
func (f *fetchFlags) request(cmd *cobra.Command, url string, app *App) (fetch.Request, error) {
	req := fetch.Request{URL: url, Method: f.method, Header: http.Header{}, Follow: f.location,
		Output: f.output, Out: app.stdout(), Continue: f.resume, IdempotencyKey: f.idempotencyKey, Body: f.body}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(h, "\r\n") {
			return req, fault.New(voice.CodeUsage, "lnget --help", "header %q: want \"Name: value\"", name)
		}
		req.Header.Add(name, strings.TrimSpace(value))
	}
	if err := f.check(cmd, req.Header); err != nil {
		return req, err
	}
	if len(f.data) > 0 {
		body, err := readData(f.data, app.In)
		if err != nil {
			return req, err
		}
		req.Body = body
	}
	if req.Body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", contentType(req.Body))
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
		parts = append(parts, slices.DeleteFunc(data, func(b byte) bool { return b == '\r' || b == '\n' || b == 0 }))
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
