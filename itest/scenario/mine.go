package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
)

const (
	// quiet is how long there must be nothing to mine before blocks are mined for
	// what waits for depth.
	quiet = 400 * time.Millisecond

	// stall is how long nodes may lack blocks before there is another, as there is
	// on every chain: what a node missed it learns with the next at the latest.
	stall = 15 * time.Second

	// depth is how many blocks make lnd sure of what it saw, at most.
	depth = 6
)

// mineUntil mines blocks until ask finds nothing missing: one at a time while
// transactions wait for one, else as many as what ripens needs. The nodes follow
// each before the next, unless that takes them too long.
func (r *Run) mineUntil(ctx context.Context, ask func(context.Context) error) error {
	mined, calm := time.Now(), time.Now()
	return until(ctx, func(ctx context.Context) (err error) {
		missing := ask(ctx)
		if missing == nil {
			return nil
		}
		blocks, lag := 0, r.inStep(ctx)
		switch {
		case lag == nil:
			blocks, err = r.due(ctx, time.Since(calm) > quiet)
		case time.Since(mined) > stall:
			blocks = 1
		default:
			calm = time.Now()
		}
		if blocks > 0 {
			err = r.Network.Chain().Mine(ctx, blocks)
			mined, calm = time.Now(), time.Now()
		}
		return errors.Join(missing, lag, err)
	})
}

// inStep is an error while a node lacks blocks.
func (r *Run) inStep(ctx context.Context) error {
	height, err := r.Network.Chain().Height(ctx)
	if err != nil {
		return err
	}
	for _, n := range r.Network.Nodes {
		info, err := n.Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if err != nil {
			return err
		}
		if int(info.BlockHeight) < height || !info.SyncedToChain {
			return fmt.Errorf("%s is at height %d of %d, synced: %t", n.Name, info.BlockHeight, height, info.SyncedToChain)
		}
	}
	return nil
}

// due is how many blocks to mine now.
func (r *Run) due(ctx context.Context, idle bool) (int, error) {
	waiting, err := r.Network.Chain().Mempool(ctx)
	if err != nil || len(waiting) > 0 {
		return min(len(waiting), 1), err
	}
	if !idle {
		return 0, nil
	}
	blocks := depth
	for _, n := range r.Network.Nodes {
		pending, err := n.Lightning().PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
		if err != nil {
			return 0, err
		}
		for _, c := range pending.PendingForceClosingChannels {
			blocks = max(blocks, int(c.BlocksTilMaturity))
		}
	}
	return blocks, nil
}
