package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/leydenln/leyden/bench/ratio"
)

// callsInRun is how many calls a run makes; their median counts.
const callsInRun = 50

// bulk is how long messages are, in bytes.
var bulk = []int{1_000_000, 10_000_000}

// bench is what is measured; other may be nil.
type bench struct {
	direct, ours, other *pair
	rounds              int
}

func (b *bench) pairs() []*pair {
	if b.other == nil {
		return []*pair{b.direct, b.ours}
	}
	return []*pair{b.direct, b.ours, b.other}
}

func (b *bench) measure(ctx context.Context) error {
	if err := b.meetings(ctx); err != nil {
		return err
	}
	for _, p := range b.pairs() {
		if _, err := p.dial(); err != nil {
			return err
		}
	}
	calls := func(p *pair) (time.Duration, error) { return p.client.timed("call", strconv.Itoa(callsInRun)) }
	if err := b.compare(ctx, "a call", 4, calls, "at most 3 ms more"); err != nil {
		return err
	}
	for _, size := range bulk {
		for _, way := range []string{"fetch", "push"} {
			carry := func(p *pair) (time.Duration, error) { return p.client.timed(way, strconv.Itoa(size)) }
			what := fmt.Sprintf("%d MB to the client", size/1e6)
			if way == "push" {
				what = fmt.Sprintf("%d MB to the node", size/1e6)
			}
			if err := b.compare(ctx, what, 4, carry, "none"); err != nil {
				return err
			}
		}
	}
	return nil
}

// meetings measures pairing and coming back, each until the first call is
// answered. It leaves a session paired and hung up.
func (b *bench) meetings(ctx context.Context) error {
	pairing := func(p *pair) (time.Duration, error) {
		if err := p.begin(); err != nil {
			return 0, err
		}
		return p.dial()
	}
	if err := b.compare(ctx, "pairing and a call", 1, pairing, "none"); err != nil {
		return err
	}
	// The first return also moves to the place that the keys give: not counted.
	for _, p := range b.pairs() {
		if err := p.leave(); err != nil {
			return err
		}
		if _, err := p.dial(); err != nil {
			return err
		}
		if err := p.leave(); err != nil {
			return err
		}
	}
	again := func(p *pair) (time.Duration, error) {
		d, err := p.dial()
		if err != nil {
			return 0, err
		}
		return d, p.leave()
	}
	return b.compare(ctx, "coming back and a call", 1, again, "none")
}

// compare measures ours beside the direct way, and beside the other
// implementation if there is one.
func (b *bench) compare(ctx context.Context, what string, n int, run func(*pair) (time.Duration, error), target string) error {
	c := comparison(what, b.direct, b.ours, n, run, target)
	if err := c.Measure(ctx, b.rounds); err != nil || b.other == nil {
		return err
	}
	return comparison(what, b.other, b.ours, n, run, "at most 1.00 times").Measure(ctx, b.rounds)
}

func comparison(what string, base, subject *pair, n int, run func(*pair) (time.Duration, error), target string) ratio.Comparison {
	on := func(p *pair) func(context.Context) (time.Duration, error) {
		return func(ctx context.Context) (time.Duration, error) {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			return run(p)
		}
	}
	return ratio.Comparison{
		Baseline: what + ", " + base.name, Subject: what + ", " + subject.name, Target: target, N: n,
		RunBaseline: on(base), RunSubject: on(subject),
	}
}
