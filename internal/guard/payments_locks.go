package guard

import (
	"sync"

	"github.com/lightningnetwork/lnd/lntypes"
)

// hashLocks serialises what is done about one payment hash. The zero value is
// ready.
type hashLocks struct {
	mu   sync.Mutex
	held map[lntypes.Hash]*hashLock
}

type hashLock struct {
	sync.Mutex
	users int
}

// lock waits until the hash is free and returns what frees it.
func (l *hashLocks) lock(hash lntypes.Hash) (unlock func()) {
	one := l.enter(hash)
	one.Lock()
	return func() {
		one.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.held, hash)
		}
	}
}

func (l *hashLocks) enter(hash lntypes.Hash) *hashLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(map[lntypes.Hash]*hashLock)
	}
	if l.held[hash] == nil {
		l.held[hash] = new(hashLock)
	}
	l.held[hash].users++
	return l.held[hash]
}
