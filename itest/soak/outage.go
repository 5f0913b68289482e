package main

import (
	"sync"
	"time"
)

// outages are the times when something was not there.
type outages struct {
	mu   sync.Mutex
	list []outage
}

// outage lasts until the zero time: it is not over.
type outage struct{ from, until time.Time }

// during counts the time that do takes as an outage.
func (o *outages) during(do func() error) error {
	o.mu.Lock()
	i := len(o.list)
	o.list = append(o.list, outage{from: time.Now()})
	o.mu.Unlock()
	err := do()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list[i].until = time.Now()
	return err
}

// met reports whether an outage overlaps the time from begin until end.
func (o *outages) met(begin, end time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.list) - 1; i >= 0; i-- {
		x := o.list[i]
		if x.from.Before(end) && (x.until.IsZero() || begin.Before(x.until)) {
			return true
		}
		if !x.until.IsZero() && x.until.Before(begin) {
			return false // those before ended earlier still
		}
	}
	return false
}
