package lnget

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

// states are what a payment can be.
var states = []string{string(l402http.StatePending), string(l402http.StatePaid), string(l402http.StateFailed),
	string(l402http.StateRefused), string(l402http.StateExpired), string(l402http.StateSpent)}

// filter narrows what payments list lists.
type filter struct {
	domain, state, since string
	limit                int
}

func newPaymentsCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{Use: "payments", Short: "List payments, and resolve those that were interrupted",
		Args: voice.Args(cobra.NoArgs), RunE: help}
	var f filter
	list := &cobra.Command{Use: "list", Short: "List payments, also failed ones, the oldest first", Args: voice.Args(cobra.NoArgs),
		Example: `  lnget payments list --state failed
  lnget payments list --domain api.example.com --since 24h --json | jq '[.[] | .amount_paid_sat] | add'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return app.paymentsList(cmd, f) }}
	list.Flags().StringVar(&f.domain, "domain", "", "only those of a host, host:port or origin")
	list.Flags().StringVar(&f.state, "state", "", "only those that are "+strings.Join(states, ", "))
	list.Flags().StringVar(&f.since, "since", "", "only those since a date (2006-01-02), a time (RFC 3339), or for so long (24h)")
	list.Flags().IntVar(&f.limit, "limit", 0, "only so many of the newest")
	complete(list, "state", states...)
	_ = list.RegisterFlagCompletionFunc("domain", app.domains)
	cmd.AddCommand(list,
		&cobra.Command{Use: "recover", Short: "Ask the node what became of interrupted payments; pays nothing",
			Args: voice.Args(cobra.NoArgs), RunE: app.paymentsRecover})
	return cmd
}

func (app *App) paymentsList(cmd *cobra.Command, f filter) error {
	since, err := f.from(time.Now())
	if err == nil && f.state != "" && !slices.Contains(states, f.state) {
		err = fmt.Errorf("--state %q: want %s", f.state, strings.Join(states, ", "))
	}
	if err == nil && f.limit < 0 {
		err = fmt.Errorf("--limit %d: want 0 or more", f.limit)
	}
	if err != nil {
		return voice.UsageError(cmd, err)
	}
	all, cfg, err := app.selected("", func(p l402http.Purchase) bool {
		return matches(p, f.domain) && (f.state == "" || f.state == stateOf(p)) && !p.Created.Before(since)
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b l402http.Purchase) int { return cmp.Compare(a.Created.UnixNano(), b.Created.UnixNano()) })
	if f.limit > 0 {
		all = all[max(0, len(all)-f.limit):]
	}
	app.printPurchases(all, cfg)
	return nil
}

// from is the time of --since, the zero time without it.
func (f filter) from(now time.Time) (time.Time, error) {
	if f.since == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(f.since); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, f.since, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, f.since)
	if err != nil {
		return t, fmt.Errorf("--since %q: want 2006-01-02, 2006-01-02T15:04:05Z or 24h", f.since)
	}
	return t, nil
}

func (app *App) paymentsRecover(cmd *cobra.Command, _ []string) error {
	cfg, err := app.load()
	if err != nil {
		return err
	}
	client, err := fetch.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	recovered, err := client.Recover(cmd.Context())
	app.printPurchases(recovered, cfg)
	return err
}
