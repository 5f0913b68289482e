package leyden

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// paymentView is a payment of an account in JSON.
type paymentView struct {
	Index        uint64     `json:"index"`
	Account      string     `json:"account"`
	Hash         string     `json:"payment_hash"`
	State        string     `json:"state"`
	AmountMsat   uint64     `json:"amount_msat"`
	FeeMsat      uint64     `json:"fee_msat"`
	PaidMsat     uint64     `json:"paid_msat"`
	ReservedMsat uint64     `json:"reserved_msat"`
	Payee        string     `json:"payee,omitempty"`
	Request      string     `json:"payment_request,omitempty"`
	Created      time.Time  `json:"created"`
	Resolved     *time.Time `json:"resolved"`
	Reason       string     `json:"reason,omitempty"`
}

func viewPayments(list []*leydenv1.Payment) []paymentView {
	views := make([]paymentView, len(list))
	for i, p := range list {
		views[i] = paymentView{
			Index: p.Index, Account: p.Account, Hash: hex.EncodeToString(p.Hash), State: p.State,
			AmountMsat: p.AmountMsat, FeeMsat: p.FeeMsat, PaidMsat: p.PaidMsat, ReservedMsat: p.ReservedMsat,
			Payee: hex.EncodeToString(p.Payee), Request: p.PaymentRequest,
			Created: date(p.Created), Resolved: dateOrNever(p.Resolved), Reason: p.Reason,
		}
	}
	return views
}

func accountsPaymentsCmd(app *App, t *target) *cobra.Command {
	var w who
	req := &leydenv1.PaymentsRequest{}
	cmd := &cobra.Command{
		Use:     "payments ID|LABEL",
		Aliases: []string{"p"},
		Short:   "List the payments of an account, oldest first",
		Long: `Lists the newest payments of an account, or with --index_offset those that follow
the payment with that index.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if req.Account, err = w.only(cmd, args); err != nil {
				return err
			}
			req.Reversed = !cmd.Flags().Changed("index_offset")
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				page, err := c.Accounts.Payments(ctx, req)
				if err != nil {
					return err
				}
				if app.JSON {
					voice.PrintJSON(app.Out, map[string]any{"payments": viewPayments(page.Payments), "total": page.Total})
					return nil
				}
				app.printPayments(page.Payments)
				fmt.Fprintf(app.Out, "%d of %d payments\n", len(page.Payments), page.Total)
				return nil
			})
		},
	}
	w.flags(cmd)
	cmd.Flags().Uint64Var(&req.Max, "max_payments", 20, "how many, at most 1000")
	cmd.Flags().Uint64Var(&req.Offset, "index_offset", 0, "list those after this index")
	return cmd
}

func (app *App) printPayments(list []*leydenv1.Payment) {
	if len(list) == 0 {
		return
	}
	table(app.Out, "INDEX\tTIME\tSTATE\tAMOUNT\tFEE\tPAYMENT HASH", func(w io.Writer) {
		for _, p := range list {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%x\n", p.Index, time.Unix(p.Created, 0).Format(time.DateTime),
				standing(p), sat(p.AmountMsat), sat(p.FeeMsat), p.Hash)
		}
	})
}

// standing is a payment's state, of an open one with how long it has been so.
func standing(p *leydenv1.Payment) string {
	if p.Resolved == 0 {
		return p.State + " for " + age(p.Created, time.Now())
	}
	return p.State
}
