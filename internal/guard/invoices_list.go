package guard

import (
	"context"
	"math"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/account"
)

const (
	// defaultInvoices is how many invoices a list has at most where the client
	// does not say, as with lnd; maxPage is how many invoices or payments a list
	// has whatever the client says. Whoever wants more asks again from
	// last_index_offset.
	defaultInvoices = 100
	maxPage         = 10_000

	// latestSecond is beyond any date: the year 36812.
	latestSecond = 1 << 40
)

// listInvoices answers ListInvoices from the ledger. Only invoices that may have
// changed without lnd saying so are asked for.
func listInvoices(
	ctx context.Context, c *accountCall, req *lnrpc.ListInvoiceRequest,
) (*lnrpc.ListInvoiceResponse, error) {
	page, err := invoicePage(req)
	if err != nil {
		return nil, err
	}
	rows, err := c.guard.opts.Ledger.Invoices(ctx, c.account.ID, page)
	if err != nil {
		return nil, c.guard.ledgerFailed(err)
	}
	resp := new(lnrpc.ListInvoiceResponse)
	if len(rows) > 0 {
		resp.FirstIndexOffset, resp.LastIndexOffset = rows[0].Index, rows[len(rows)-1].Index
	}
	for _, row := range rows {
		var latest *lnrpc.Invoice
		if c.guard.changesSilently(row) {
			if row, latest, err = c.guard.refreshInvoice(ctx, c.lnd, row); err != nil {
				return nil, err
			}
			if page.Open && resolved(row) {
				continue
			}
		}
		shown, err := c.guard.showInvoice(row, latest)
		if err != nil {
			return nil, err
		}
		resp.Invoices = append(resp.Invoices, shown)
	}
	return resp, nil
}

// invoicePage reads what part of the list is asked for.
func invoicePage(req *lnrpc.ListInvoiceRequest) (account.Page, error) {
	start, end := req.GetCreationDateStart(), req.GetCreationDateEnd()
	if start != 0 && end != 0 && start >= end {
		return account.Page{}, badRequest("start date(%d) must be before end date(%d)", start, end)
	}
	page := account.Page{
		Offset:   position(req.GetIndexOffset()),
		Max:      min(req.GetNumMaxInvoices(), maxPage),
		Reversed: req.GetReversed(),
		Open:     req.GetPendingOnly(),
	}
	if page.Max == 0 {
		page.Max = defaultInvoices
	}
	if start != 0 {
		page.From = time.Unix(int64(min(start, latestSecond)), 0)
	}
	if end != 0 { // the whole of that second
		page.Until = time.Unix(int64(min(end, latestSecond))+1, 0).Add(-time.Millisecond)
	}
	return page, nil
}

// changesSilently says whether an invoice may have changed at lnd without an
// event: a hold invoice is accepted, one past its expiry is cancelled.
func (g *Guard) changesSilently(row account.Invoice) bool {
	return !resolved(row) && (row.Preimage == nil || g.expired(row))
}

func (g *Guard) expired(row account.Invoice) bool { return !g.opts.Now().Before(row.Expires) }

// position is a client's index within what the ledger can count to.
func position(index uint64) uint64 { return min(index, math.MaxInt64) }
