package lightning

import (
	"context"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/lndwire"
)

// InvoiceState is an invoice's state in lnd.
type InvoiceState string

// The states of an invoice. Accepted: HTLCs are held, the preimage is not out.
const (
	InvoiceOpen     InvoiceState = "OPEN"
	InvoiceSettled  InvoiceState = "SETTLED"
	InvoiceCanceled InvoiceState = "CANCELED"
	InvoiceAccepted InvoiceState = "ACCEPTED"
)

// NewInvoice asks for an invoice.
type NewInvoice struct {
	Memo   string
	Value  lnwire.MilliSatoshi // msat
	Expiry time.Duration       // whole seconds; 0: lnd's default

	// Preimage settles the invoice; zero: lnd chooses one. Choosing it says
	// the payment hash before lnd is asked, so that an invoice can be recorded
	// first and cancelled whatever became of the call.
	Preimage lntypes.Preimage
}

// Invoice is an invoice of this node.
type Invoice struct {
	Hash           lntypes.Hash
	PaymentRequest string // BOLT 11
	Memo           string
	Value          lnwire.MilliSatoshi // msat asked for
	AmountPaid     lnwire.MilliSatoshi // msat really received
	State          InvoiceState
	AddIndex       uint64
	SettleIndex    uint64
	Created        time.Time
	Settled        time.Time // zero until settled
	Expiry         time.Duration
}

// AddInvoice makes an invoice (permission invoices:write). Only hash, payment request and add index are filled in.
func (c *Client) AddInvoice(ctx context.Context, n NewInvoice) (Invoice, error) {
	req := &lndwire.Invoice{Memo: n.Memo, ValueMsat: int64(n.Value), Expiry: int64(n.Expiry / time.Second)}
	if n.Preimage != (lntypes.Preimage{}) {
		req.RPreimage = n.Preimage[:]
	}
	var r lndwire.AddInvoiceResponse
	if err := c.Invoke(ctx, "/lnrpc.Lightning/AddInvoice", req, &r); err != nil {
		return Invoice{}, err
	}
	hash, err := lntypes.MakeHash(r.RHash)
	if err != nil {
		return Invoice{}, fault.New(CodeNode, "", "node %s: AddInvoice answered no payment hash: %w", c.host, err)
	}
	return Invoice{Hash: hash, PaymentRequest: r.PaymentRequest, Memo: n.Memo, Value: n.Value,
		State: InvoiceOpen, AddIndex: r.AddIndex, Expiry: n.Expiry}, nil
}

// LookupInvoice finds an invoice by payment hash (permission invoices:read);
// code not_found when lnd has none.
func (c *Client) LookupInvoice(ctx context.Context, hash lntypes.Hash) (Invoice, error) {
	var r lndwire.Invoice
	if err := c.Invoke(ctx, "/lnrpc.Lightning/LookupInvoice", &lndwire.PaymentHash{RHash: hash[:]}, &r); err != nil {
		return Invoice{}, err
	}
	return invoice(&r)
}

// CancelInvoice cancels an open or accepted invoice (permission
// invoices:write). lnd answers nil also for one cancelled before.
func (c *Client) CancelInvoice(ctx context.Context, hash lntypes.Hash) error {
	return c.Invoke(ctx, "/invoicesrpc.Invoices/CancelInvoice",
		&lndwire.CancelInvoiceMsg{PaymentHash: hash[:]}, &lndwire.Empty{})
}

// SubscribeInvoices calls each for every invoice added or settled after the
// given indices, until ctx ends, the stream breaks or each returns an error.
// An index of 0 replays nothing of its kind (lnd's rule). It never returns nil.
func (c *Client) SubscribeInvoices(ctx context.Context, addIndex, settleIndex uint64, each func(Invoice) error) error {
	const method = "/lnrpc.Lightning/SubscribeInvoices"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.stream(ctx, method, &lndwire.InvoiceSubscription{AddIndex: addIndex, SettleIndex: settleIndex})
	if err != nil {
		return err
	}
	for {
		var r lndwire.Invoice
		if err := s.RecvMsg(&r); err != nil {
			return c.explain(method, err)
		}
		inv, err := invoice(&r)
		if err != nil {
			return err
		}
		if err := each(inv); err != nil {
			return err
		}
	}
}

func invoice(r *lndwire.Invoice) (Invoice, error) {
	hash, err := lntypes.MakeHash(r.RHash)
	if err != nil {
		return Invoice{}, fault.New(CodeNode, "", "invoice without a payment hash: %w", err)
	}
	inv := Invoice{
		Hash: hash, PaymentRequest: r.PaymentRequest, Memo: r.Memo,
		Value: lnwire.MilliSatoshi(r.ValueMsat), AmountPaid: lnwire.MilliSatoshi(r.AmtPaidMsat),
		State: InvoiceState(r.State.String()), AddIndex: r.AddIndex, SettleIndex: r.SettleIndex,
		Created: time.Unix(r.CreationDate, 0), Expiry: time.Duration(r.Expiry) * time.Second,
	}
	if r.SettleDate > 0 {
		inv.Settled = time.Unix(r.SettleDate, 0)
	}
	return inv, nil
}
