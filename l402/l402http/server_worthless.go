package l402http

import (
	"context"
	"errors"

	"github.com/leydenln/leyden/l402"
)

// newEntry makes an entry whose invoice is not made yet.
func (b *book) newEntry(c OpenChallenge) *entry {
	e := &entry{OpenChallenge: c, done: make(chan struct{})}
	if c.Token.IsZero() {
		e.id, e.key = l402.TokenID(c.Hash), b.rules.Load().keys.Current()
	} else if id, err := c.Token.Identifier(); err == nil {
		e.id, e.key = id.TokenID, id.TokenID.KeyID()
	}
	return e
}

// worthless reports whether paying for the challenge would buy nothing: its key
// has been retired, or it has been revoked.
func (b *book) worthless(e *entry) bool {
	return !b.rules.Load().keys.Has(e.key) || b.revoked != nil && b.revoked(e.id)
}

// Withdraw cancels the open invoices whose payment would buy nothing any more:
// since a key has been retired, a token revoked, or the sale is not what it was,
// which honours says; nil: every sale is. To be called after either, and again
// after an error or when ctx ended first.
func (s *Seller) Withdraw(ctx context.Context, honours func(OpenChallenge) bool) error {
	return s.book.withdraw(ctx, honours)
}

func (b *book) withdraw(ctx context.Context, honours func(OpenChallenge) bool) error {
	var found []*entry
	b.mu.Lock()
	for _, e := range b.byHash {
		if !e.busy && (b.worthless(e) || honours != nil && !honours(e.OpenChallenge)) {
			found = append(found, e)
		}
	}
	b.mu.Unlock()
	var errs []error
	for _, e := range found {
		if ctx.Err() != nil {
			break
		}
		if err := b.cancel(ctx, e.Hash); err != nil {
			errs = append(errs, err)
			continue
		}
		b.forget(e.Hash)
	}
	return errors.Join(errs...)
}
