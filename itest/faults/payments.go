package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/itest/market"
)

// faults is what is common to all rounds.
type faults struct {
	apart *apart // nil: the signer is on loopback
	kinds []string
	rng   *rand.Rand
	tally *tally
}

// network are the options of a network whose given node has a signer.
func (f *faults) network(name string) devnet.Options {
	o := devnet.Options{Signer: name}
	if f.apart != nil {
		o.SignerHost, o.SignerRun = signerHost, f.apart.enter
	}
	return o
}

// payments strikes at a market, once a round.
func (f *faults) payments(ctx context.Context, o options) (err error) {
	if o.rounds == 0 {
		return nil
	}
	begin := time.Now()
	m, err := market.Open(ctx, o.bin, f.network(market.NodeName))
	if err != nil {
		return err
	}
	defer func() { m.Close(o.keep || err != nil) }()
	var found market.Counts
	done := 0
	for ; done < o.rounds && err == nil; done++ {
		var more market.Counts
		more, err = f.round(ctx, m, done+1)
		if err != nil {
			err = fmt.Errorf("round %d of %d, logs in %s: %w", done+1, o.rounds, m.Dir, err)
			break
		}
		found = more
	}
	failed, refused := m.Outcome()
	f.tally.summary("%d of %d rounds of payments clean in %.0f s: %s, %d payments failed, %d refused or cut, %d stuck at lnd and given up, %d times HTLCs moved only after a new connection; 0 lost, 0 paid twice",
		done, o.rounds, time.Since(begin).Seconds(), found, failed, refused, m.GivenUp(), m.Relinked())
	return err
}

// round strikes once under load and checks everything once it is quiet again.
func (f *faults) round(ctx context.Context, m *market.Market, n int) (found market.Counts, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	load := m.StartLoad(ctx, f.rng.Uint64())
	defer load.Stop()
	b := f.newBlow(f.kinds[f.rng.IntN(len(f.kinds))], m.Node().Signer)
	if err := pause(ctx, between(f.rng, 200*time.Millisecond, 2500*time.Millisecond)); err != nil {
		return found, err
	}
	said, err := f.strike(ctx, b, m.Node())
	if err == nil {
		err = f.awaitChannel(ctx, m)
	}
	if err == nil {
		err = pause(ctx, between(f.rng, 0, 1500*time.Millisecond))
	}
	if err == nil {
		load.Stop()
		err = m.Quiet(ctx)
	}
	if err == nil {
		found, err = m.Check(ctx)
	}
	if err != nil {
		return found, fmt.Errorf("signer %s (%s): %w", b.kind, b.detail, err)
	}
	fmt.Printf("round %3d: signer %s (%s): %s; %s in all, all books agree\n", n, b.kind, b.detail, said, found)
	return found, nil
}

// peerPatience is how long the peer is left alone to connect again: after many
// breaks its lnd waits for minutes.
const peerPatience = 10 * time.Second

// awaitChannel waits until the node's channel is active.
func (f *faults) awaitChannel(ctx context.Context, m *market.Market) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	var last error
	err := devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		last = m.Serves(ctx)
		if errors.Is(last, market.ErrInactive) && time.Since(begin) > peerPatience {
			m.Reconnect(ctx)
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("no channel is active again: %w", errors.Join(err, last))
	}
	return nil
}
