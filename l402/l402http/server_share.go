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

// room makes sure that one more invoice may be made for somebody in the
// network. nil, nil: there is room. An entry: its place is free, but its invoice
// must be cancelled before another is made. A *tooManyError: the book is full and the network
// has its share, which is the same for every network that has any.
//
// The victim is the oldest of the network that has most, so a flood from a few
// networks pushes out itself and not the buyers from others.
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
	if own >= max(1, maxOpen/networks) {
		return nil, &tooManyError{open: own, retryAfter: b.retryAfter(now)}
	}
	victim := b.victim()
	if victim == nil {
		return nil, errAllBusy
	}
	b.remove(victim)
	return victim, nil
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

// victim is a doomed entry if there is one, else the oldest of the network
// that has most. nil when all of these are busy.
func (b *book) victim() *entry {
	most := 0
	for _, n := range b.byPrefix {
		most = max(most, n)
	}
	var found *entry
	for _, e := range b.byHash {
		if e.busy || !e.doomed && b.byPrefix[e.Prefix] < most {
			continue
		}
		if found == nil || e.doomed && !found.doomed ||
			e.doomed == found.doomed && e.Created.Before(found.Created) {
			found = e
		}
	}
	return found
}

// retryAfter is when the next invoice expires, within bounds.
func (b *book) retryAfter(now time.Time) time.Duration {
	return max(minRetry, min(maxRetry, b.purgeAt.Sub(now)))
}
