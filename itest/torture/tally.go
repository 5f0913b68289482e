package main

import (
	"fmt"

	"github.com/leydenln/leyden/itest/market"
)

// tally adds up what happened.
type tally struct {
	m      *market.Market
	found  market.Counts
	killed map[string]int
}

// endRound returns what there is to say about the round.
func (t *tally) endRound(killed, took string, found market.Counts) string {
	t.killed[killed]++
	more := found.Minus(t.found)
	t.found = found
	return fmt.Sprintf("killed %s; %s more, all books agree (%s)", killed, more, took)
}

// String is the summary of all rounds.
func (t *tally) String() string {
	failed, refused := t.m.Outcome()
	return fmt.Sprintf("killed the node %d, lnd %d, both %d times; %s, %d payments failed, %d refused or cut, %d stuck at lnd and given up; 0 lost, 0 paid twice",
		t.killed[theNode], t.killed[theLnd], t.killed[both], t.found, failed, refused, t.m.GivenUp())
}
