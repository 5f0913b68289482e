package lnget

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

// dryRunJSON is what --dry-run prints: the offer, as --no-pay prints it, and
// what would be sent.
type dryRunJSON struct {
	DryRun bool `json:"dry_run"`
	offerJSON
	WithinBudget bool              `json:"within_budget"`
	Method       string            `json:"method"`
	Headers      map[string]string `json:"headers"`
	BodyBytes    int               `json:"body_bytes"`
	Output       string            `json:"output,omitempty"`
	HasToken     bool              `json:"has_cached_token"`
	Token        *purchaseJSON     `json:"token,omitempty"`
}

// secretHeaders are not shown.
var secretHeaders = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// dryRun prints what the fetch would send and pay. With a token that fits
// nothing would be paid unless the seller refuses it.
func (app *App) dryRun(cmd *cobra.Command, client *fetch.Client, req fetch.Request, cfg fetch.Config) error {
	p, err := client.Preview(cmd.Context(), req)
	if err != nil {
		return err
	}
	out := dryRunJSON{DryRun: true, offerJSON: offerOf(&p.Result, cfg), Method: p.Method, Headers: headersOf(p.Header),
		BodyBytes: len(p.Body), Output: p.Output, HasToken: p.Held != nil}
	out.WithinBudget = p.Offer == nil || fault.Code(p.Offer.Problem) != l402http.CodeOverMaxCost
	out.WouldPay = out.WouldPay && p.Held == nil
	if p.Held != nil {
		out.Token = &purchases([]l402http.Purchase{*p.Held})[0]
	}
	if app.asJSON(cfg) {
		voice.PrintJSON(app.Out, out)
		return nil
	}
	fmt.Fprintf(app.Out, "%s %s\n", out.Method, p.URL)
	for _, name := range slices.Sorted(maps.Keys(out.Headers)) {
		fmt.Fprintf(app.Out, "  %s: %s\n", name, voice.Plain(out.Headers[name]))
	}
	if out.BodyBytes > 0 {
		fmt.Fprintf(app.Out, "  and a body of %d bytes\n", out.BodyBytes)
	}
	if out.Token != nil {
		fmt.Fprintf(app.Out, "with the token bought for %s on %s for %d sat\n", out.Token.Path,
			out.Token.CreatedAt.Local().Format(time.DateTime), out.Token.AmountSat)
	}
	if p.Offer == nil {
		fmt.Fprintf(app.Out, "a HEAD request is answered %d %s: nothing to pay\n", p.Status, http.StatusText(p.Status))
		return nil
	}
	app.describe(out.offerJSON, p.Offer.Problem)
	return nil
}

func headersOf(h http.Header) map[string]string {
	all := map[string]string{}
	for name, values := range h {
		all[name] = strings.Join(values, ", ")
		if slices.Contains(secretHeaders, name) {
			all[name] = "(not shown)"
		}
	}
	return all
}
