package leyden

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// limitFlags are the flags that set limits. Amounts in sat.
type limitFlags struct {
	maxPayment, maxFee, hour, day, week, month, maxInvoice uint64
	feePPM, inFlight, finalCLTV, timeLock, openInvoices    uint32
	payments                                               string
	private                                                bool
	allow, deny                                            []string
}

func (l *limitFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false // some say what they say of the one before
	f.Uint64Var(&l.maxPayment, "max_payment", 0, "most that one payment may be, in sat, without its fee")
	f.Uint64Var(&l.maxFee, "max_fee", 0, "most that the fee of one payment may be, in sat")
	f.Uint32Var(&l.feePPM, "max_fee_ppm", 0, "the same, in millionths of the amount")
	f.Uint64Var(&l.hour, "limit_hour", 0, "most that may be spent in any hour, in sat, fees included")
	f.Uint64Var(&l.day, "limit_day", 0, "the same, in any 24 hours")
	f.Uint64Var(&l.week, "limit_week", 0, "the same, in any 7 days")
	f.Uint64Var(&l.month, "limit_month", 0, "the same, in any 30 days")
	f.StringVar(&l.payments, "max_payments", "", "most payments in any span of time: 10/1h")
	f.Uint32Var(&l.inFlight, "max_in_flight", 0, fmt.Sprintf("most payments in flight at once (default %d)", policy.DefaultInFlight))
	f.Uint32Var(&l.finalCLTV, "max_final_cltv", 0, "longest lock that an invoice may ask of the last hop, in blocks")
	f.Uint32Var(&l.timeLock, "max_time_lock", 0, "longest lock of a whole route, in blocks")
	f.Uint32Var(&l.openInvoices, "max_open_invoices", 0, fmt.Sprintf("most invoices open at once (default %d)", policy.DefaultOpenInvoices))
	f.Uint64Var(&l.maxInvoice, "max_invoice", 0, "most that one invoice may ask for, in sat")
	f.BoolVar(&l.private, "private_invoices", false, "allow invoices that show the node's unannounced channels")
	f.StringSliceVar(&l.allow, "allow_payee", nil, "pay only this node's public key; may be repeated")
	f.StringSliceVar(&l.deny, "deny_payee", nil, "never pay this node's public key; may be repeated")
}

// read returns what was given; nil if nothing was.
func (l *limitFlags) read(cmd *cobra.Command) (*leydenv1.Limits, error) {
	out, some := &leydenv1.Limits{}, false
	given := func(name string) bool {
		is := cmd.Flags().Changed(name)
		some = some || is
		return is
	}
	for name, field := range map[string]struct {
		sat uint64
		to  **uint64
	}{
		"max_payment": {l.maxPayment, &out.MaxPaymentMsat}, "max_fee": {l.maxFee, &out.MaxFeeMsat},
		"limit_hour": {l.hour, &out.LimitHourMsat}, "limit_day": {l.day, &out.LimitDayMsat},
		"limit_week": {l.week, &out.LimitWeekMsat}, "limit_month": {l.month, &out.LimitMonthMsat},
		"max_invoice": {l.maxInvoice, &out.MaxInvoiceMsat},
	} {
		if !given(name) {
			continue
		}
		if field.sat > maxSat {
			return nil, voice.UsageError(cmd, fmt.Errorf("--%s %d: more sat than there are", name, field.sat))
		}
		*field.to = new(field.sat * 1000)
	}
	for name, field := range map[string]struct {
		n  uint32
		to **uint32
	}{
		"max_fee_ppm": {l.feePPM, &out.MaxFeePpm}, "max_in_flight": {l.inFlight, &out.MaxInFlight},
		"max_final_cltv": {l.finalCLTV, &out.MaxFinalCltv}, "max_time_lock": {l.timeLock, &out.MaxTimeLock},
		"max_open_invoices": {l.openInvoices, &out.MaxOpenInvoices},
	} {
		if given(name) {
			*field.to = new(field.n)
		}
	}
	if given("private_invoices") {
		out.PrivateInvoices = &l.private
	}
	var err error
	if given("max_payments") {
		out.MaxPayments, out.MaxPaymentsPerSeconds, err = rate(cmd, l.payments)
	}
	if given("allow_payee") && err == nil {
		out.AllowPayees, err = payees(cmd, l.allow)
	}
	if given("deny_payee") && err == nil {
		out.DenyPayees, err = payees(cmd, l.deny)
	}
	if err != nil || !some {
		return nil, err
	}
	return out, nil
}

// maxSat is all the sat there will be.
const maxSat = uint64(policy.MaxAmount) / 1000

// rate reads COUNT/SPAN: 10/1h.
func rate(cmd *cobra.Command, text string) (count, seconds *uint32, err error) {
	number, per, ok := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	var d time.Duration
	if err == nil && ok {
		d, err = span(per)
	}
	if err != nil || !ok || d < time.Second || d%time.Second != 0 || d > 366*policy.Day {
		return nil, nil, voice.UsageError(cmd, fmt.Errorf("--max_payments %q: want a number and a span of time, such as 10/1h", text))
	}
	return new(uint32(n)), new(uint32(d / time.Second)), nil
}

func payees(cmd *cobra.Command, keys []string) ([][]byte, error) {
	var out [][]byte
	for _, text := range keys {
		key, err := policy.ParsePubKey(text)
		if err != nil {
			return nil, voice.UsageError(cmd, err)
		}
		out = append(out, key[:])
	}
	return out, nil
}

func accountsLimitsCmd(app *App, t *target) *cobra.Command {
	var w who
	var limits limitFlags
	var none []string
	cmd := &cobra.Command{
		Use:   "limits ID|LABEL",
		Short: "Show an account's limits and what is used of them, or change some",
		Long: `Shows the limits of an account and what counts against them now. Limits that are
given replace the old ones, the others stay; they hold from the next payment on.
--none NAME ends a limit, --none all ends them all.`,
		Example: `  leyden accounts limits agent
  leyden accounts limits agent --limit_day 5000 --max_payments 10/1h
  leyden accounts limits agent --none limit_day`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := w.only(cmd, args)
			if err != nil {
				return err
			}
			set, err := limits.read(cmd)
			if err != nil {
				return err
			}
			if len(none) == 1 && none[0] == "all" {
				none = api.LimitNames()
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				return app.limits(ctx, c, &leydenv1.UpdateRequest{Account: name, Limits: set, Lift: none})
			})
		},
	}
	w.flags(cmd)
	limits.flags(cmd)
	cmd.Flags().StringSliceVar(&none, "none", nil, "end this limit, such as limit_day; may be repeated")
	return cmd
}

func (app *App) limits(ctx context.Context, c *api.Client, req *leydenv1.UpdateRequest) error {
	var got *leydenv1.GetResponse
	var err error
	if req.Limits == nil && len(req.Lift) == 0 {
		got, err = c.Accounts.Get(ctx, &leydenv1.AccountRequest{Account: req.Account})
	} else {
		got, err = c.Accounts.Update(ctx, req)
	}
	if err != nil {
		return err
	}
	if app.JSON {
		voice.PrintJSON(app.Out, map[string]any{
			"id": got.Account.Id, "label": got.Account.Label,
			"limits": viewLimits(got.Account.Limits), "used": viewUsage(got.Usage),
		})
		return nil
	}
	fmt.Fprintf(app.Out, "account %s, %s sat available\n", called(got.Account), sat(got.Account.AvailableMsat))
	lines := limitLines(got.Account.Limits, got.Usage)
	if len(lines) == 0 {
		fmt.Fprintln(app.Out, "no limits but the balance")
		return nil
	}
	table(app.Out, "LIMIT\tVALUE\tUSED", func(w io.Writer) {
		for _, l := range lines {
			fmt.Fprintf(w, "%s\t%s\t%s\n", l.name, l.value, l.used)
		}
	})
	return nil
}

func hexes(keys [][]byte) []string {
	var out []string
	for _, key := range keys {
		out = append(out, hex.EncodeToString(key))
	}
	return out
}
