package l402http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/l402"
)

// How long the node may take, and how exact its clock is taken to be.
const (
	mintTimeout   = 8 * time.Second
	cancelTimeout = 2 * time.Second
	clockGrace    = 5 * time.Second
)

// book is what the seller knows of its unpaid invoices: at most maxOpen, each
// for one client. Entries are in it before the node is asked and leave it when
// the invoice certainly cannot be paid any more.
type book struct {
	invoicer Invoicer
	journal  Journal
	rand     io.Reader
	log      *slog.Logger
	revoked  func(l402.TokenID) bool // nil: none is
	rules    atomic.Pointer[rules]

	mu       sync.Mutex
	byHash   map[lntypes.Hash]*entry
	byClient map[[32]byte]*entry
	byPrefix map[netip.Prefix]int
	// ripeAt is, for networks that were refused, when their oldest entry will
	// be older than payTime, or earlier.
	ripeAt map[netip.Prefix]time.Time
	// purgeAt is when the next entry expires, or earlier.
	purgeAt time.Time
}

// entry is an open challenge and how far it is. Its OpenChallenge and err may
// be read once done is closed.
type entry struct {
	OpenChallenge
	id   l402.TokenID // by which it is revoked: the payment hash where there is no token
	key  l402.KeyID   // of the token, or that which made the first Payment challenge
	done chan struct{}
	err  error

	// busy: a request is making its invoice.
	busy bool
	// doomed: making it failed and nobody knows whether the invoice exists.
	doomed bool
}

// challenge returns the client's unpaid challenge for the sale, or a new one.
// Errors: a *tooManyError, ctx's cause, or the node's or journal's.
func (b *book) challenge(ctx context.Context, sale Sale, client who) (OpenChallenge, error) {
	b.mu.Lock()
	found := b.reusable(client.key, time.Now())
	b.mu.Unlock()
	if found != nil {
		return found.wait(ctx)
	}
	if r, ok := b.invoicer.(Readier); ok {
		if err := r.Ready(); err != nil {
			return OpenChallenge{}, &notReadyError{err}
		}
	}
	e, preimage, err := b.prepare(sale, client, time.Now())
	if err != nil {
		return OpenChallenge{}, err
	}

	b.mu.Lock()
	if found := b.reusable(client.key, time.Now()); found != nil {
		b.mu.Unlock()
		return found.wait(ctx)
	}
	victim, err := b.room(client.prefix, time.Now())
	if err == nil {
		b.insert(e)
	}
	b.mu.Unlock()
	if err != nil {
		return OpenChallenge{}, err
	}

	// From here on the books must be kept even if the client goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mintTimeout)
	defer cancel()
	if victim != nil {
		if err := b.cancel(ctx, victim.Hash); err != nil {
			b.giveBack(victim, e, fmt.Errorf("cancel the oldest unpaid invoice: %w", err))
			return OpenChallenge{}, e.err
		}
	}
	b.mint(ctx, e, NewInvoice{Memo: sale.memo(), Amount: sale.Price, Expiry: e.Expires.Sub(e.Created), Preimage: preimage})
	return e.OpenChallenge, e.err
}

// prepare makes a challenge with everything but the invoice.
func (b *book) prepare(sale Sale, client who, now time.Time) (*entry, lntypes.Preimage, error) {
	var preimage lntypes.Preimage
	if _, err := io.ReadFull(b.rand, preimage[:]); err != nil {
		return nil, preimage, fmt.Errorf("make preimage: %w", err)
	}
	rules := b.rules.Load()
	expiry, err := sale.payable(now, rules.expiry)
	if err != nil {
		return nil, preimage, err
	}
	var token l402.Token
	if sale.by(SchemeL402) {
		caveats, err := sale.caveats(now)
		if err != nil {
			return nil, preimage, err
		}
		if token, err = rules.keys.Mint(b.rand, preimage.Hash(), caveats...); err != nil {
			return nil, preimage, err
		}
	}
	e := b.newEntry(OpenChallenge{
		Hash: preimage.Hash(), Token: token, Service: sale.Service, Price: sale.Price,
		Client: client.key, Prefix: client.prefix, Created: now, Expires: now.Add(expiry),
	})
	e.busy = true
	return e, preimage, nil
}

// mint records an inserted challenge, has the node make its invoice, and lets
// those who wait for it go on.
func (b *book) mint(ctx context.Context, e *entry, inv NewInvoice) {
	if b.journal != nil {
		if err := b.journal.Minted(ctx, e.OpenChallenge); err != nil {
			b.finish(e, "", fmt.Errorf("record challenge: %w", err), false)
			return
		}
	}
	bolt11, err := b.invoicer.AddInvoice(ctx, inv)
	if err == nil {
		b.finish(e, bolt11, nil, false)
		return
	}
	doomed := b.cancel(context.WithoutCancel(ctx), e.Hash) != nil
	b.finish(e, "", fmt.Errorf("make invoice: %w", err), doomed)
}

// finish says how making the invoice ended. A failed challenge leaves the book
// unless its invoice may exist all the same.
func (b *book) finish(e *entry, bolt11 string, err error, doomed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(e, bolt11, err, doomed)
}

func (b *book) settle(e *entry, bolt11 string, err error, doomed bool) {
	e.Invoice, e.err, e.busy, e.doomed = bolt11, err, false, doomed
	switch {
	case doomed:
		b.unclaim(e)
	case err != nil:
		b.remove(e)
	}
	close(e.done)
}

// giveBack undoes the exchange of a victim, whose invoice could not be
// cancelled, for e. Nobody is given the victim's challenge again.
func (b *book) giveBack(victim, e *entry, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byHash[victim.Hash] == nil {
		open := victim.OpenChallenge // who was given it may be reading that
		open.Client = nil
		back := &entry{OpenChallenge: open, id: victim.id, key: victim.key, done: victim.done, doomed: victim.doomed}
		b.insert(back)
	}
	b.settle(e, "", err, false)
}

// cancel makes sure that an invoice cannot be paid any more, and records it.
func (b *book) cancel(ctx context.Context, hash lntypes.Hash) error {
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	if err := b.invoicer.CancelInvoice(ctx, hash); err != nil {
		return err
	}
	if b.journal != nil {
		if err := b.journal.Dropped(ctx, hash); err != nil {
			b.log.Error("record cancelled invoice", "hash", hash, "err", err)
		}
	}
	return nil
}

// wait returns the challenge once its invoice is made.
func (e *entry) wait(ctx context.Context) (OpenChallenge, error) {
	select {
	case <-e.done:
		return e.OpenChallenge, e.err
	case <-ctx.Done():
		return OpenChallenge{}, context.Cause(ctx)
	}
}

// reusable returns the client's challenge when it may be given out again: worth
// paying, and not near expiry, that is, with a quarter of its life left.
func (b *book) reusable(key *[32]byte, now time.Time) *entry {
	if key == nil {
		return nil
	}
	e := b.byClient[*key]
	if e == nil || e.Expires.Sub(now) < e.Expires.Sub(e.Created)/4 || b.worthless(e) {
		return nil
	}
	return e
}

func (b *book) insert(e *entry) {
	b.byHash[e.Hash] = e
	b.byPrefix[e.Prefix]++
	if e.Client != nil {
		b.byClient[*e.Client] = e
	}
	if b.purgeAt.IsZero() || e.Expires.Before(b.purgeAt) {
		b.purgeAt = e.Expires
	}
}

func (b *book) remove(e *entry) {
	if b.byHash[e.Hash] != e {
		return
	}
	delete(b.byHash, e.Hash)
	if b.byPrefix[e.Prefix]--; b.byPrefix[e.Prefix] == 0 {
		delete(b.byPrefix, e.Prefix)
		delete(b.ripeAt, e.Prefix)
	}
	b.unclaim(e)
}

// unclaim makes sure that nobody is given the challenge again.
func (b *book) unclaim(e *entry) {
	if e.Client != nil && b.byClient[*e.Client] == e {
		delete(b.byClient, *e.Client)
	}
}

func (b *book) forget(hash lntypes.Hash) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.byHash[hash]; e != nil {
		b.remove(e)
	}
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.byHash)
}

func (b *book) restore(open []OpenChallenge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range open {
		if c.Invoice == "" {
			c.Client = nil
		}
		if old := b.byHash[c.Hash]; old != nil {
			if old.busy || old.Invoice != "" {
				continue
			}
			b.remove(old)
		}
		e := b.newEntry(c)
		close(e.done)
		b.insert(e)
	}
}

// notReadyError is why the node is known to be away.
type notReadyError struct{ error }

// tooManyError says that a network has its share of the open invoices.
type tooManyError struct {
	open       int
	retryAfter time.Duration
}

func (e *tooManyError) Error() string {
	return fmt.Sprintf("%d unpaid invoices, ask again in %v", e.open, e.retryAfter)
}

var errAllBusy = errors.New("every open invoice is being made")
