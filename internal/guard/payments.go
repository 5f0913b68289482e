package guard

import (
	"context"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
)

// paymentRules are the rules of the methods about payments: an account makes
// its own, reserved before lnd hears of them, and sees no others.
func paymentRules() map[string]rule {
	return map[string]rule{
		"/routerrpc.Router/SendPaymentV2":  stream(sendPayment),
		"/routerrpc.Router/SendToRouteV2":  unary(sendToRoute),
		"/routerrpc.Router/TrackPaymentV2": stream(trackPayment),
		"/routerrpc.Router/TrackPayments":  stream(trackPayments),
		"/lnrpc.Lightning/ListPayments":    costly(unary(listPayments)),
	}
}

// judge is what this call's requests are read against.
func (c *accountCall) judge() judge {
	return judge{params: c.lnd.params, identity: c.lnd.identity, now: c.guard.opts.Now()}
}

// sendPayment answers SendPaymentV2. Once the payment is handed to lnd it goes
// on without the client.
func sendPayment(ctx context.Context, c *accountCall, req *routerrpc.SendPaymentRequest, send func(proto.Message) error) error {
	question := c.lnd.question()
	defer question.end()
	in, clean, err := c.judge().readSend(req)
	if err != nil {
		return err
	}
	if ours, err := c.sendTransfer(ctx, in, req, send); ours || err != nil {
		return err
	}
	if limit := c.account.Limits.MaxTimeLock; limit != 0 && (in.timeLock == 0 || in.timeLock > limit) {
		in.timeLock = limit
	}
	p, err := c.take(ctx, in, false, question)
	if err != nil {
		return err
	}
	clean.FeeLimitMsat, clean.CltvLimit, clean.MaxParts = int64(p.payment.MaxFee), int32(in.timeLock), p.granted()
	w, stop := c.guard.payments.watch(c.account.ID, p.payment.ID)
	defer stop()
	if !c.lnd.spawn(func() { p.pay(clean) }) {
		p.callOff()
		return errNotAttached
	}
	return w.relay(ctx, c.lnd, req.GetNoInflightUpdates(), send)
}

// take reserves a payment and returns who sees it through, with one call to lnd
// counted. exactFee is for a route, whose fee is fixed. The question has not been
// asked yet.
func (c *accountCall) take(ctx context.Context, in intent, exactFee bool, question *question) (*payer, error) {
	before, err := question.payment(in.hash)
	switch {
	case err != nil:
		return nil, lndError(err)
	case before.GetStatus() == lnrpc.Payment_SUCCEEDED:
		return nil, errAlreadyPaid
	case before != nil && !isFinal(before):
		return nil, errInFlight
	}
	defer c.guard.payments.taking.lock(in.hash)()
	if !c.guard.payments.tries.allow(c.account.ID, paymentRate, c.guard.opts.Now()) {
		return nil, errManyPayments
	}
	payment, err := c.guard.opts.Ledger.Reserve(context.WithoutCancel(ctx), c.by, account.Spend{
		Account: c.account.ID, Hash: in.hash, Amount: in.amount, MaxFee: in.maxFee, ExactFee: exactFee,
		Payee: in.payee, FinalCLTV: in.finalCLTV, TimeLock: in.timeLock,
		PaymentRequest: in.paymentRequest, Memo: in.memo,
		Run: c.lnd.Run, AfterIndex: c.lnd.newest.Load(),
	})
	if err != nil {
		c.guard.payments.tries.giveBack(c.account.ID, paymentRate)
		return nil, err
	}
	p := c.guard.newPayer(c.lnd, payment)
	p.calls = 1
	c.guard.payments.add(p, in.parts)
	switch {
	case c.guard.operatorPaying(in.hash):
		err = errInFlight
	case c.lnd.ctx.Err() != nil:
		err = errNotAttached
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	if err != nil {
		p.callOff()
		return nil, err
	}
	return p, nil
}

// notOurs refuses to send a route to an invoice that an account of this node has
// made, by whichever path it asks to be paid.
func (c *accountCall) notOurs(ctx context.Context, hash lntypes.Hash) error {
	_, err := c.guard.opts.Ledger.InvoiceByHash(ctx, hash)
	switch {
	case fault.Code(err) == account.CodeNotFound:
		return nil
	case err != nil:
		return err
	}
	return errSameNode
}

// trackPayment answers TrackPaymentV2 for the account's own payments.
func trackPayment(ctx context.Context, c *accountCall, req *routerrpc.TrackPaymentRequest, send func(proto.Message) error) error {
	hash, err := lntypes.MakeHash(req.GetPaymentHash())
	if err != nil {
		return badRequest("%v", err)
	}
	payment, err := c.guard.opts.Ledger.PaymentByHash(ctx, c.account.ID, hash)
	if fault.Code(err) == account.CodeNotFound {
		return errUnknownPayment
	}
	if err != nil {
		return err
	}
	w, stop := c.guard.payments.watch(c.account.ID, payment.ID)
	defer stop()
	// What was settled before the watch began is in the ledger by now.
	if payment, err = c.guard.opts.Ledger.PaymentByHash(ctx, c.account.ID, hash); err != nil {
		return err
	}
	if payment.State == account.StateOpen && req.GetNoInflightUpdates() {
		return w.relay(ctx, c.lnd, true, send)
	}
	state, err := c.shown(payment)
	if err != nil {
		return err
	}
	if err := send(state); err != nil || payment.State != account.StateOpen {
		return err
	}
	return w.relay(ctx, c.lnd, req.GetNoInflightUpdates(), send)
}

// trackPayments answers TrackPayments: the account's open payments, and then
// whatever becomes of its payments.
func trackPayments(ctx context.Context, c *accountCall, req *routerrpc.TrackPaymentsRequest, send func(proto.Message) error) error {
	w, stop := c.guard.payments.watch(c.account.ID, 0)
	defer stop()
	if !req.GetNoInflightUpdates() {
		open, err := c.guard.opts.Ledger.OpenPayments(ctx, &c.account.ID)
		if err != nil {
			return err
		}
		for _, payment := range open {
			state, err := c.shown(payment)
			if err != nil {
				return err
			}
			if err := send(state); err != nil {
				return err
			}
		}
	}
	return w.relay(ctx, c.lnd, req.GetNoInflightUpdates(), send)
}

// shown is what the account sees of its payment now.
func (c *accountCall) shown(payment account.Payment) (*lnrpc.Payment, error) {
	if payment.State == account.StateOpen {
		if p := c.guard.payments.payer(payment.Hash); p != nil {
			if state := p.state(payment.ID); state != nil {
				return state, nil
			}
		}
	}
	return recordedPayment(payment)
}
