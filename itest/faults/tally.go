package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// tally adds up what the faults did.
type tally struct {
	kinds map[string]*figures
	lines []string // of the summary, beside the figures
}

// figures are of one kind of fault.
type figures struct {
	blows            int
	refused, back    []time.Duration // from fault to refusal, from whole to serving again
	slowest          time.Duration   // answer of all
	restarts, outage int
}

func newTally() *tally { return &tally{kinds: map[string]*figures{}} }

func (t *tally) add(kind string, v verdict, tm times, restarted bool) {
	f := t.kinds[kind]
	if f == nil {
		f = &figures{}
		t.kinds[kind] = f
	}
	f.blows++
	f.back = append(f.back, tm.back.Sub(tm.whole))
	f.slowest = max(f.slowest, v.slowest)
	if v.refusedAfter != unknown {
		f.outage++
		f.refused = append(f.refused, v.refusedAfter)
	}
	if restarted {
		f.restarts++
	}
}

// summary adds a line.
func (t *tally) summary(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// String is what is said in the end.
func (t *tally) String() string {
	var b strings.Builder
	for _, kind := range kindNames {
		f := t.kinds[kind]
		if f == nil {
			continue
		}
		fmt.Fprintf(&b, "faults: %s %d times, %d outages, lnd started again %d times; refused after %s; back after %s; slowest answer %.1f s\n",
			kind, f.blows, f.outage, f.restarts, spread(f.refused), spread(f.back), f.slowest.Seconds())
	}
	for _, line := range t.lines {
		fmt.Fprintln(&b, "faults: "+line)
	}
	return b.String()
}

// spread is the least, the middle and the most.
func spread(list []time.Duration) string {
	if len(list) == 0 {
		return "(never)"
	}
	list = slices.Sorted(slices.Values(list))
	return fmt.Sprintf("%.2f / %.2f / %.2f s", list[0].Seconds(), list[len(list)/2].Seconds(), list[len(list)-1].Seconds())
}
