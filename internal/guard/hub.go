package guard

import (
	"sync"

	"github.com/leydenln/leyden/internal/account"
)

// invoiceDesk is what the calls about invoices share. Its zero value is ready.
type invoiceDesk struct {
	changes hub
	made    allowance
}

// hub wakes those who watch an account. It carries no news itself: who is woken
// reads the ledger, so that a slow one delays nobody and misses nothing.
type hub struct {
	mu       sync.Mutex
	watchers map[account.ID]map[chan struct{}]struct{}
}

// watch returns a channel that has an element whenever something changed since
// it was last received from. stop ends it.
func (h *hub) watch(id account.ID) (wake <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = make(map[account.ID]map[chan struct{}]struct{})
	}
	if h.watchers[id] == nil {
		h.watchers[id] = make(map[chan struct{}]struct{})
	}
	h.watchers[id][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[id], ch)
		if len(h.watchers[id]) == 0 {
			delete(h.watchers, id)
		}
	}
}

// notify wakes everybody who watches the account. It never blocks.
func (h *hub) notify(id account.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.watchers[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
