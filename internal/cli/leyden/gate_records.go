package leyden

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/gate"
	"github.com/leydenln/leyden/internal/store/gatedb"
)

// recordFlags choose transactions.
type recordFlags struct {
	config, service, state, since string
	limit                         int
}

func (f *recordFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file")
	cmd.Flags().StringVar(&f.service, "service", "", "only those of this service")
	cmd.Flags().StringVar(&f.since, "since", "", "only those made since a date, or in a span of time (24h, 7d)")
	cmd.Flags().IntVar(&f.limit, "limit", 100, "the newest so many; 0 for all")
}

// filter reads the flags.
func (f *recordFlags) filter(cmd *cobra.Command) (gatedb.Filter, error) {
	chosen := gatedb.Filter{Service: f.service, State: gatedb.State(f.state), Limit: f.limit}
	switch chosen.State {
	case "", gatedb.StateOpen, gatedb.StateSettled, gatedb.StateCanceled:
	default:
		return chosen, voice.UsageError(cmd, fmt.Errorf("--state %q: want open, settled or canceled", f.state))
	}
	if f.limit < 0 {
		return chosen, voice.UsageError(cmd, fmt.Errorf("--limit %d: want 0 or more", f.limit))
	}
	if f.since != "" {
		unix, err := past(cmd, f.since)
		if err != nil {
			return chosen, err
		}
		chosen.Since = time.Unix(unix, 0)
	}
	return chosen, nil
}

func gateTransactionsCmd(app *App) *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use:     "transactions",
		Short:   "List what was asked for and what was paid, newest first",
		Example: "  leyden gate transactions --state settled --since 24h",
		Args:    voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(cmd)
			if err != nil {
				return err
			}
			records, err := gate.Transactions(cmd.Context(), app.Home, f.config, filter)
			if err != nil {
				return err
			}
			app.printTransactions(records)
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.state, "state", "", "only those that are open, settled or canceled")
	return cmd
}

// transactionView is a transaction in JSON. Amounts in msat.
type transactionView struct {
	PaymentHash string     `json:"payment_hash"`
	TokenID     string     `json:"token_id"`
	Service     string     `json:"service"`
	State       string     `json:"state"`
	PriceMsat   uint64     `json:"price_msat"`
	PaidMsat    uint64     `json:"paid_msat"`
	Created     time.Time  `json:"created"`
	Expires     time.Time  `json:"expires"` // of the invoice
	Settled     *time.Time `json:"settled"`
	Used        *time.Time `json:"used"` // by a Payment credential
	Revoked     *time.Time `json:"revoked"`
}

func viewTransaction(r gatedb.Record) transactionView {
	return transactionView{r.Hash.String(), r.TokenID.String(), r.Service, string(r.State), uint64(r.Price), uint64(r.Paid),
		r.Created.UTC(), r.Expires.UTC(), orNever(r.Settled), orNever(r.Used), orNever(r.Revoked)}
}

// orNever is nil for the zero time.
func orNever(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

func (app *App) printTransactions(records []gatedb.Record) {
	if app.JSON {
		views := make([]transactionView, len(records))
		for i, r := range records {
			views[i] = viewTransaction(r)
		}
		voice.PrintJSON(app.Out, views)
		return
	}
	if len(records) == 0 {
		fmt.Fprintln(app.Out, "none")
		return
	}
	table(app.Out, "MADE\tSTATE\tPRICE SAT\tPAID SAT\tSERVICE\tPAYMENT HASH", func(w io.Writer) {
		for _, r := range records {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", localTime(r.Created), r.State, sat(uint64(r.Price)), paid(r), r.Service, r.Hash)
		}
	})
}

func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func paid(r gatedb.Record) string {
	if r.State != gatedb.StateSettled {
		return "-"
	}
	return sat(uint64(r.Paid))
}

func gateTokensCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "The tokens that were sold: list and revoke them",
	}
	cmd.AddCommand(gateTokensListCmd(app), gateTokensRevokeCmd(app))
	voice.Group(cmd)
	return cmd
}

func gateTokensListCmd(app *App) *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens that were paid for, newest first",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(cmd)
			if err != nil {
				return err
			}
			filter.State = gatedb.StateSettled
			records, err := gate.Transactions(cmd.Context(), app.Home, f.config, filter)
			if err != nil {
				return err
			}
			app.printTokens(records)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// tokenView is a token in JSON. Amounts in msat.
type tokenView struct {
	ID          string     `json:"id"`
	PaymentHash string     `json:"payment_hash"`
	Service     string     `json:"service"`
	State       string     `json:"state"` // good, used, expired or revoked
	PaidMsat    uint64     `json:"paid_msat"`
	Bought      time.Time  `json:"bought"`
	Expires     *time.Time `json:"expires"`
	Used        *time.Time `json:"used"` // by a Payment credential
	Revoked     *time.Time `json:"revoked"`
	Reason      string     `json:"reason"` // of the revocation
}

func viewToken(r gatedb.Record, now time.Time) tokenView {
	v := tokenView{r.TokenID.String(), r.Hash.String(), r.Service, "good", uint64(r.Paid), r.Settled.UTC(),
		orNever(gate.TokenEnd(r)), orNever(r.Used), orNever(r.Revoked), r.Reason}
	switch {
	case v.Revoked != nil:
		v.State = "revoked"
	case v.Used != nil && v.ID == v.PaymentHash: // there was no token, only the one request
		v.State = "used"
	case v.Expires != nil && !v.Expires.After(now):
		v.State = "expired"
	}
	return v
}

func (app *App) printTokens(records []gatedb.Record) {
	views := make([]tokenView, len(records))
	for i, r := range records {
		views[i] = viewToken(r, time.Now())
	}
	if app.JSON {
		voice.PrintJSON(app.Out, views)
		return
	}
	if len(views) == 0 {
		fmt.Fprintln(app.Out, "none")
		return
	}
	table(app.Out, "BOUGHT\tSTATE\tPAID SAT\tEXPIRES\tSERVICE\tID", func(w io.Writer) {
		for _, v := range views {
			end := "never"
			if v.Expires != nil {
				end = localTime(*v.Expires)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", localTime(v.Bought), v.State, sat(v.PaidMsat), end, v.Service, v.ID)
		}
	})
}

func gateTokensRevokeCmd(app *App) *cobra.Command {
	var config, reason string
	cmd := &cobra.Command{
		Use:   "revoke ID…",
		Short: "Make tokens worthless at once; ID is a token's, or the payment hash it was sold for",
		Args:  voice.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := gate.Revoke(cmd.Context(), app.Home, config, reason, args)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, done)
				return nil
			}
			for _, r := range done {
				fmt.Fprintf(app.Out, "revoked %s\n", r.ID)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return cmd
}
