package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/itest/scenario"
)

// lifeTime is what one life of a node may take while its signer comes and goes.
const lifeTime = 12 * time.Minute

// channelTypes take turns.
var channelTypes = []lnrpc.CommitmentType{lnrpc.CommitmentType_ANCHORS, lnrpc.CommitmentType_SIMPLE_TAPROOT}

// lives strikes at random moments while a node goes through all that a node does.
func (f *faults) lives(ctx context.Context, o options) (err error) {
	if o.lives == 0 {
		return nil
	}
	begin := time.Now()
	dir, err := os.MkdirTemp("", "leyden-lives-")
	if err != nil {
		return err
	}
	net := f.network(devnet.NodeName(0))
	net.Home, net.Leyden, net.Btcd = config.Home(dir), filepath.Join(o.bin, "leyden"), filepath.Join(o.bin, "btcd")
	net.Profiles = []string{"taproot"}
	n, err := devnet.Start(ctx, net)
	if err != nil {
		return fmt.Errorf("logs in %s: %w", dir, err)
	}
	defer func() {
		err = errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
		if err == nil && !o.keep {
			err = os.RemoveAll(dir)
		}
	}()
	done, blows := 0, 0
	for ; done < o.lives; done++ {
		kind := channelTypes[done%len(channelTypes)]
		began := time.Now()
		some, err := f.life(ctx, n, kind)
		blows += some
		if err == nil {
			err = agree(ctx, net.Leyden, n.Nodes[0])
		}
		if err != nil {
			f.tally.summary("%d of %d lives of a node clean in %.0f s, with %d faults", done, o.lives, time.Since(begin).Seconds(), blows)
			return fmt.Errorf("life %d of %d, logs in %s: %w", done+1, o.lives, dir, err)
		}
		fmt.Printf("life %2d with %v channels: %d faults, %.0f s, nothing lost\n", done+1, kind, some, time.Since(began).Seconds())
	}
	f.tally.summary("%d of %d lives of a node clean in %.0f s, with %d faults; 0 lost", done, o.lives, time.Since(begin).Seconds(), blows)
	return nil
}

// agree insists on clean books and an unbroken journal.
func agree(ctx context.Context, leyden string, n *devnet.Node) error {
	return errors.Join(
		shop.Operate(ctx, leyden, n, nil, "accounts", "check"),
		shop.Operate(ctx, leyden, n, nil, "audit", "verify"))
}

// life is one run of the scenario with faults; it returns how many there were.
func (f *faults) life(ctx context.Context, n *devnet.Network, kind lnrpc.CommitmentType) (blows int, err error) {
	ctx, cancel := context.WithTimeout(ctx, lifeTime)
	defer cancel()
	over, finished := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(over)
		run := scenario.Run{Network: n, Type: kind, Reopen: true, Say: func(step string, took time.Duration) {
			fmt.Printf("  %s: %.1f s\n", step, took.Seconds())
		}}
		finished <- run.Do(ctx)
	}()
	alice := n.Nodes[0]
	for {
		select {
		case <-over:
			return blows, <-finished
		case <-time.After(between(f.rng, 0, 2*time.Second)):
		}
		b := f.newBlow(f.kinds[f.rng.IntN(len(f.kinds))], alice.Signer)
		said, err := f.strike(ctx, b, alice)
		if err != nil {
			cancel()
			return blows, errors.Join(fmt.Errorf("signer %s (%s): %w", b.kind, b.detail, err), <-finished)
		}
		blows++
		fmt.Printf("  signer %s (%s): %s\n", b.kind, b.detail, said)
	}
}
