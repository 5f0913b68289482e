package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/devnet"
)

// restTime is the longest time between two blows, and blowTime what one may
// take.
const (
	restTime = 20 * time.Second
	blowTime = 5 * time.Minute
)

// blow is something that happens to the shop.
type blow struct {
	name string
	do   func(context.Context, *rand.Rand) error
}

// chaos strikes at random moments until the time is over; what it stopped it
// has started again by then. The gate is left alone in the second half.
func (w *world) chaos(ctx context.Context, rng *rand.Rand, t *tally, length time.Duration) error {
	begin := time.Now()
	others := []blow{
		{"gate reloaded", w.reload},
		{"backend restarted", w.restartBackend},
		{"backend restarted", w.restartBackend},
		{"seller's node restarted", func(ctx context.Context, rng *rand.Rand) error { return w.restartNode(ctx, rng, w.seller()) }},
		{"buyer's node restarted", func(ctx context.Context, rng *rand.Rand) error { return w.restartNode(ctx, rng, w.buyer()) }},
	}
	all := append([]blow{{"gate restarted", w.restartGate}, {"gate killed", w.killGate}}, others...)
	for {
		left := length - time.Since(begin)
		if err := pause(ctx, min(left, time.Duration(rng.Int64N(int64(restTime))))); err != nil {
			return err
		}
		if !w.gate.Running() {
			return errors.New("the gate has ended by itself")
		}
		if left <= 0 {
			return nil
		}
		choice := others
		if time.Since(begin) < length/2 {
			choice = all
		}
		b := choice[rng.IntN(len(choice))]
		ctx, cancel := context.WithTimeout(ctx, blowTime)
		err := b.do(ctx, rng)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		t.struck(b.name)
		fmt.Printf("%4.0f s: %s; %s\n", time.Since(begin).Seconds(), b.name, t)
	}
}

func (w *world) restartGate(ctx context.Context, _ *rand.Rand) error {
	return w.replaceGate(ctx, func() error { return w.gate.Stop(ctx) })
}

func (w *world) killGate(ctx context.Context, _ *rand.Rand) error {
	return w.replaceGate(ctx, w.gate.Kill)
}

func (w *world) replaceGate(ctx context.Context, end func() error) error {
	return w.gateAway.during(func() error {
		if err := end(); err != nil {
			return err
		}
		if err := w.gate.Start(ctx); err != nil {
			return err
		}
		w.gatePid.Store(int64(w.gate.Pid()))
		return nil
	})
}

// reload has the gate read its configuration again. No request may notice.
func (w *world) reload(context.Context, *rand.Rand) error {
	return syscall.Kill(w.gate.Pid(), syscall.SIGHUP)
}

func (w *world) restartBackend(ctx context.Context, rng *rand.Rand) error {
	return w.backAway.during(func() error {
		w.back.stop()
		if err := pause(ctx, time.Duration(rng.IntN(3000))*time.Millisecond); err != nil {
			return err
		}
		return w.back.start()
	})
}

// restartNode stops or kills a node, and waits until it can pay and be paid.
func (w *world) restartNode(ctx context.Context, rng *rand.Rand, n *devnet.Node) error {
	return w.nodeAway.during(func() error {
		end := func() error { return n.Stop(ctx) }
		if rng.IntN(2) == 0 {
			end = n.Kill
		}
		if err := end(); err != nil {
			return err
		}
		if err := n.Start(ctx); err != nil {
			return err
		}
		return w.net.AwaitChannels(ctx)
	})
}
