package lnget

import (
	"fmt"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

// offerJSON is what --no-pay --json prints. Without an offer, payment_required
// is false and the price 0.
type offerJSON struct {
	URL             string    `json:"url"`
	Status          int       `json:"status"`
	PaymentRequired bool      `json:"payment_required"`
	AmountSat       uint64    `json:"invoice_amount_sat"`
	AmountMsat      uint64    `json:"invoice_amount_msat"`
	WouldPay        bool      `json:"would_pay"`
	Problem         string    `json:"problem,omitempty"`
	MaxCostSat      int64     `json:"max_cost_sat"`
	Scheme          string    `json:"scheme,omitempty"`
	Services        []string  `json:"services,omitempty"`
	Network         string    `json:"network,omitempty"`
	Description     string    `json:"description,omitempty"`
	Payee           string    `json:"payee,omitempty"`
	PaymentHash     string    `json:"payment_hash,omitempty"`
	Invoice         string    `json:"invoice,omitempty"`
	ExpiresAt       time.Time `json:"expires_at,omitzero"`
	Warnings        []string  `json:"warnings,omitempty"`
}

// offerOf is what the seller asks for.
func offerOf(res *fetch.Result, c fetch.Config) offerJSON {
	out := offerJSON{URL: res.URL, Status: res.Status, MaxCostSat: c.L402.MaxCostSats, Warnings: res.Warnings}
	if o := res.Offer; o != nil {
		out.PaymentRequired, out.WouldPay = true, o.Problem == nil
		out.Problem = fault.Code(o.Problem)
		out.AmountSat, out.AmountMsat = l402http.Sat(o.Amount), uint64(o.Amount)
		out.Scheme, out.Services = string(o.Challenge.Scheme), o.Services()
		out.Network, out.Description, out.Payee = o.Network, o.Description, o.Payee
		out.PaymentHash, out.Invoice, out.ExpiresAt = o.Hash.String(), o.Challenge.Invoice, o.Expires.UTC()
	}
	return out
}

// printOffer prints what the seller asks for; a price is what was asked for,
// so it is no error.
func (app *App) printOffer(res *fetch.Result, c fetch.Config) error {
	out := offerOf(res, c)
	if app.asJSON(c) {
		voice.PrintJSON(app.Out, out)
		return nil
	}
	app.describe(out, res.Offer.Problem)
	return nil
}

// describe prints an offer for people.
func (app *App) describe(out offerJSON, problem error) {
	fmt.Fprintf(app.Out, "%s asks for %d sat\n", out.URL, out.AmountSat)
	fmt.Fprintf(app.Out, "  limit    %d sat (--max-cost)\n", out.MaxCostSat)
	if len(out.Services) > 0 {
		fmt.Fprintf(app.Out, "  service  %s\n", voice.Plain(strings.Join(out.Services, ", ")))
	}
	fmt.Fprintf(app.Out, "  payee    %s (%s)\n", out.Payee, out.Network)
	fmt.Fprintf(app.Out, "  expires  %s\n", out.ExpiresAt.Local().Format(time.DateTime))
	if out.Description != "" {
		fmt.Fprintf(app.Out, "  says     %q\n", out.Description)
	}
	if problem != nil {
		fmt.Fprintf(app.Out, "  would not be paid: %s\n", voice.Plain(problem.Error()))
	}
}
