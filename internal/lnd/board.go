package lnd

import (
	"context"
	"sync"
)

// board is a status that can be watched.
type board struct {
	mu      sync.Mutex
	status  Status
	changed chan struct{} // closed and replaced at each change
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

func (b *board) get() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

func (b *board) set(status Status) { b.update(func(s *Status) { *s = status }) }

func (b *board) update(change func(*Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *board) watch(ctx context.Context, fn func(Status)) {
	for {
		b.mu.Lock()
		status, changed := b.status, b.changed
		b.mu.Unlock()
		fn(status)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
