package guard

import (
	"context"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/audit"
)

const (
	// tallyInterval is for how long calls are counted before the journal is told
	// how many there were; tallySweep how often it is looked for such.
	tallyInterval = time.Minute
	tallySweep    = 10 * time.Second

	// maxTallies bounds how many are counted at a time. Further ones are
	// journalled one by one.
	maxTallies = 1000
)

// tallies count operators' calls that strangers can bring about any number of: a
// gate makes an invoice for whoever asks for a price. The first call of an actor
// is journalled like any other; how often it was repeated within the minute
// after it is journalled in one entry at the end of that. So a flood of such
// calls neither fills the disk nor waits for it. What was counted and not
// journalled yet is lost with the process; lnd has the invoices.
type tallies struct {
	now func() time.Time

	mu   sync.Mutex
	open map[tallied]*tally
}

// tallied is who calls what.
type tallied struct {
	by     audit.Actor
	method string
}

type tally struct {
	since time.Time
	more  int
}

func newTallies(now func() time.Time) *tallies {
	return &tallies{now: now, open: map[tallied]*tally{}}
}

// repeats counts a call and reports whether it is one more of those counted.
// When it is not, it is to be journalled itself.
func (t *tallies) repeats(what tallied) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if open := t.open[what]; open != nil {
		open.more++
		return true
	}
	if len(t.open) < maxTallies {
		t.open[what] = &tally{since: t.now()}
	}
	return false
}

// forget ends the count of a call that was not journalled after all.
func (t *tallies) forget(what tallied) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if open := t.open[what]; open != nil && open.more == 0 {
		delete(t.open, what)
	}
}

// take ends the counts whose time is over, or all, and returns their entries.
func (t *tallies) take(all bool) []audit.Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	var entries []audit.Entry
	for what, open := range t.open {
		if !all && t.now().Sub(open.since) < tallyInterval {
			continue
		}
		delete(t.open, what)
		if open.more > 0 {
			entries = append(entries, audit.Entry{Kind: "operator.repeats", Actor: what.by, Subject: what.method,
				Detail: map[string]any{"calls": open.more, "since": open.since.UTC().Format(time.RFC3339)}})
		}
	}
	return entries
}

// keepTallies journals what was counted until ctx ends, and what is left then.
func (g *Guard) keepTallies(ctx context.Context) {
	ticker := time.NewTicker(tallySweep)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			g.journalTallies(g.tallies.take(false))
		case <-ctx.Done():
		}
	}
	g.journalTallies(g.tallies.take(true))
}

func (g *Guard) journalTallies(entries []audit.Entry) {
	ctx, cancel := context.WithTimeout(context.Background(), resultTimeout)
	defer cancel()
	for _, e := range entries {
		if err := g.journal.Add(ctx, e); err != nil {
			g.log.Error("the number of an operator's calls is not in the journal", "method", e.Subject, "detail", e.Detail, "err", err)
		}
	}
}
