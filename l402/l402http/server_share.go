package l402http

import (
	"net/netip"
	"time"
)

// The bounds of Retry-After in a 429.
const (
	minRetry = time.Second
	maxRetry = time.Minute
)

// payTime is what a buyer has to pay before somebody from the same network may
// push the invoice out. Without an end to it, whoever never pays would keep all
// others of his network out until his invoices expire.
const payTime = time.Minute

// room makes sure that one more invoice may be made for somebody in the
// network. nil, nil: there is room. An entry: its place is free, but its invoice
// must be cancelled before another is made. A *tooManyError: the book is full, and
// the network has its share, which is the same for every network that has any,
// and none of it is older than payTime.
//
// The victim is the oldest of the network that has most, so a flood from a few
// networks pushes out itself and not the buyers from others; a network that has
// its share pushes out its own.
func (b *book) room(from netip.Prefix, now time.Time) (*entry, error) {
	maxOpen := b.rules.Load().maxOpen
	if len(b.byHash) >= maxOpen {
		b.purge(now)
	}
	if len(b.byHash) < maxOpen {
		return nil, nil
	}
	own, networks := b.byPrefix[from], len(b.byPrefix)
	if own == 0 {
		networks++
	}
	var victim *entry
	if own >= max(1, maxOpen/networks) {
		if victim = b.ripe(from, now); victim == nil {
			return nil, &tooManyError{open: own, retryAfter: b.retryAfter(from, now)}
		}
	} else if victim = b.victim(); victim == nil {
		return nil, errAllBusy
	}
	b.remove(victim)
	return victim, nil
}

// ripe returns the network's oldest entry if it is older than payTime. When the
// next will be is remembered, since a flood asks all the time.
func (b *book) ripe(from netip.Prefix, now time.Time) *entry {
	if now.Before(b.ripeAt[from]) {
		return nil
	}
	oldest := b.oldest(func(e *entry) bool { return e.Prefix == from })
	if oldest == nil {
		return nil
	}
	if at := oldest.Created.Add(payTime); now.Before(at) {
		b.ripeAt[from] = at
		return nil
	}
	return oldest
}

// purge forgets what has expired: the node cancels that by itself.
func (b *book) purge(now time.Time) {
	if now.Before(b.purgeAt.Add(clockGrace)) {
		return
	}
	b.purgeAt = time.Time{}
	for _, e := range b.byHash {
		switch {
		case !e.busy && now.After(e.Expires.Add(clockGrace)):
			b.remove(e)
		case b.purgeAt.IsZero() || e.Expires.Before(b.purgeAt):
			b.purgeAt = e.Expires
		}
	}
}

// victim is the oldest entry of the network that has most, or a doomed one.
func (b *book) victim() *entry {
	most := 0
	for _, n := range b.byPrefix {
		most = max(most, n)
	}
	return b.oldest(func(e *entry) bool { return e.doomed || b.byPrefix[e.Prefix] == most })
}

// oldest is a doomed entry of those asked for if there is one, else the oldest
// of them. nil when all of these are busy.
func (b *book) oldest(of func(*entry) bool) *entry {
	var found *entry
	for _, e := range b.byHash {
		if e.busy || !of(e) {
			continue
		}
		if found == nil || e.doomed && !found.doomed ||
			e.doomed == found.doomed && e.Created.Before(found.Created) {
			found = e
		}
	}
	return found
}

// retryAfter is when an invoice expires or one of the network's is ripe, within
// bounds.
func (b *book) retryAfter(from netip.Prefix, now time.Time) time.Duration {
	next := b.purgeAt
	if at, ok := b.ripeAt[from]; ok && at.Before(next) {
		next = at
	}
	return max(minRetry, min(maxRetry, next.Sub(now)))
}
