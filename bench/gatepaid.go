package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// paidRound is what one round of requests that are paid for gave, as ratios.
type paidRound struct {
	rate, p99     float64 // beside the bare proxy, one token
	bareCPU, cost float64 // of a request, in microseconds
	first, second float64 // the rate of a pass over all tokens, beside one token
}

// authenticated compares the gate with a bare proxy before the same backend.
func (b *gateBench) authenticated(ctx context.Context, rounds int) error {
	var all []paidRound
	for range rounds {
		if err := b.openGate(ctx); err != nil {
			return err
		}
		r, err := b.paidRound(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("  round: %.2f of the bare proxy's rate, p99 %.2f times, CPU %.0f beside %.0f µs, first pass %.2f, second %.2f\n",
			r.rate, r.p99, r.cost, r.bareCPU, r.first, r.second)
		all = append(all, r)
	}
	for _, figure := range []struct {
		what, target string
		of           func(paidRound) float64
	}{
		{"paid requests, one token, beside a bare ReverseProxy: rate", "at least 0.95", func(r paidRound) float64 { return r.rate }},
		{"likewise: p99", "at most 1.25", func(r paidRound) float64 { return r.p99 }},
		{"likewise: processor time of a request", "none", func(r paidRound) float64 { return r.cost / r.bareCPU }},
		{fmt.Sprintf("%d new tokens beside one token: rate", gateTokens), "at least 0.85", func(r paidRound) float64 { return r.first }},
		{"the same tokens again beside one token: rate", "0.95 or more", func(r paidRound) float64 { return r.second }},
	} {
		var values []float64
		for _, r := range all {
			values = append(values, figure.of(r))
		}
		printMedian(figure.what, figure.target, values)
	}
	return nil
}

// printMedian prints the median of the rounds.
func printMedian(what, target string, values []float64) {
	slices.Sort(values)
	fmt.Printf("  %s: %.2f (rounds %.2f to %.2f); target: %s\n",
		what, values[len(values)/2], values[0], values[len(values)-1], target)
}

func (b *gateBench) paidRound(ctx context.Context) (r paidRound, err error) {
	requests, err := b.paidRequests(gateTokens)
	if err != nil {
		return r, err
	}
	one, every := inTurn(slices.Repeat(requests[:1], gateTokens)), inTurn(requests)
	every.addr = b.addr
	var ratios, tails [2]float64
	var rates [2]float64
	for half := range 2 {
		one.addr = b.bare.addr
		bare, bareCost, err := costed(ctx, one, b.bare.Pid())
		if err != nil {
			return r, err
		}
		one.addr = b.addr
		ours, cost, err := costed(ctx, one, b.shop.Pid())
		if err != nil {
			return r, err
		}
		ratios[half], tails[half] = ours.rate()/bare.rate(), float64(ours.p99)/float64(bare.p99)
		rates[half] = ours.rate()
		r.bareCPU, r.cost = r.bareCPU+bareCost/2, r.cost+cost/2
		if half == 1 {
			break
		}
		first, err := every.count(ctx, gateTokens)
		if err != nil {
			return r, err
		}
		second, err := every.count(ctx, gateTokens)
		if err != nil {
			return r, err
		}
		r.first, r.second = first.rate(), second.rate()
	}
	r.rate, r.p99 = (ratios[0]+ratios[1])/2, (tails[0]+tails[1])/2
	single := (rates[0] + rates[1]) / 2
	r.first, r.second = r.first/single, r.second/single
	return r, nil
}

// inTurn sends the requests one after the other. Each is a copy, so that
// reading many costs the sender the same whether they differ or not.
func inTurn(requests [][]byte) load {
	for i := range requests {
		requests[i] = slices.Clone(requests[i])
	}
	var next atomic.Int64
	return load{conns: gateConns, status: http.StatusOK, request: func(_ int, buf []byte) []byte {
		return append(buf, requests[int(next.Add(1)-1)%len(requests)]...)
	}}
}

// costed also returns what a request cost a process, in microseconds of
// processor time.
func costed(ctx context.Context, l load, pid int) (figures, float64, error) {
	before, err := processorTime(pid)
	if err != nil {
		return figures{}, 0, err
	}
	f, err := l.during(ctx, gateTime)
	if err != nil {
		return f, 0, err
	}
	after, err := processorTime(pid)
	return f, float64((after-before)/time.Microsecond) / float64(f.requests), err
}
