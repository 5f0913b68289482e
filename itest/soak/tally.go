package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxFaults is how many faults are told; all are counted.
const maxFaults = 10

// tally adds up what happened.
type tally struct {
	served, gateGone, backGone atomic.Int64 // requests with a token
	asked, unsold              atomic.Int64 // requests without
	bought                     atomic.Int64 // by lnget
	presented, refused         atomic.Int64 // in the end: tokens, and credentials that were used up
	stuck                      atomic.Int64 // payments that lnd keeps in flight though they never left it
	cut                        atomic.Int64 // credentials that a killed gate used up for nothing
	missed, failed             atomic.Int64 // runs of lnget, while something was away and while nothing was

	grown string

	mu     sync.Mutex
	faults []error
	total  int
	blows  map[string]int
}

// fault notes something that must not be.
func (t *tally) fault(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total++; len(t.faults) < maxFaults {
		t.faults = append(t.faults, fmt.Errorf(format, args...))
		fmt.Println("FAULT:", t.faults[len(t.faults)-1])
	}
}

// faulty returns the faults.
func (t *tally) faulty() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total == 0 {
		return nil
	}
	return fmt.Errorf("%d faults: %w", t.total, errors.Join(t.faults...))
}

// unbought notes a run of lnget that did not get the goods. It is no fault: it
// is repeated, and what counts is that it gets them in the end, once.
func (t *tally) unbought(away bool, format string, args ...any) {
	if away {
		t.missed.Add(1)
		return
	}
	if t.failed.Add(1) <= maxFaults {
		fmt.Println("lnget while all was up: " + fmt.Sprintf(format, args...))
	}
}

func (t *tally) struck(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blows == nil {
		t.blows = map[string]int{}
	}
	t.blows[name]++
}

// String is how far it is.
func (t *tally) String() string {
	return fmt.Sprintf("%d served, %d purchases", t.served.Load(), t.bought.Load())
}

func (t *tally) summary(length time.Duration) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("soak: %v: %d requests with a token served (%.0f/s), %d while the gate was away, %d while the backend was; "+
		"%d unpaid requests, %d of them without an offer; %d purchases, in the end %d tokens accepted and %d used credentials refused, %d lost with a killed gate, %d stuck at lnd and given up; lnget failed %d times while something was away, %d times otherwise; "+
		"%v; gate: %s; %d faults",
		length, t.served.Load(), float64(t.served.Load())/length.Seconds(), t.gateGone.Load(), t.backGone.Load(),
		t.asked.Load()+t.unsold.Load(), t.unsold.Load(), t.bought.Load(), t.presented.Load(), t.refused.Load(), t.cut.Load(), t.stuck.Load(), t.missed.Load(), t.failed.Load(),
		t.blows, t.grown, t.total)
}
