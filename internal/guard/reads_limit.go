package guard

import (
	"maps"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/account"
)

const (
	// An account may look up lookupBurst routes at once, and another each
	// lookupInterval.
	lookupBurst    = 10
	lookupInterval = time.Second

	// maxLookups is how many accounts are remembered before those that have
	// their whole burst again are forgotten.
	maxLookups = 1024
)

// lookups bounds how often each account asks for routes. The zero value is
// ready. Safe for concurrent use.
type lookups struct {
	mu sync.Mutex

	// full is when each account has its whole burst again.
	full map[account.ID]time.Time
}

// allow counts a question, if the account may ask it.
func (l *lookups) allow(id account.ID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.full[id]
	if most := now.Add(lookupBurst * lookupInterval); full.After(most) {
		full = most // the clock was moved back
	}
	if full.Before(now) {
		full = now
	}
	next := full.Add(lookupInterval)
	if next.Sub(now) > lookupBurst*lookupInterval {
		l.keep(id, full, now)
		return false
	}
	l.keep(id, next, now)
	return true
}

func (l *lookups) keep(id account.ID, full, now time.Time) {
	if len(l.full) >= maxLookups {
		maps.DeleteFunc(l.full, func(_ account.ID, full time.Time) bool { return !full.After(now) })
	}
	if l.full == nil {
		l.full = make(map[account.ID]time.Time)
	}
	l.full[id] = full
}
