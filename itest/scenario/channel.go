package scenario

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet"
)

// closeTime is how long the peers may take to agree on a closing transaction
// before they are made to begin again.
const closeTime = 15 * time.Second

// open opens a channel of the run's type and waits until it can be used.
func (r *Run) open(ctx context.Context) error {
	for {
		if err := r.openOne(ctx); !r.replaces(err) {
			return err
		}
	}
}

// openOne opens a channel, unannounced as lnd's taproot channels must be. An
// attempt whose answer was lost is found among the node's channels.
func (r *Run) openOne(ctx context.Context) error {
	peer, err := hex.DecodeString(r.bob().Pubkey)
	if err != nil {
		return err
	}
	var old map[string]bool
	err = until(ctx, func(ctx context.Context) (err error) { old, err = r.points(ctx); return err })
	if err != nil {
		return err
	}
	err = until(ctx, func(ctx context.Context) error {
		now, err := r.points(ctx)
		if err != nil {
			return err
		}
		for point := range now {
			if !old[point] {
				r.channel = channel{point: point}
				return nil
			}
		}
		if err := r.alice().Connect(ctx, r.bob()); err != nil {
			return err
		}
		_, err = r.alice().Lightning().OpenChannelSync(ctx, &lnrpc.OpenChannelRequest{
			NodePubkey: peer, LocalFundingAmount: channelSize, SatPerVbyte: satPerVbyte, Private: true, CommitmentType: r.Type,
		})
		return cmp.Or(err, errors.New("the channel is not listed yet"))
	})
	if err != nil {
		return err
	}
	return r.mineUntil(ctx, r.usable)
}

// points are the funding outpoints of the node's channels of the run's type,
// open or about to be.
func (r *Run) points(ctx context.Context) (map[string]bool, error) {
	open, err := r.alice().Lightning().ListChannels(ctx, &lnrpc.ListChannelsRequest{PrivateOnly: true})
	if err != nil {
		return nil, err
	}
	pending, err := r.alice().Lightning().PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
	if err != nil {
		return nil, err
	}
	points := make(map[string]bool)
	for _, c := range open.Channels {
		if c.CommitmentType == r.Type {
			points[c.ChannelPoint] = true
		}
	}
	for _, c := range pending.PendingOpenChannels {
		if c.Channel.CommitmentType == r.Type {
			points[c.Channel.ChannelPoint] = true
		}
	}
	return points, nil
}

// stays is errClosed when the channel is about to close.
func (r *Run) stays(ctx context.Context) error {
	pending, err := r.alice().Lightning().PendingChannels(ctx, &lnrpc.PendingChannelsRequest{})
	if err != nil {
		return err
	}
	var closing []string
	for _, c := range pending.WaitingCloseChannels {
		closing = append(closing, c.Channel.ChannelPoint)
	}
	for _, c := range pending.PendingForceClosingChannels {
		closing = append(closing, c.Channel.ChannelPoint)
	}
	if slices.Contains(closing, r.channel.point) {
		return fmt.Errorf("%w: %s", errClosed, r.channel.point)
	}
	return nil
}

// usable is an error while the channel is not active on both sides, or while one
// of them lacks the terms of either: without those there is no route, and lnd
// fails a link that is closed before it has them.
func (r *Run) usable(ctx context.Context) error {
	if err := r.stays(ctx); err != nil {
		return err
	}
	if err := r.alice().Connect(ctx, r.bob()); err != nil {
		return err
	}
	for _, n := range []*devnet.Node{r.alice(), r.bob()} {
		c, err := r.look(ctx, n)
		if err != nil {
			return err
		}
		if c == nil || !c.Active {
			return fmt.Errorf("channel %s is not active at %s", r.channel.point, n.Name)
		}
		r.channel.id = c.ChanId
		edge, err := n.Lightning().GetChanInfo(ctx, &lnrpc.ChanInfoRequest{ChanId: c.ChanId})
		if err != nil {
			return err
		}
		if edge.Node1Policy == nil || edge.Node2Policy == nil {
			return fmt.Errorf("%s lacks the terms of channel %s", n.Name, r.channel.point)
		}
	}
	return nil
}

// look returns the channel as the node lists it, nil when it is not open.
func (r *Run) look(ctx context.Context, n *devnet.Node) (*lnrpc.Channel, error) {
	list, err := n.Lightning().ListChannels(ctx, &lnrpc.ListChannelsRequest{})
	if err != nil {
		return nil, err
	}
	for _, c := range list.Channels {
		if c.ChannelPoint == r.channel.point {
			return c, nil
		}
	}
	return nil, nil
}

// closeInAgreement closes the channel with the peer.
func (r *Run) closeInAgreement(ctx context.Context) error {
	if err := until(ctx, r.usable); err != nil && !r.replaces(err) {
		return err
	}
	return r.closeChannel(ctx, func(ctx context.Context, req *lnrpc.CloseChannelRequest) error {
		if err := r.alice().Connect(ctx, r.bob()); err != nil {
			return err
		}
		req.SatPerVbyte = satPerVbyte
		asking, cancel := context.WithTimeout(ctx, closeTime)
		defer cancel()
		err := r.ask(asking, req)
		if asking.Err() != nil {
			_, cut := r.bob().Lightning().DisconnectPeer(ctx, &lnrpc.DisconnectPeerRequest{PubKey: r.alice().Pubkey})
			err = errors.Join(err, cut)
		}
		return err
	})
}

// closeByForce closes the channel alone, and waits until all that was in it is
// in the wallets.
func (r *Run) closeByForce(ctx context.Context) error {
	return r.closeChannel(ctx, func(ctx context.Context, req *lnrpc.CloseChannelRequest) error {
		req.Force = true
		return r.ask(ctx, req)
	})
}

func (r *Run) closeChannel(ctx context.Context, ask func(context.Context, *lnrpc.CloseChannelRequest) error) error {
	txid, index, _ := strings.Cut(r.channel.point, ":")
	output, err := strconv.ParseUint(index, 10, 32)
	if err != nil {
		return err
	}
	err = until(ctx, func(ctx context.Context) error {
		c, err := r.look(ctx, r.alice())
		if c == nil || err != nil {
			return err
		}
		err = ask(ctx, &lnrpc.CloseChannelRequest{ChannelPoint: &lnrpc.ChannelPoint{
			FundingTxid: &lnrpc.ChannelPoint_FundingTxidStr{FundingTxidStr: txid}, OutputIndex: uint32(output)}})
		return cmp.Or(err, errors.New("the channel is still open"))
	})
	if err != nil {
		return err
	}
	return r.mineUntil(ctx, func(ctx context.Context) error {
		return errors.Join(nothingCloses(ctx, r.alice()), nothingCloses(ctx, r.bob()))
	})
}

// ask asks for a channel's end, and returns when the closing transaction is
// known.
func (r *Run) ask(ctx context.Context, req *lnrpc.CloseChannelRequest) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.alice().Lightning().CloseChannel(ctx, req)
	if err == nil {
		_, err = stream.Recv()
	}
	return err
}
