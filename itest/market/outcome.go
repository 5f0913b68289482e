package market

import (
	"fmt"
	"sync"
)

// Counts are what the accounts' books hold. A transfer between accounts is a
// payment and a receipt too.
type Counts struct{ Payments, Receipts, Transfers int }

// Minus is what c has more.
func (c Counts) Minus(o Counts) Counts {
	return Counts{c.Payments - o.Payments, c.Receipts - o.Receipts, c.Transfers - o.Transfers}
}

// String is for people.
func (c Counts) String() string {
	return fmt.Sprintf("%d payments, %d receipts, %d of both transfers", c.Payments, c.Receipts, c.Transfers)
}

// outcome is what clients were told.
type outcome struct {
	mu              sync.Mutex
	seen            map[string]bool // hashes of payments that succeeded
	failed, refused int
}

// Outcome says how many payments clients were told have failed, and how many
// were refused or cut.
func (m *Market) Outcome() (failed, refused int) {
	m.outcome.mu.Lock()
	defer m.outcome.mu.Unlock()
	return m.outcome.failed, m.outcome.refused
}

func (o *outcome) add(n *int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*n++
}

// saw notes that a client was told of a success.
func (o *outcome) saw(hash string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = map[string]bool{}
	}
	o.seen[hash] = true
}

// check insists that whatever a client was told is paid was charged.
func (o *outcome) check(owner map[string]string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for hash := range o.seen {
		if owner[hash] == "" {
			return fmt.Errorf("a client was told that %s is paid, no account was charged", hash)
		}
	}
	return nil
}
