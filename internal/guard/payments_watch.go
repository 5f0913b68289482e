package guard

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
)

// maxUnread bounds the payments with news that a watcher has not read.
const maxUnread = 4096

var errSlowReader = refuse(codes.ResourceExhausted, "slow_reader", "",
	"more payments have changed than were read")

// paymentDesk is what the calls about payments share. Its zero value is ready.
type paymentDesk struct {
	// taking is held for a hash while a payment of it is reserved, or looked
	// after that nobody sees through.
	taking hashLocks

	mu       sync.Mutex
	live     map[lntypes.Hash]*payer
	slots    slots
	tries    allowance
	watchers map[account.ID]map[*paymentWatch]struct{}
	unsaved  map[int64]func(context.Context) error
}

// payer returns who sees the hash's open payment through, or nil.
func (d *paymentDesk) payer(hash lntypes.Hash) *payer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live[hash]
}

// add takes p in, which asks for parts HTLCs at once.
func (d *paymentDesk) add(p *payer, parts uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live == nil {
		d.live, d.slots = make(map[lntypes.Hash]*payer), make(slots)
	}
	d.live[p.payment.Hash] = p
	p.parts = d.slots.share(p.payment.Account, parts)
}

// grow gives p a place for one more HTLC, if its account has one left.
func (d *paymentDesk) grow(p *payer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live[p.payment.Hash] != p || p.parts >= maxParts || !d.slots.one(p.payment.Account) {
		return false
	}
	p.parts++
	return true
}

func (d *paymentDesk) drop(p *payer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live[p.payment.Hash] == p {
		delete(d.live, p.payment.Hash)
	}
	d.slots.giveBack(p.payment.Account, p.parts)
	p.parts = 0
}

// save writes an outcome that lnd has told, at once or, if the ledger cannot,
// with the next sweep.
func (d *paymentDesk) save(ctx context.Context, payment int64, write func(context.Context) error) error {
	err := write(context.WithoutCancel(ctx))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.unsaved, payment)
		return nil
	}
	if d.unsaved == nil {
		d.unsaved = make(map[int64]func(context.Context) error)
	}
	d.unsaved[payment] = write
	return err
}

// saveAgain tries again what could not be written.
func (d *paymentDesk) saveAgain(ctx context.Context) error {
	d.mu.Lock()
	unsaved := maps.Clone(d.unsaved)
	d.mu.Unlock()
	for _, payment := range slices.Sorted(maps.Keys(unsaved)) {
		if err := d.save(ctx, payment, unsaved[payment]); err != nil {
			return err
		}
	}
	return nil
}

// paymentWatch is somebody who is told the latest state of payments: of one, or
// of all of an account. What is not read in time is replaced by what is newer.
type paymentWatch struct {
	payment int64 // in the ledger; 0: all

	mu     sync.Mutex
	order  []int64
	latest map[int64]*lnrpc.Payment
	err    error
	news   chan struct{}
}

// watch begins a watch; stop ends it.
func (d *paymentDesk) watch(of account.ID, payment int64) (w *paymentWatch, stop func()) {
	w = &paymentWatch{payment: payment, latest: make(map[int64]*lnrpc.Payment), news: make(chan struct{}, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watchers == nil {
		d.watchers = make(map[account.ID]map[*paymentWatch]struct{})
	}
	if d.watchers[of] == nil {
		d.watchers[of] = make(map[*paymentWatch]struct{})
	}
	d.watchers[of][w] = struct{}{}
	return w, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers[of], w)
		if len(d.watchers[of]) == 0 {
			delete(d.watchers, of)
		}
	}
}

// tell tells those who watch the payment its state, as the account sees it.
func (d *paymentDesk) tell(p account.Payment, state *lnrpc.Payment) {
	for _, w := range d.watching(p) {
		w.put(p.ID, state)
	}
}

// fail ends the watches of that one payment with an error.
func (d *paymentDesk) fail(p account.Payment, err error) {
	for _, w := range d.watching(p) {
		if w.payment != 0 {
			w.end(err)
		}
	}
}

func (d *paymentDesk) watching(p account.Payment) []*paymentWatch {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []*paymentWatch
	for w := range d.watchers[p.Account] {
		if w.payment == 0 || w.payment == p.ID {
			list = append(list, w)
		}
	}
	return list
}

func (w *paymentWatch) put(payment int64, state *lnrpc.Payment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, unread := w.latest[payment]; !unread {
		if len(w.order) >= maxUnread {
			w.endLocked(errSlowReader)
			return
		}
		w.order = append(w.order, payment)
	}
	w.latest[payment] = state
	w.wake()
}

func (w *paymentWatch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLocked(err)
}

func (w *paymentWatch) endLocked(err error) {
	if w.err == nil {
		w.err = err
	}
	w.wake()
}

func (w *paymentWatch) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// take returns what has not been read, and the error that ends the watch.
func (w *paymentWatch) take() (states []*lnrpc.Payment, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, payment := range w.order {
		states = append(states, w.latest[payment])
	}
	w.order = w.order[:0]
	clear(w.latest)
	return states, w.err
}

// relay sends what the watch is told, until the one payment is final, the call
// ends or the attachment does.
func (w *paymentWatch) relay(ctx context.Context, lnd *attachment, quiet bool, send func(proto.Message) error) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-lnd.ctx.Done():
			return errNotAttached
		case <-w.news:
		}
		states, err := w.take()
		for _, state := range states {
			if !quiet || !inFlight(state) {
				if err := send(state); err != nil {
					return err
				}
			}
			if w.payment != 0 && isFinal(state) {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}
