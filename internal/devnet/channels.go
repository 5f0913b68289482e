package devnet

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"
	"golang.org/x/sync/errgroup"

	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/fault"
)

// What a channel holds, in sat, and how much of it starts on the far side, so
// that both can pay.
const (
	channelSize btcutil.Amount = 10_000_000
	channelPush btcutil.Amount = 2_000_000
)

// firstFunds is what the first node gets in each of its coins: enough for one
// channel and more by hand.
const firstFunds btcutil.Amount = btcutil.SatoshiPerBitcoin

// announceDepth is how many blocks make a channel public (BOLT 7).
const announceDepth = 6

// channelTime bounds the wait for channels to become active.
const channelTime = 2 * time.Minute

// remindEvery is how often a block is mined while a channel still waits for
// one: its transaction may have reached btcd late.
const remindEvery = time.Second

// ensureChannels gives the first node a channel to each other node that has
// none, and waits until all are active on both sides.
func (n *Network) ensureChannels(ctx context.Context) error {
	first, others := n.Nodes[0], n.Nodes[1:]
	missing, err := n.withoutChannel(ctx)
	if err != nil {
		return err
	}
	g, connecting := errgroup.WithContext(ctx)
	for _, node := range others {
		g.Go(func() error { return first.Connect(connecting, node) })
	}
	g.Go(func() error { return n.fund(connecting, len(missing)) })
	if err := g.Wait(); err != nil {
		return err
	}
	for _, node := range missing {
		if err := first.openChannel(ctx, node); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		if err := n.awaitMempool(ctx, len(missing)); err != nil {
			return err
		}
		if err := n.chain.Mine(ctx, announceDepth); err != nil {
			return err
		}
	}
	return n.AwaitChannels(ctx)
}

// withoutChannel returns the nodes to which the first has no channel, not
// even a pending one.
func (n *Network) withoutChannel(ctx context.Context) ([]*Node, error) {
	first := n.Nodes[0]
	open, err := first.Lightning().ListChannels(ctx, &lnrpc.ListChannelsRequest{})
	if err != nil {
		return nil, first.failed("list its channels", err)
	}
	pending, err := first.Lightning().PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
	if err != nil {
		return nil, first.failed("list its pending channels", err)
	}
	has := make(map[string]bool)
	for _, c := range open.Channels {
		has[c.RemotePubkey] = true
	}
	for _, c := range pending.PendingOpenChannels {
		has[c.Channel.RemoteNodePub] = true
	}
	var missing []*Node
	for _, node := range n.Nodes[1:] {
		if !has[node.Pubkey] {
			missing = append(missing, node)
		}
	}
	return missing, nil
}

// fund gives the first node a coin for each channel to open, and one more
// when it owns nothing at all.
func (n *Network) fund(ctx context.Context, channels int) error {
	first := n.Nodes[0]
	balance, err := first.Lightning().WalletBalance(ctx, &lnrpc.WalletBalanceRequest{})
	if err != nil {
		return first.failed("tell its balance", err)
	}
	coins := channels
	if balance.TotalBalance == 0 {
		coins++
	}
	if coins == 0 {
		return nil
	}
	reply, err := first.Lightning().NewAddress(ctx, &lnrpc.NewAddressRequest{Type: lnrpc.AddressType_WITNESS_PUBKEY_HASH})
	if err != nil {
		return first.failed("make an address", err)
	}
	if err := n.SendCoins(ctx, reply.Address, firstFunds, coins); err != nil {
		return err
	}
	want := balance.ConfirmedBalance + int64(coins)*int64(firstFunds)
	err = Poll(ctx, func(ctx context.Context) (bool, error) {
		b, err := first.Lightning().WalletBalance(ctx, &lnrpc.WalletBalanceRequest{})
		if err != nil || b.ConfirmedBalance < want {
			return false, err
		}
		info, err := first.Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		return err == nil && info.SyncedToChain, err
	})
	if err != nil {
		return first.failed("see its funds", err)
	}
	return nil
}

// SendCoins pays an address from the faucet, in so many coins of the amount, and
// mines a block.
func (n *Network) SendCoins(ctx context.Context, to string, amount btcutil.Amount, coins int) error {
	address, err := btcutil.DecodeAddress(to, chain.Params)
	if err != nil {
		return fault.New("node_failed", "", "address %q: %w", to, err)
	}
	if _, err := n.chain.Send(ctx, amount, slices.Repeat([]btcutil.Address{address}, coins)...); err != nil {
		return err
	}
	return n.chain.Mine(ctx, 1)
}

func (n *Network) awaitMempool(ctx context.Context, transactions int) error {
	ctx, cancel := context.WithTimeout(ctx, channelTime)
	defer cancel()
	return Poll(ctx, func(ctx context.Context) (bool, error) {
		ids, err := n.chain.Mempool(ctx)
		return len(ids) >= transactions, err
	})
}

// AwaitChannels waits until payments can be made: every channel is active on
// both sides, and every node knows both ends' terms for all of them, without
// which it finds no route. It mines now and then while a channel is pending.
func (n *Network) AwaitChannels(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, channelTime)
	defer cancel()
	remind := time.NewTicker(remindEvery)
	defer remind.Stop()
	err := Poll(ctx, func(ctx context.Context) (bool, error) {
		ready, pending, err := n.channelsReady(ctx)
		if err != nil || ready {
			return ready, err
		}
		select {
		case <-remind.C:
			if pending {
				return false, n.chain.Mine(ctx, 1)
			}
		default:
		}
		return false, nil
	})
	if err != nil {
		return fault.New("node_failed", "leyden devnet down --clean, to start over", "channels did not become active: %w", err)
	}
	return nil
}

// channelsReady says whether AwaitChannels is done, and whether some channels
// are not confirmed yet.
func (n *Network) channelsReady(ctx context.Context) (ready, pending bool, err error) {
	ready = true
	for i, node := range n.Nodes {
		info, err := node.Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if err != nil {
			return false, false, err
		}
		want := 1
		if i == 0 {
			want = len(n.Nodes) - 1
		}
		routable, err := node.routableChannels(ctx)
		if err != nil {
			return false, false, err
		}
		ready = ready && int(info.NumActiveChannels) >= want && routable >= len(n.Nodes)-1
		pending = pending || info.NumPendingChannels > 0
	}
	return ready, pending, nil
}

// routableChannels counts the channels in the node's graph that have both
// ends' terms.
func (n *Node) routableChannels(ctx context.Context) (count int, err error) {
	graph, err := n.Lightning().DescribeGraph(ctx, &lnrpc.ChannelGraphRequest{IncludeUnannounced: true})
	if err != nil {
		return 0, err
	}
	for _, edge := range graph.Edges {
		if edge.Node1Policy != nil && edge.Node2Policy != nil {
			count++
		}
	}
	return count, nil
}

// Connect connects two nodes; being connected already is fine. Code: node_failed.
func (n *Node) Connect(ctx context.Context, other *Node) error {
	peers, err := n.Lightning().ListPeers(ctx, &lnrpc.ListPeersRequest{})
	if err != nil {
		return n.failed("list its peers", err)
	}
	for _, p := range peers.Peers {
		if p.PubKey == other.Pubkey {
			return nil
		}
	}
	_, err = n.Lightning().ConnectPeer(ctx, &lnrpc.ConnectPeerRequest{
		Addr: &lnrpc.LightningAddress{Pubkey: other.Pubkey, Host: other.P2P},
	})
	if err != nil && !alreadyConnected(err) {
		return n.failed("connect to "+other.Name, err)
	}
	return nil
}

func (n *Node) openChannel(ctx context.Context, to *Node) error {
	key, err := hex.DecodeString(to.Pubkey)
	if err != nil {
		return n.failed("open a channel to "+to.Name, err)
	}
	_, err = n.Lightning().OpenChannelSync(ctx, &lnrpc.OpenChannelRequest{
		NodePubkey: key, LocalFundingAmount: int64(channelSize), PushSat: int64(channelPush),
		SatPerVbyte: 5,
	})
	if err != nil {
		return n.failed("open a channel to "+to.Name, err)
	}
	return nil
}

func alreadyConnected(err error) bool {
	return strings.Contains(err.Error(), "already connected to peer")
}
