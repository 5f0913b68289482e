// Package scenario is what a node does in its life, once: it gets coins, opens a
// channel, pays, is paid, closes in agreement, opens another, closes it by force
// and sweeps what was in it, and sends coins away. It runs on the first two
// nodes of a network, whether or not the first has a signer. Whatever fails is
// tried again, so that it may run while somebody breaks things, and nothing is
// done twice. It promises an error when money is missing at the end, or what was
// wrong last when its time is over.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet"
)

// What moves, in sat.
const (
	coins       = 10_000_000
	channelSize = 1_000_000 // lnd asks 144 blocks of who closes one this small by force
	paid        = 212_345
	received    = 12_345
	sent        = 1_000_000
	satPerVbyte = 5
)

// How often something is asked, and how long one attempt may take.
const (
	askEvery = 100 * time.Millisecond
	askTime  = 30 * time.Second
)

// Run is one scenario. The network runs already and was made with the profile
// "taproot" if Type asks for it.
type Run struct {
	Network *devnet.Network
	Type    lnrpc.CommitmentType

	// Reopen has a channel replaced that the node closed by force on its own. lnd
	// does that to a taproot channel when its signer is away just as the peer signs
	// a commitment. Else it is an error.
	Reopen bool

	// Say, if not nil, is told of each step and what it took.
	Say func(step string, took time.Duration)

	channel channel // the one that was opened last
	lost    int     // channels that were replaced
}

// channel names a channel in both of lnd's ways.
type channel struct {
	point string // funding outpoint, txid:index
	id    uint64 // short channel id
}

func (r *Run) alice() *devnet.Node { return r.Network.Nodes[0] }
func (r *Run) bob() *devnet.Node   { return r.Network.Nodes[1] }

// Do runs every step, in order, within ctx, and accounts for the money.
func (r *Run) Do(ctx context.Context) error {
	var before, after books
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"fund", r.fund},
		{"open the books", func(ctx context.Context) (err error) { before, err = r.books(ctx); return err }},
		{"open", r.open},
		{"pay", r.pay},
		{"receive", r.receive},
		{"close in agreement", r.closeInAgreement},
		{"open again", r.open},
		{"pay again", r.pay},
		{"close by force and sweep", r.closeByForce},
		{"send on chain", r.send},
		{"close the books", func(ctx context.Context) (err error) { after, err = r.books(ctx); return err }},
		{"check them", func(ctx context.Context) error { return r.check(ctx, before, after) }},
	} {
		begin := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s (%v channel): %w", step.name, r.Type, err)
		}
		if r.Say != nil {
			r.Say(step.name, time.Since(begin))
		}
	}
	return nil
}

// errClosed is a channel that closes though nobody asked for it.
var errClosed = errors.New("the node closes its channel by itself")

// replaces says whether that is what went wrong and the run is to go on.
func (r *Run) replaces(err error) bool {
	if !r.Reopen || !errors.Is(err, errClosed) {
		return false
	}
	r.lost++
	return true
}

// until asks until there is no error, or a channel has closed. The last is told
// when ctx ends.
func until(ctx context.Context, ask func(context.Context) error) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	last := errors.New("there was no time")
	for {
		if err := once(ctx, ask); err == nil {
			return nil
		} else if errors.Is(err, errClosed) {
			return err
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, last: %w", ctx.Err(), last)
		case <-tick.C:
		}
	}
}

// once asks once, of a node that may hang.
func once(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return ask(ctx)
}
