package main

import (
	"fmt"
	"sync"
)

// counts are what the accounts' books hold. A transfer is a payment and a
// receipt too.
type counts struct{ payments, receipts, transfers, stuck int }

// tally adds up what happened.
type tally struct {
	mu              sync.Mutex
	seen            map[string]bool // hashes that a client was told are paid
	failed, refused int

	found  counts
	killed map[string]int
	last   string
}

func (t *tally) add(n *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}

// saw notes that a client was told of a success.
func (t *tally) saw(hash string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = map[string]bool{}
	}
	t.seen[hash] = true
}

// check insists that whatever a client was told is paid was charged.
func (t *tally) check(owner map[string]string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for hash := range t.seen {
		if owner[hash] == "" {
			return fmt.Errorf("a client was told that %s is paid, no account was charged", hash)
		}
	}
	return nil
}

func (t *tally) endRound(killed, took string, found counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.killed == nil {
		t.killed = map[string]int{}
	}
	t.killed[killed]++
	t.last = fmt.Sprintf("killed %s; %d payments, %d receipts, %d of both transfers more, all books agree (%s)",
		killed, found.payments-t.found.payments, found.receipts-t.found.receipts, found.transfers-t.found.transfers, took)
	t.found = found
}

// String is the summary of all rounds.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("killed the node %d, lnd %d, both %d times; %d payments, %d receipts, %d of both transfers, %d payments failed, %d refused or cut, %d stuck at lnd and given up; 0 lost, 0 paid twice",
		t.killed[theNode], t.killed[theLnd], t.killed[both], t.found.payments, t.found.receipts, t.found.transfers, t.failed, t.refused, t.found.stuck)
}
