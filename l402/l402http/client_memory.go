package l402http

import (
	"context"
	"sync"

	"github.com/lightningnetwork/lnd/lntypes"
)

// MemoryStore is a [Store] that forgets everything with its process, payments
// under way too. The zero value is empty and ready.
type MemoryStore struct {
	mu        sync.Mutex
	purchases map[Origin]map[lntypes.Hash]Purchase
	locks     map[Origin]chan struct{}
}

// Lock implements [Store].
func (m *MemoryStore) Lock(ctx context.Context, o Origin) (func(), error) {
	m.mu.Lock()
	if m.locks == nil {
		m.locks = map[Origin]chan struct{}{}
	}
	lock, ok := m.locks[o]
	if !ok {
		lock = make(chan struct{}, 1)
		m.locks[o] = lock
	}
	m.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return sync.OnceFunc(func() { <-lock }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Load implements [Store].
func (m *MemoryStore) Load(o Origin) ([]Purchase, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var active []Purchase
	for _, p := range m.purchases[o] {
		if p.State.Active() {
			active = append(active, p)
		}
	}
	return active, nil
}

// Save implements [Store].
func (m *MemoryStore) Save(p Purchase) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.State == StatePending && m.known(p.Hash) {
		return ErrInvoiceReused
	}
	if m.purchases == nil {
		m.purchases = map[Origin]map[lntypes.Hash]Purchase{}
	}
	if m.purchases[p.Origin] == nil {
		m.purchases[p.Origin] = map[lntypes.Hash]Purchase{}
	}
	m.purchases[p.Origin][p.Hash] = p
	return nil
}

// known reports whether any origin has a purchase with that hash which did not
// fail.
func (m *MemoryStore) known(hash lntypes.Hash) bool {
	for _, of := range m.purchases {
		if p, ok := of[hash]; ok && p.State != StateFailed {
			return true
		}
	}
	return false
}

// MarkUsed implements [Store].
func (m *MemoryStore) MarkUsed(p Purchase) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held, ok := m.purchases[p.Origin][p.Hash]; ok {
		held.Used = true
		m.purchases[p.Origin][p.Hash] = held
	}
	return nil
}
