package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet"
)

// fund gives the node coins at a taproot address and waits until it has them.
func (r *Run) fund(ctx context.Context) error {
	before, err := r.books(ctx)
	if err != nil {
		return err
	}
	address, err := newAddress(ctx, r.alice())
	if err != nil {
		return err
	}
	if err := r.Network.SendCoins(ctx, address, coins, 1); err != nil {
		return err
	}
	return r.mineUntil(ctx, func(ctx context.Context) error {
		now, err := owns(ctx, r.alice())
		if err == nil && now != before.alice+coins {
			err = fmt.Errorf("the node has %v, want %v", now, before.alice+coins)
		}
		return err
	})
}

func newAddress(ctx context.Context, n *devnet.Node) (address string, err error) {
	err = until(ctx, func(ctx context.Context) error {
		reply, err := n.Lightning().NewAddress(ctx, &lnrpc.NewAddressRequest{Type: lnrpc.AddressType_TAPROOT_PUBKEY})
		address = reply.GetAddress()
		return err
	})
	return address, err
}

// send sends coins to the other node's wallet. The sender's wallet knows what
// was sent, also when the answer was lost.
func (r *Run) send(ctx context.Context) error {
	address, err := newAddress(ctx, r.bob())
	if err != nil {
		return err
	}
	err = until(ctx, func(ctx context.Context) error {
		if done, err := pays(ctx, r.alice(), address); done || err != nil {
			return err
		}
		_, err := r.alice().Lightning().SendCoins(ctx, &lnrpc.SendCoinsRequest{Addr: address, Amount: sent, SatPerVbyte: satPerVbyte})
		return err
	})
	if err != nil {
		return err
	}
	return r.mineUntil(ctx, func(ctx context.Context) error {
		list, err := r.bob().Lightning().ListUnspent(ctx, &lnrpc.ListUnspentRequest{MinConfs: 1, MaxConfs: 1 << 20})
		if err == nil && !slices.ContainsFunc(list.Utxos, func(u *lnrpc.Utxo) bool { return u.Address == address && u.AmountSat == sent }) {
			err = errors.New("the coins have not arrived")
		}
		return err
	})
}

// pays says whether the node's wallet has a transaction that pays the address.
func pays(ctx context.Context, n *devnet.Node, address string) (bool, error) {
	list, err := n.Lightning().GetTransactions(ctx, &lnrpc.GetTransactionsRequest{EndHeight: -1})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(list.Transactions, func(tx *lnrpc.Transaction) bool {
		return slices.ContainsFunc(tx.OutputDetails, func(o *lnrpc.OutputDetail) bool { return o.Address == address })
	}), nil
}
