package guard

import (
	"context"
	"slices"
	"strings"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/policy"
)

var (
	errCanceled = refuse(codes.FailedPrecondition, account.CodeCanceled, "",
		"the invoice was canceled: it can no longer be paid")
	errNotCanceled = refuse(codes.Unavailable, "transfer_failed", "",
		"lnd did not cancel the invoice, without which it could be paid twice; try again")
	errBeingPaid = refuse(codes.AlreadyExists, account.CodeInFlight, "",
		"another account of this node is paying the invoice: it cannot be canceled now")
)

// sendTransfer answers SendPaymentV2 for an invoice of this node. If another of
// its accounts has made it the payment is a transfer: lnd never hears of it,
// but that the invoice is canceled. ours is false for every other payment.
func (c *accountCall) sendTransfer(
	ctx context.Context, in intent, req *routerrpc.SendPaymentRequest, send func(proto.Message) error,
) (ours bool, err error) {
	invoice, err := c.guard.opts.Ledger.InvoiceByHash(ctx, in.hash)
	switch {
	case fault.Code(err) == account.CodeNotFound && !in.toUs:
		return false, nil
	case fault.Code(err) == account.CodeNotFound:
		return true, refuse(codes.PermissionDenied, account.CodeSameNode, c.guard.opts.Program+" accounts create 0 --label seller",
			"the invoice is the node's own, not an account's: pay it from another node, or have an account make it")
	case err != nil:
		return true, err
	case in.paymentRequest == "" || !sameRequest(in.paymentRequest, invoice):
		return true, errSameNode
	case len(req.GetDestCustomRecords()) > 0:
		return true, badRequest("dest_custom_records: between accounts of one node there is nothing that carries them")
	}
	unlock := c.guard.payments.taking.lock(in.hash)
	payment, err := c.takeTransfer(ctx, in)
	if err != nil {
		unlock()
		return true, err
	}
	w, stop := c.guard.payments.watch(c.account.ID, payment.ID)
	defer stop()
	t := &transfer{guard: c.guard, lnd: c.lnd, payment: payment, invoice: invoice, live: true}
	if !c.lnd.spawn(func() { defer unlock(); t.run() }) {
		defer unlock()
		t.release("it was not begun", errNotAttached)
		return true, errNotAttached
	}
	return true, w.relay(ctx, c.lnd, req.GetNoInflightUpdates(), send)
}

// sameRequest says whether a payment request is the invoice's own, not another
// one with its hash.
func sameRequest(request string, invoice account.Invoice) bool {
	made := new(lnrpc.Invoice)
	return proto.Unmarshal(invoice.Last, made) == nil && strings.EqualFold(made.GetPaymentRequest(), request)
}

// takeTransfer reserves a transfer. The caller has locked the hash.
func (c *accountCall) takeTransfer(ctx context.Context, in intent) (account.Payment, error) {
	self, err := policy.ParsePubKey(c.lnd.identity)
	if err != nil {
		return account.Payment{}, err
	}
	if !c.guard.payments.tries.allow(c.account.ID, paymentRate, c.guard.opts.Now()) {
		return account.Payment{}, errManyPayments
	}
	payment, err := c.guard.opts.Ledger.Transfer(context.WithoutCancel(ctx), c.by, account.Spend{
		Account: c.account.ID, Hash: in.hash, Amount: in.amount, Payee: self,
		PaymentRequest: in.paymentRequest, Memo: in.memo, Run: c.lnd.Run, AfterIndex: c.lnd.newest.Load(),
	})
	if err != nil {
		c.guard.payments.tries.giveBack(c.account.ID, paymentRate)
		return account.Payment{}, err
	}
	switch {
	case c.guard.operatorPaying(in.hash):
		err = errInFlight
	case c.lnd.ctx.Err() != nil:
		err = errNotAttached
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	if err != nil {
		t := &transfer{guard: c.guard, lnd: c.lnd, payment: payment, live: true}
		t.release("it was not begun", err)
	}
	return payment, err
}

// transfer sees a pending transfer through: lnd cancels the invoice, so that
// nobody else can pay it any more, and then the ledger moves the money. The
// hash is locked meanwhile. What breaks in between leaves it pending: a sweep,
// or the next attachment, looks at lnd's word for the invoice again.
type transfer struct {
	guard   *Guard
	lnd     *attachment
	payment account.Payment
	invoice account.Invoice
	live    bool // somebody waits for it, and lnd was asked for nothing before
}

// resumeTransfer looks at a transfer that was left pending.
func (g *Guard) resumeTransfer(lnd *attachment, payment account.Payment) {
	invoice, err := g.opts.Ledger.InvoiceByHash(lnd.ctx, payment.Hash)
	if err != nil {
		g.log.Error("a transfer between accounts could not be looked after", "hash", payment.Hash, "err", err)
		return
	}
	t := &transfer{guard: g, lnd: lnd, payment: payment, invoice: invoice}
	t.run()
}

func (t *transfer) run() {
	before, err := t.look()
	switch {
	case err != nil && t.live:
		t.release("lnd did not tell of the invoice", lndError(err))
	case err != nil:
		t.leave(err)
	case t.live && gone(before):
		t.release("the invoice was canceled before", errCanceled)
		t.record(before)
	case payable(before):
		t.cancel()
	default:
		t.decide(before)
	}
}

// cancel has lnd cancel the invoice, and decides by what it then says of it.
func (t *transfer) cancel() {
	ctx, cancel := context.WithTimeout(t.lnd.ctx, lndTimeout)
	defer cancel()
	ctx, answered := front.WithAnswer(ctx)
	_, err := t.lnd.invoices.CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: t.invoice.Hash[:]})
	if err != nil && !answered() {
		t.leave(err)
		return
	}
	after, failed := t.look()
	switch {
	case failed != nil:
		t.leave(failed)
	case payable(after):
		t.guard.log.Warn("lnd did not cancel an invoice", "hash", t.invoice.Hash, "err", err)
		t.release("lnd did not cancel the invoice", errNotCanceled)
	default:
		t.decide(after)
	}
}

// decide ends the transfer by what lnd says of the invoice. Canceled or
// forgotten, it was paid by nobody else and never will be.
func (t *transfer) decide(inv *lnrpc.Invoice) {
	switch {
	case gone(inv):
		t.settle()
	case inv.GetState() == lnrpc.Invoice_SETTLED:
		t.record(inv)
		t.release("the invoice was paid over Lightning", errAlreadyPaid)
	default:
		t.release("the invoice is being paid over Lightning", errInFlight)
	}
}

// look asks lnd for the invoice; nil: lnd does not know it any more.
func (t *transfer) look() (*lnrpc.Invoice, error) {
	ctx, cancel := context.WithTimeout(t.lnd.ctx, lndTimeout)
	defer cancel()
	inv, err := lookup(ctx, t.lnd, t.invoice.Hash)
	if err == nil && inv != nil && !sameInvoice(t.invoice, inv) {
		return nil, nil
	}
	return inv, err
}

// payable says whether an invoice is open with nothing on its way to it.
func payable(inv *lnrpc.Invoice) bool {
	return inv != nil && inv.GetState() == lnrpc.Invoice_OPEN &&
		!slices.ContainsFunc(inv.GetHtlcs(), func(h *lnrpc.InvoiceHTLC) bool {
			return h.GetState() == lnrpc.InvoiceHTLCState_ACCEPTED
		})
}

// gone says whether nobody can pay an invoice over Lightning any more, and
// nobody has.
func gone(inv *lnrpc.Invoice) bool { return inv == nil || inv.GetState() == lnrpc.Invoice_CANCELED }

// settle moves the money, and tells both sides.
func (t *transfer) settle() {
	paid := t.paidPayment()
	final, err := proto.Marshal(paid)
	if err != nil {
		t.leave(err)
		return
	}
	invoice, err := t.paidInvoice()
	if err != nil {
		t.leave(err)
		return
	}
	last, err := proto.Marshal(invoice)
	if err != nil {
		t.leave(err)
		return
	}
	done := account.Transferred{Final: final, Last: last}
	if addr := invoice.GetPaymentAddr(); len(addr) == 32 {
		done.Addr = (*[32]byte)(addr)
	}
	t.save(func(ctx context.Context) error {
		_, invoice, err := t.guard.opts.Ledger.SettleTransfer(ctx, t.payment.ID, done)
		switch fault.Code(err) {
		case account.CodeAlreadyPaid:
			return t.released(ctx, "the invoice was paid over Lightning", errAlreadyPaid)
		case account.CodeNotFound:
			return t.released(ctx, "it was released before", errCanceled)
		}
		if err == nil {
			t.guard.payments.tries.giveBack(t.payment.Account, paymentRate)
			t.guard.invoices.made.giveBack(invoice.Account, invoiceRate)
			t.guard.payments.tell(t.payment, showPayment(paid, t.payment.Index))
			t.guard.invoices.changes.notify(invoice.Account)
		}
		return err
	})
}

// release gives the reservation back and tells the payer why.
func (t *transfer) release(reason string, told error) {
	t.save(func(ctx context.Context) error { return t.released(ctx, reason, told) })
}

// released is void where the payer hears at once that nothing was done.
func (t *transfer) released(ctx context.Context, reason string, told error) error {
	state := account.StateFailed
	if t.live {
		state = account.StateVoid
	}
	payment, err := t.guard.opts.Ledger.Release(ctx, t.payment.ID, state, account.Outcome{Reason: reason})
	if err != nil {
		return err
	}
	if state == account.StateFailed {
		shown, err := recordedPayment(payment)
		if err != nil {
			return err
		}
		t.guard.payments.tell(payment, shown)
	}
	t.guard.payments.fail(payment, told)
	return nil
}

// save writes the transfer's end now, or with a sweep.
func (t *transfer) save(write func(context.Context) error) {
	if err := t.guard.payments.save(t.lnd.ctx, t.payment.ID, write); err != nil {
		t.guard.log.Error("the end of a transfer between accounts could not be written; it will be tried again",
			"hash", t.payment.Hash, "err", err)
		t.guard.payments.fail(t.payment, errUnresolved)
	}
}

// leave gives the transfer up for now: it stays pending.
func (t *transfer) leave(err error) {
	t.guard.log.Warn("it is not known yet what became of a transfer between accounts", "hash", t.payment.Hash, "err", err)
	t.guard.payments.fail(t.payment, errUnresolved)
}

// record writes down what has become of the invoice otherwise.
func (t *transfer) record(inv *lnrpc.Invoice) {
	if _, err := t.guard.recordInvoice(context.WithoutCancel(t.lnd.ctx), t.invoice, inv); err != nil {
		t.guard.log.Error("an invoice's state could not be written", "hash", t.invoice.Hash, "err", err)
	}
}
