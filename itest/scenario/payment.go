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
// payment is in flight.
func (r *Run) transfer(ctx context.Context, from, to *devnet.Node, sat int64) error {
	p := payment{run: r, from: from, to: to, sat: sat}
	for {
		err := until(ctx, p.make)
		if err == nil {
			err = until(ctx, p.landed)
		}
		if !r.replaces(err) {
			return err
		}
		if err := r.open(ctx); err != nil {
			return err
		}
	}
}

// payment is one that is made once, whatever comes between.
type payment struct {
	run      *Run
	from, to *devnet.Node
	sat      int64

	invoice *lnrpc.AddInvoiceResponse // the one to pay now, nil for none
	made    time.Time
}

// make pays unless it has. An lnd that was restarted may keep a payment in flight
// for good that never left it (lnd issue 5152): its invoice is canceled, and
// cannot be paid any more, before there is another.
func (p *payment) make(ctx context.Context) (err error) {
	if p.invoice == nil {
		if p.invoice, err = p.to.Lightning().AddInvoice(ctx, &lnrpc.Invoice{Value: p.sat, Private: true}); err != nil {
			return err
		}
		p.made = time.Now()
	}
	now, err := p.to.Lightning().LookupInvoice(ctx, &lnrpc.PaymentHash{RHash: p.invoice.RHash})
	if err != nil || now.State == lnrpc.Invoice_SETTLED {
		return err
	}
	if time.Since(p.made) > payTime {
		_, err := invoicesrpc.NewInvoicesClient(p.to.Conn()).CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: p.invoice.RHash})
		if err == nil {
			p.invoice = nil
		}
		return cmp.Or(err, errors.New("the payment did not end, and is given up"))
	}
	if err := p.run.stays(ctx); err != nil {
		return err
	}
	if err := p.run.alice().Connect(ctx, p.run.bob()); err != nil {
		return err
	}
	return cmp.Or(p.settle(ctx), errors.New("the invoice is not settled yet"))
}

// landed is an error while an HTLC is in the channel.
func (p *payment) landed(ctx context.Context) error {
	if err := p.run.stays(ctx); err != nil {
		return err
	}
	for _, n := range []*devnet.Node{p.from, p.to} {
		c, err := p.run.look(ctx, n)
		if err != nil {
			return err
		}
		if c == nil || len(c.PendingHtlcs) > 0 {
			return fmt.Errorf("%s has an HTLC in flight, or lost its channel", n.Name)
		}
	}
	return nil
}

// settle sends a payment and reads to its end.
func (p *payment) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, payTime)
	defer cancel()
	req := &routerrpc.SendPaymentRequest{
		PaymentRequest: p.invoice.PaymentRequest, TimeoutSeconds: int32(payTime.Seconds()), FeeLimitSat: 1000, NoInflightUpdates: true,
	}
	if p.run.lost == 0 { // the far side of one that replaced another has nothing to send
		req.OutgoingChanIds = []uint64{p.run.channel.id}
	}
	stream, err := routerrpc.NewRouterClient(p.from.Conn()).SendPaymentV2(ctx, req)
	if err != nil {
		return err
	}
	end, err := stream.Recv()
	if err == nil && end.Status != lnrpc.Payment_SUCCEEDED {
		err = fmt.Errorf("the payment ended as %v: %v", end.Status, end.FailureReason)
	}
	return err
}
