package lnget

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

// resultJSON is a fetch as JSON. Body is there with --print-body and is the
// text of the body; BodyBase64 is it when it is no text. PaymentRequired and
// InvoiceSat are there with --no-pay, false and 0: a price is printed as an
// offer.
type resultJSON struct {
	URL             string   `json:"url"`
	Status          int      `json:"status"`
	ContentType     string   `json:"content_type"`
	Size            int64    `json:"size"`
	Resumed         int64    `json:"resumed_from,omitempty"`
	Output          string   `json:"output,omitempty"`
	Token           bool     `json:"token_used"`
	PaymentRequired *bool    `json:"payment_required,omitempty"`
	InvoiceSat      *uint64  `json:"invoice_amount_sat,omitempty"`
	Paid            bool     `json:"paid"`
	AmountSat       uint64   `json:"amount_paid_sat"`
	FeeSat          uint64   `json:"fee_paid_sat"`
	DurationMS      int64    `json:"duration_ms"`
	Warnings        []string `json:"warnings,omitempty"`
	Body            *string  `json:"body,omitempty"`
	BodyBase64      []byte   `json:"body_base64,omitempty"`
}

// asideJSON is what there is to say of a fetch before its error.
type asideJSON struct {
	Paid      bool     `json:"paid,omitempty"`
	AmountSat uint64   `json:"amount_paid_sat,omitempty"`
	FeeSat    uint64   `json:"fee_paid_sat,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

func resultOf(res *fetch.Result) resultJSON {
	return resultJSON{URL: res.URL, Status: res.Status, ContentType: res.ContentType, Size: res.Size, Resumed: res.Resumed,
		Output: res.Output, Token: res.Token, Paid: res.Paid, AmountSat: l402http.Sat(res.Amount),
		FeeSat: l402http.Sat(res.Fee), DurationMS: res.Took.Milliseconds(), Warnings: res.Warnings}
}

// report prints the fetch as JSON: to standard output when the body is in it or
// in a file, else to standard error, and before an error what was paid and
// warned of. It returns the error.
func (app *App) report(f *fetchFlags, res *fetch.Result, body *inline, err error) error {
	out := resultOf(res)
	if f.noPay {
		out.PaymentRequired, out.InvoiceSat = new(bool), new(uint64)
	}
	switch {
	case body != nil && answered(res, err):
		if keepErr := body.into(&out, f.toFile()); keepErr != nil {
			return keepErr
		}
		voice.PrintJSON(app.Out, out)
	case err == nil && f.toFile():
		voice.PrintJSON(app.Out, out)
	case err == nil && !f.quiet:
		voice.PrintJSON(app.Err, out)
	case len(res.Warnings) > 0 || res.Paid && err != nil:
		voice.PrintJSON(app.Err, asideJSON{Paid: res.Paid, AmountSat: l402http.Sat(res.Amount), FeeSat: l402http.Sat(res.Fee),
			Warnings: res.Warnings})
	}
	return err
}

// answered reports whether the server's answer came whole, whatever its status.
func answered(res *fetch.Result, err error) bool {
	code := fault.Code(err)
	return err == nil || res.Status >= 400 && res.Offer == nil && (code == fetch.CodeHTTPError || code == fetch.CodePaymentRequired)
}

// maxPrintBody bounds what --print-body prints, in bytes.
const maxPrintBody = 1 << 20

var errTooLarge = errors.New("too large")

// inline is a body that is printed within JSON. What is too large for that and
// cannot be asked for again without paying again goes to a file.
type inline struct {
	bytes.Buffer
	once bool
	file *os.File
}

// answered hears whether the body can be asked for again.
func (b *inline) answered(res *fetch.Result) { b.once = res.SingleUse }

// Write implements [io.Writer].
func (b *inline) Write(p []byte) (int, error) {
	switch {
	case b.file != nil:
		return b.file.Write(p)
	case b.Len()+len(p) <= maxPrintBody:
		return b.Buffer.Write(p)
	case !b.once:
		return 0, errTooLarge
	}
	file, err := os.CreateTemp("", "lnget-*")
	if err != nil {
		return 0, err
	}
	b.file = file
	if _, err := b.WriteTo(file); err != nil {
		return 0, err
	}
	return file.Write(p)
}

// drop removes the file of a body that did not come whole.
func (b *inline) drop() {
	if b.file != nil {
		b.file.Close()
		_ = os.Remove(b.file.Name())
	}
}

// into puts the body into the result, unless it is too large. With -o FILE it is
// there, or, of an error, nowhere.
func (b *inline) into(out *resultJSON, toFile bool) error {
	text := append([]byte{}, b.Bytes()...)
	switch {
	case b.file != nil:
		file := b.file
		b.file = nil
		if err := file.Close(); err != nil {
			return fault.New(fetch.CodeOutput, "", "write output %q: %w", file.Name(), err)
		}
		out.Output = file.Name()
		out.Warnings = append(out.Warnings, fmt.Sprintf("the body is over %d bytes, too large to be printed: it is in %s", maxPrintBody, out.Output))
		return nil
	case toFile && out.Output == "":
		return nil
	case toFile:
		text = readBack(out.Output)
	}
	if utf8.Valid(text) && text != nil {
		s := string(text)
		out.Body = &s
	} else {
		out.BodyBase64 = text
	}
	return nil
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
