package guard

import (
	"context"
	"math"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/account"
)

// listPayments answers ListPayments from the ledger, with the account's own
// numbers for indices.
func listPayments(ctx context.Context, c *accountCall, req *lnrpc.ListPaymentsRequest) (*lnrpc.ListPaymentsResponse, error) {
	start, end := req.GetCreationDateStart(), req.GetCreationDateEnd()
	if start != 0 && end != 0 && start >= end {
		return nil, badRequest("start date(%d) must be before end date(%d)", start, end)
	}
	from, until := creationBounds(start, end)
	list, total, err := c.guard.opts.Ledger.Payments(ctx, c.account.ID, account.Page{
		Offset: min(req.GetIndexOffset(), math.MaxInt64), Max: min(req.GetMaxPayments(), maxPage),
		Reversed: req.GetReversed(), From: from, Until: until, Unfinished: req.GetIncludeIncomplete(),
	})
	if err != nil {
		return nil, err
	}
	answer := &lnrpc.ListPaymentsResponse{Payments: make([]*lnrpc.Payment, len(list))}
	for i, payment := range list {
		shown, err := c.shown(payment)
		if err != nil {
			return nil, err
		}
		if req.GetOmitHops() {
			for _, h := range shown.GetHtlcs() {
				if h.GetRoute() != nil {
					h.Route.Hops = nil
				}
			}
		}
		answer.Payments[i] = shown
	}
	if len(list) > 0 {
		answer.FirstIndexOffset = list[0].Index
		answer.LastIndexOffset = list[len(list)-1].Index
	}
	if req.GetCountTotalPayments() {
		answer.TotalNumPayments = total
	}
	return answer, nil
}
