package guard

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/front"
)

const (
	// seenAfter is how long a payment may be under way before lnd's number for
	// it is written down; most are over by then.
	seenAfter = 2 * time.Second

	// followPause keeps a stream that lnd ends at once from being reopened all
	// the time.
	followPause = time.Second

	// maxPaymentSize bounds one payment as lnd tells it; HTLCs add up.
	maxPaymentSize = 64 << 20
)

var errUnresolved = refuse(codes.Unavailable, "payment_unresolved", "",
	"it is not known yet what became of the payment; it stays reserved until lnd tells. Track it by its hash")

// payer sees an open payment through to its end, whatever becomes of the
// client: one for each payment that lnd may be acting on. It settles from lnd's
// final state once none of its own calls to lnd can start anything more.
type payer struct {
	guard *Guard
	lnd   *attachment

	mu      sync.Mutex
	payment account.Payment
	calls   int    // calls to lnd on their way
	parts   uint32 // HTLCs that it may have in flight at once
	joined  bool   // there was more than one
	begun   bool   // lnd has, or may have, begun it
	lost    bool   // a call's end was not seen, so that it may still begin
	patient bool   // looked at again after an interruption: see tooSoon
	closed  bool   // nothing may join any more

	following bool
	answer    error          // lnd's refusal of a call
	latest    *lnrpc.Payment // as lnd told it last
	seen      *time.Timer
}

// newPayer takes care of an open payment. The caller adds it to the desk.
func (g *Guard) newPayer(lnd *attachment, payment account.Payment) *payer {
	return &payer{guard: g, lnd: lnd, payment: payment}
}

// pay hands the payment to lnd and follows it.
func (p *payer) pay(req *routerrpc.SendPaymentRequest) {
	final, end := p.follow(func(ctx context.Context) (paymentStream, error) {
		return p.lnd.router.SendPaymentV2(ctx, req, grpc.MaxCallRecvMsgSize(maxPaymentSize))
	})
	p.callEnded(final, end)
}

type paymentStream = grpc.ServerStreamingClient[lnrpc.Payment]

// ending is how a call to lnd ended.
type ending struct {
	err      error
	answered bool // by lnd itself
	updates  bool // it told something about the payment before
}

// refused says whether lnd answered that another payment has the hash, so that
// this call did nothing.
func (e ending) refused() bool {
	return e.answered && !e.updates && status.Code(e.err) == codes.AlreadyExists
}

// follow reads a stream of updates until the final one, or the stream's end.
// Updates of a payment before ours end it too.
func (p *payer) follow(open func(context.Context) (paymentStream, error)) (final *lnrpc.Payment, end ending) {
	ctx, answered := front.WithAnswer(p.lnd.ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := open(ctx)
	for err == nil {
		var update *lnrpc.Payment
		if update, err = stream.Recv(); err != nil {
			break
		}
		p.lnd.sawIndex(update.GetPaymentIndex())
		if !p.ours(update) {
			return nil, ending{err: io.EOF, answered: true}
		}
		end.updates = true
		if isFinal(update) {
			return update, ending{answered: true, updates: true}
		}
		p.update(update)
	}
	end.err, end.answered = err, answered()
	return nil, end
}

// update tells of a payment that is not final.
func (p *payer) update(state *lnrpc.Payment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.updateLocked(state)
}

func (p *payer) updateLocked(state *lnrpc.Payment) {
	p.begun, p.latest = true, state
	if p.seen == nil && p.payment.LndIndex == 0 {
		index := state.GetPaymentIndex()
		p.seen = time.AfterFunc(seenAfter, func() {
			if err := p.guard.opts.Ledger.Seen(context.WithoutCancel(p.lnd.ctx), p.payment.ID, index); err != nil {
				p.guard.log.Warn("lnd's number of a payment was not written down", "hash", p.payment.Hash, "err", err)
			}
		})
	}
	p.guard.payments.tell(p.payment, showPayment(state, p.payment.Index))
}

// state is what the account sees of the payment, or nil: before lnd has told
// anything, or when it is another payment.
func (p *payer) state(payment int64) *lnrpc.Payment {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest == nil || p.payment.ID != payment {
		return nil
	}
	return showPayment(p.latest, p.payment.Index)
}

// ours says whether what lnd knows of the hash is this payment, and none that
// was made before it. An lnd that has come back with lower numbers has numbered
// its payments anew, as its move to SQL does; its word then counts, since it
// said before the reservation that the hash was free.
func (p *payer) ours(state *lnrpc.Payment) bool {
	anew := p.payment.Run != p.lnd.Run && p.lnd.learned < p.payment.AfterIndex
	return state != nil && (anew || state.GetPaymentIndex() > p.payment.AfterIndex)
}

// callOff takes back a call that was not made. Shards that joined meanwhile go
// on.
func (p *payer) callOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls--
	switch {
	case p.closed || p.calls > 0:
	case p.begun:
		p.look()
	default:
		p.void()
	}
}

// callEnded is told that one of the calls to lnd has ended. The last one looks
// whether the payment is over.
func (p *payer) callEnded(final *lnrpc.Payment, end ending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls--
	p.begun = p.begun || !end.refused()
	p.lost = p.lost || !end.answered
	if end.err != nil && !errors.Is(end.err, io.EOF) {
		p.answer = end.err
	}
	switch {
	case p.closed || p.calls > 0:
	case !p.begun:
		p.void()
	case final != nil && !p.joined:
		p.finish(final)
	default:
		p.look()
	}
}

// look asks lnd what it knows of the payment, and ends or follows it. The
// caller holds p.mu, so that nothing joins meanwhile.
func (p *payer) look() {
	state, err := p.lnd.payment(p.payment.Hash)
	switch {
	case err != nil:
		p.leave(errUnresolved)
	case !p.ours(state):
		if p.lost {
			p.leave(nil)
		} else {
			p.void()
		}
	case isFinal(state) && p.tooSoon(state):
		p.leave(nil)
	case isFinal(state):
		p.finish(state)
	default:
		p.updateLocked(state)
		if !p.following {
			p.following = p.lnd.spawn(p.track)
		}
		if !p.following { // the attachment has just ended
			p.leave(errUnresolved)
		}
	}
}

// tooSoon says whether a failure may not be the last word: a further shard whose
// end was not seen may be on its way and begin the payment anew.
func (p *payer) tooSoon(state *lnrpc.Payment) bool {
	return p.lost && (p.patient || p.joined) && state.GetStatus() == lnrpc.Payment_FAILED
}

// track follows the payment on a stream of its own.
func (p *payer) track() {
	final, _ := p.follow(func(ctx context.Context) (paymentStream, error) {
		return p.lnd.track(ctx, p.payment.Hash)
	})
	if final == nil {
		select {
		case <-time.After(followPause):
		case <-p.lnd.ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.following = false
	if !p.closed && p.calls == 0 {
		p.look()
	}
}

// finish settles or releases, and then tells who watches.
func (p *payer) finish(final *lnrpc.Payment) {
	p.lnd.sawIndex(final.GetPaymentIndex())
	outcome, state, err := outcomeOf(final)
	if err != nil {
		p.guard.log.Error("a payment's final state cannot be kept", "hash", p.payment.Hash, "err", err)
		p.leave(errUnresolved)
		return
	}
	payment, shown := p.payment, showPayment(final, p.payment.Index)
	saved := p.save(func(ctx context.Context) (err error) {
		if state == account.StateSucceeded {
			_, err = p.guard.opts.Ledger.Settle(ctx, payment.ID, outcome)
		} else {
			_, err = p.guard.opts.Ledger.Release(ctx, payment.ID, state, outcome)
		}
		if err == nil && state == account.StateSucceeded {
			p.guard.payments.tries.giveBack(payment.Account, paymentRate)
		}
		if err == nil {
			p.guard.payments.tell(payment, shown)
		}
		return err
	})
	p.close()
	if !saved {
		p.guard.payments.tell(payment, shown)
	}
}

// void releases a payment that lnd never took on.
func (p *payer) void() {
	reason := "lnd does not know it"
	if p.answer != nil {
		reason = status.Convert(p.answer).Message()
	}
	p.save(func(ctx context.Context) error {
		_, err := p.guard.opts.Ledger.Release(ctx, p.payment.ID, account.StateVoid, account.Outcome{Reason: reason})
		return err
	})
	p.close()
	err := errUnknownPayment
	if p.answer != nil {
		err = lndRefusal(p.answer)
	}
	p.guard.payments.fail(p.payment, err)
}

// leave gives the payment up for now: it stays reserved, and a sweep will look
// again. err, if any, ends who watches it.
func (p *payer) leave(err error) {
	if p.calls == 0 && err == nil && p.answer != nil {
		err = errUnresolved
	}
	p.close()
	if err != nil {
		p.guard.payments.fail(p.payment, err)
	}
}

func (p *payer) close() {
	p.closed = true
	if p.seen != nil {
		p.seen.Stop()
	}
	p.guard.payments.drop(p)
}

func (p *payer) save(write func(context.Context) error) (saved bool) {
	err := p.guard.payments.save(p.lnd.ctx, p.payment.ID, write)
	if err != nil {
		p.guard.log.Error("a payment's outcome could not be written; it will be tried again",
			"account", p.payment.Account, "hash", p.payment.Hash, "err", err)
	}
	return err == nil
}

// errUnknownPayment is lnd's own answer about a hash that it does not know.
var errUnknownPayment = status.Error(codes.NotFound, "payment isn't initiated")

// lndRefusal is what a client is told of lnd's refusal of a payment.
func lndRefusal(err error) error {
	if status.Code(err) != codes.AlreadyExists {
		return lndError(err)
	}
	if strings.Contains(status.Convert(err).Message(), "already paid") {
		return errAlreadyPaid
	}
	return errInFlight
}

var (
	errAlreadyPaid = refuse(codes.AlreadyExists, account.CodeAlreadyPaid, "", "this payment hash has been paid already")
	errInFlight    = refuse(codes.AlreadyExists, account.CodeInFlight, "", "a payment of this hash is in flight")
)

// track opens a stream of the hash's updates.
func (a *attachment) track(ctx context.Context, hash lntypes.Hash) (paymentStream, error) {
	return a.router.TrackPaymentV2(ctx, &routerrpc.TrackPaymentRequest{PaymentHash: hash[:]},
		grpc.MaxCallRecvMsgSize(maxPaymentSize))
}
