package lnget

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

func newTokensCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{Use: "tokens", Short: "List and remove what was bought",
		Args: voice.Args(cobra.NoArgs), RunE: help}
	var force bool
	clear := &cobra.Command{Use: "clear", Short: "Remove all tokens", Args: voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if !force {
				return fault.New(voice.CodeUsage, "lnget tokens clear --force", "this removes every token, paid for as they are")
			}
			return app.tokensRemove("")
		}}
	clear.Flags().BoolVar(&force, "force", false, "really remove them")
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the tokens and what they cost", Args: voice.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error { return app.tokensList("") }},
		&cobra.Command{Use: "show DOMAIN|HASH", Short: "Show the tokens of a domain, or one by its payment hash", Args: voice.Args(cobra.ExactArgs(1)),
			ValidArgsFunction: app.domains,
			RunE:              func(_ *cobra.Command, args []string) error { return app.tokensList(args[0]) }},
		&cobra.Command{Use: "remove DOMAIN|HASH", Short: "Remove the tokens of a domain, or one by its payment hash, so that it is paid again",
			Args: voice.Args(cobra.ExactArgs(1)), ValidArgsFunction: app.domains,
			RunE: func(_ *cobra.Command, args []string) error { return app.tokensRemove(args[0]) }},
		clear)
	return cmd
}

// purchaseJSON is a token or a payment without its secrets.
type purchaseJSON struct {
	Domain      string    `json:"domain"`
	Origin      string    `json:"origin"`
	Path        string    `json:"path"`
	State       string    `json:"state"`
	AmountSat   uint64    `json:"amount_paid_sat"`
	AmountMsat  uint64    `json:"amount_paid_msat"`
	FeeMsat     uint64    `json:"fee_paid_msat"`
	Scheme      string    `json:"scheme"`
	SingleUse   bool      `json:"single_use"`
	Services    []string  `json:"services"`
	Used        bool      `json:"used"`
	PaymentHash string    `json:"payment_hash"`
	CreatedAt   time.Time `json:"created_at"`
	PaidAt      time.Time `json:"paid_at,omitzero"`
	Reason      string    `json:"reason,omitempty"`
}

func purchases(all []l402http.Purchase) []purchaseJSON {
	list := make([]purchaseJSON, 0, len(all))
	for _, p := range all {
		j := purchaseJSON{
			Domain: p.Origin.Host(), Origin: string(p.Origin), Path: p.Path, State: stateOf(p),
			Scheme: string(p.Scheme), SingleUse: p.SingleUse(),
			Services: append([]string{}, p.Services()...), Used: used(p), PaymentHash: p.Hash.String(),
			CreatedAt: p.Created.UTC(), PaidAt: p.Paid, Reason: p.Reason, FeeMsat: uint64(p.Fee),
		}
		if !p.Paid.IsZero() {
			j.AmountSat, j.AmountMsat = l402http.Sat(p.Amount), uint64(p.Amount)
		}
		list = append(list, j)
	}
	slices.SortStableFunc(list, func(a, b purchaseJSON) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return list
}

// used says whether the seller ever took what was bought. It did what it refuses
// since, and what is spent.
func used(p l402http.Purchase) bool {
	return p.Used || p.State == l402http.StateSpent || p.State == l402http.StateRefused
}

// stateOf is the state of a purchase now.
func stateOf(p l402http.Purchase) string {
	if p.State == l402http.StatePaid && p.Expired(time.Now()) {
		return string(l402http.StateExpired)
	}
	return string(p.State)
}

// selected returns the purchases of a domain ("" for all) that keep says.
func (app *App) selected(domain string, keep func(l402http.Purchase) bool) ([]l402http.Purchase, fetch.Config, error) {
	cfg, err := app.load()
	if err != nil {
		return nil, cfg, err
	}
	all, err := fetch.NewFileStore(cfg.Tokens.Dir).All()
	if err != nil {
		return nil, cfg, err
	}
	all = slices.DeleteFunc(all, func(p l402http.Purchase) bool { return !keep(p) || !matches(p, domain) })
	if domain != "" && len(all) == 0 {
		return nil, cfg, fault.New("no_token", "lnget tokens list", "no token for %q", domain)
	}
	return all, cfg, nil
}

// matches says whether domain is the purchase's host, host:port or origin, a URL
// there, or its payment hash.
func matches(p l402http.Purchase, domain string) bool {
	if u, err := url.Parse(domain); err == nil && u.Host != "" {
		return l402http.OriginOf(u) == p.Origin
	}
	domain = strings.ToLower(domain)
	_, hostPort, _ := strings.Cut(string(p.Origin), "://")
	return domain == "" || domain == p.Origin.Host() || domain == hostPort || domain == p.Hash.String()
}

func isToken(p l402http.Purchase) bool {
	return p.State != l402http.StatePending && p.State != l402http.StateFailed
}

func (app *App) tokensList(domain string) error {
	all, cfg, err := app.selected(domain, isToken)
	if err != nil {
		return err
	}
	app.printPurchases(all, cfg)
	return nil
}

func (app *App) printPurchases(all []l402http.Purchase, cfg fetch.Config) {
	list := purchases(all)
	if app.asJSON(cfg) {
		voice.PrintJSON(app.Out, list)
		return
	}
	table(app.Out, "ORIGIN\tPATH\tSTATE\tSAT\tWHEN", func(row func(...any)) {
		for _, p := range list {
			row(voice.Plain(p.Origin), voice.Plain(p.Path), p.State, p.AmountSat, p.CreatedAt.Local().Format(time.DateTime))
		}
	})
}

func table(w io.Writer, head string, rows func(row func(...any))) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, head)
	rows(func(cells ...any) {
		fmt.Fprintf(tw, strings.Repeat("%v\t", len(cells)-1)+"%v\n", cells...)
	})
	tw.Flush()
}

func (app *App) tokensRemove(domain string) error {
	all, cfg, err := app.selected(domain, isToken)
	if err != nil {
		return err
	}
	store := fetch.NewFileStore(cfg.Tokens.Dir)
	for _, p := range all {
		if err := store.Remove(p); err != nil {
			return err
		}
	}
	if app.asJSON(cfg) {
		voice.PrintJSON(app.Out, map[string]int{"removed": len(all)})
	} else {
		fmt.Fprintf(app.Out, "removed %d\n", len(all))
	}
	return nil
}
