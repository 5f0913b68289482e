package scenario

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet"
)

// lostAnchors is what a channel closed by force leaves behind at most: each
// side's anchor of 330 sat, not worth its sweep (BOLT 3).
const lostAnchors btcutil.Amount = 2 * 330

// books are what the nodes own while nothing is on its way.
type books struct {
	alice  btcutil.Amount
	all    btcutil.Amount // of every node, alice's included
	height int
}

// books mines what is on its way, then counts.
func (r *Run) books(ctx context.Context) (b books, err error) {
	err = r.mineUntil(ctx, func(ctx context.Context) error {
		b = books{}
		waiting, err := r.Network.Chain().Mempool(ctx)
		if err != nil {
			return err
		}
		if len(waiting) > 0 {
			return fmt.Errorf("%d transactions wait for a block", len(waiting))
		}
		if err := r.inStep(ctx); err != nil {
			return err
		}
		for _, n := range r.Network.Nodes {
			sat, err := owns(ctx, n)
			if err != nil {
				return err
			}
			b.all += sat
			if n == r.alice() {
				b.alice = sat
			}
		}
		b.height, err = r.Network.Chain().Height(ctx)
		return err
	})
	return b, err
}

// owns counts what a node owns, confirmed in its wallet and in channels. Money
// that is on its way is an error. Unconfirmed coins do not count: when both peers
// broadcast a closing transaction, each with a fee of its own, a wallet on
// neutrino may wait for the one that lost for good.
func owns(ctx context.Context, n *devnet.Node) (btcutil.Amount, error) {
	if err := nothingCloses(ctx, n); err != nil {
		return 0, err
	}
	wallet, err := n.Lightning().WalletBalance(ctx, &lnrpc.WalletBalanceRequest{})
	if err != nil {
		return 0, err
	}
	sat := wallet.ConfirmedBalance
	open, err := n.Lightning().ListChannels(ctx, &lnrpc.ListChannelsRequest{})
	if err != nil {
		return 0, err
	}
	for _, c := range open.Channels {
		if len(c.PendingHtlcs) > 0 || c.UnsettledBalance != 0 {
			return 0, fmt.Errorf("%s has %d HTLCs in flight", n.Name, len(c.PendingHtlcs))
		}
		sat += share(c.Initiator, c.Capacity, c.LocalBalance, c.RemoteBalance)
	}
	pending, err := n.Lightning().PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
	if err != nil {
		return 0, err
	}
	for _, p := range pending.PendingOpenChannels {
		c := p.Channel
		sat += share(c.Initiator == lnrpc.Initiator_INITIATOR_LOCAL, c.Capacity, c.LocalBalance, c.RemoteBalance)
	}
	return btcutil.Amount(sat), nil
}

// share is what a node has in a channel, in sat: who opened it has the anchors
// and the commitment's fee as well (BOLT 3).
func share(initiator bool, capacity, local, remote int64) int64 {
	if initiator {
		return capacity - remote
	}
	return local
}

// nothingCloses is an error while a channel's coins are not the wallet's yet.
func nothingCloses(ctx context.Context, n *devnet.Node) error {
	pending, err := n.Lightning().PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
	if err != nil {
		return err
	}
	if closing, forced := len(pending.WaitingCloseChannels), len(pending.PendingForceClosingChannels); closing+forced > 0 {
		return fmt.Errorf("%s has %d channels that close and %d that wait for their sweep, with %d sat",
			n.Name, closing, forced, pending.TotalLimboBalance)
	}
	return nil
}

// check says what is missing: what left the nodes went to the miner, but for
// anchors; and alice has what she must, less such costs.
func (r *Run) check(ctx context.Context, before, after books) error {
	fees, err := r.Network.Chain().Fees(ctx, before.height, after.height)
	if err != nil {
		return err
	}
	anchors := lostAnchors * btcutil.Amount(1+r.lost)
	if gone := before.all - after.all - fees; gone < 0 || gone > anchors {
		return fmt.Errorf("the nodes had %v, have %v and paid %v to the miner: %v are gone", before.all, after.all, fees, gone)
	}
	want := before.alice - 2*paid + received - sent
	if cost := want - after.alice; cost < 0 || cost > fees+anchors {
		return fmt.Errorf("the node has %v, want %v less at most %v", after.alice, want, fees+anchors)
	}
	return nil
}
