//lint:file-ignore SA1019 clients still read deprecated fields

package guard

import (
	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/protobuf/proto"
)

// paidPayment is what the payer is shown of a transfer: as lnd would, with one
// HTLC to the node itself, since clients add up what a payment cost from its
// HTLCs.
func (t *transfer) paidPayment() *lnrpc.Payment {
	p, now := t.payment, t.guard.opts.Now()
	sat, msat := int64(p.Amount/1000), int64(p.Amount)
	return &lnrpc.Payment{
		PaymentHash:     p.Hash.String(),
		PaymentPreimage: t.invoice.Preimage.String(),
		PaymentRequest:  p.PaymentRequest,
		Value:           sat,
		ValueSat:        sat,
		ValueMsat:       msat,
		CreationDate:    p.Created.Unix(),
		CreationTimeNs:  p.Created.UnixNano(),
		Status:          lnrpc.Payment_SUCCEEDED,
		Htlcs: []*lnrpc.HTLCAttempt{{
			AttemptId:     uint64(p.Index),
			Status:        lnrpc.HTLCAttempt_SUCCEEDED,
			AttemptTimeNs: p.Created.UnixNano(),
			ResolveTimeNs: now.UnixNano(),
			Preimage:      t.invoice.Preimage[:],
			Route: &lnrpc.Route{
				TotalAmt: sat, TotalAmtMsat: msat,
				Hops: []*lnrpc.Hop{{PubKey: p.Payee.String(), AmtToForward: sat, AmtToForwardMsat: msat}},
			},
		}},
	}
}

// paidInvoice is what the payee is shown: the invoice as it was made, settled.
func (t *transfer) paidInvoice() (*lnrpc.Invoice, error) {
	inv := new(lnrpc.Invoice)
	if err := proto.Unmarshal(t.invoice.Last, inv); err != nil {
		return nil, err
	}
	inv.State, inv.Settled = lnrpc.Invoice_SETTLED, true
	inv.SettleDate = t.guard.opts.Now().Unix()
	inv.RPreimage = t.invoice.Preimage[:]
	inv.AmtPaid, inv.AmtPaidMsat = int64(t.payment.Amount), int64(t.payment.Amount)
	inv.AmtPaidSat = int64(t.payment.Amount / 1000)
	return inv, nil
}
