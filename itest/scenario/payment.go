package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"

	"github.com/leydenln/leyden/internal/devnet"
)

// payTime is how long an invoice may wait for its payment before it is given up
// for another.
const payTime = 20 * time.Second

func (r *Run) pay(ctx context.Context) error { return r.transfer(ctx, r.alice(), r.bob(), paid) }
func (r *Run) receive(ctx context.Context) error {
	return r.transfer(ctx, r.bob(), r.alice(), received)
}

// transfer pays once through the run's channel, and waits until nothing of the
// payment is in flight. An lnd that was restarted may keep a payment in flight
// for good that never left it (lnd issue 5152): its invoice is canceled, and
// cannot be paid any more, before there is another.
func (r *Run) transfer(ctx context.Context, from, to *devnet.Node, sat int64) error {
	var invoice *lnrpc.AddInvoiceResponse
	var made time.Time
	err := until(ctx, func(ctx context.Context) (err error) {
		if invoice == nil {
			if invoice, err = to.Lightning().AddInvoice(ctx, &lnrpc.Invoice{Value: sat, Private: true}); err != nil {
				return err
			}
			made = time.Now()
		}
		now, err := to.Lightning().LookupInvoice(ctx, &lnrpc.PaymentHash{RHash: invoice.RHash})
		if err != nil || now.State == lnrpc.Invoice_SETTLED {
			return err
		}
		if time.Since(made) > payTime {
			_, err := invoicesrpc.NewInvoicesClient(to.Conn()).CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: invoice.RHash})
			if err == nil {
				invoice = nil
			}
			return cmp.Or(err, errors.New("the payment did not end, and is given up"))
		}
		if err := r.alice().Connect(ctx, r.bob()); err != nil {
			return err
		}
		return cmp.Or(r.settle(ctx, from, invoice), errors.New("the invoice is not settled yet"))
	})
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		for _, n := range []*devnet.Node{from, to} {
			c, err := r.look(ctx, n)
			if err != nil {
				return err
			}
			if c == nil || len(c.PendingHtlcs) > 0 {
				return fmt.Errorf("%s has an HTLC in flight, or lost its channel", n.Name)
			}
		}
		return nil
	})
}

// settle sends a payment and reads to its end.
func (r *Run) settle(ctx context.Context, from *devnet.Node, invoice *lnrpc.AddInvoiceResponse) error {
	ctx, cancel := context.WithTimeout(ctx, payTime)
	defer cancel()
	stream, err := routerrpc.NewRouterClient(from.Conn()).SendPaymentV2(ctx, &routerrpc.SendPaymentRequest{
		PaymentRequest: invoice.PaymentRequest, TimeoutSeconds: int32(payTime.Seconds()), FeeLimitSat: 1000,
		OutgoingChanIds: []uint64{r.channel.id}, NoInflightUpdates: true,
	})
	if err != nil {
		return err
	}
	p, err := stream.Recv()
	if err == nil && p.Status != lnrpc.Payment_SUCCEEDED {
		err = fmt.Errorf("the payment ended as %v: %v", p.Status, p.FailureReason)
	}
	return err
}
