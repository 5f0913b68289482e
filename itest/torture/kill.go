package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/node"
)

// What is killed.
const (
	theNode = "the node's process"
	theLnd  = "lnd"
	both    = "both"
)

var killings = []string{theNode, theLnd, both}

// kill sends SIGKILL.
func (w *world) kill(what string, rng *rand.Rand) error {
	running, err := node.Status(w.victim().Home())
	if err != nil {
		return err
	}
	if what != theNode && running.LndPID != 0 {
		if err := syscall.Kill(running.LndPID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	if what == both {
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
	}
	if what != theLnd {
		return w.victim().Kill()
	}
	return nil
}

// recover starts the node again if it is down, and waits until it serves an
// account and its channel is active.
func (w *world) recover(ctx context.Context) error {
	if !w.victim().Running() {
		if err := w.victim().Start(ctx); err != nil {
			return err
		}
	}
	var last error
	err := devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if _, last = w.accounts[0].ln.GetInfo(ctx, &lnrpc.GetInfoRequest{}); last != nil {
			return false, nil
		}
		var info *lnrpc.GetInfoResponse
		info, last = w.victim().Lightning().GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if last == nil && info.NumActiveChannels == 0 {
			w.reconnect(ctx) // by itself lnd waits longer from one kill to the next
			last = errors.New("its channel is not active")
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the node did not come back: %w", errors.Join(err, last))
	}
	return nil
}

// reconnect has the middle connect to the victim; that it cannot, or is
// connected already, will show.
func (w *world) reconnect(ctx context.Context) {
	to := &lnrpc.LightningAddress{Pubkey: w.victim().Pubkey, Host: w.victim().P2P}
	_, _ = w.middle().Lightning().ConnectPeer(ctx, &lnrpc.ConnectPeerRequest{Addr: to})
	_ = pause(ctx, 500*time.Millisecond)
}

// quiet decides every hold invoice and waits until no payment is open. Those that
// lnd will never end the operator gives up.
func (w *world) quiet(ctx context.Context) error {
	w.mu.Lock()
	hashes := make([][32]byte, 0, len(w.holding))
	for h := range w.holding {
		hashes = append(hashes, h)
	}
	clear(w.holding)
	w.mu.Unlock()
	for _, h := range hashes {
		if _, err := w.sellerInvoices().CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: h[:]}); err != nil {
			return fmt.Errorf("cancel a hold invoice: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var last pending
	since := time.Now()
	for {
		now, stuck, err := w.pending(ctx)
		if err != nil {
			return err
		}
		if now != last {
			last, since = now, time.Now()
		}
		switch {
		case now.quiet() && now.stuck == 0:
			return nil
		case now.quiet() && time.Since(since) > stuckFor:
			if err := w.giveUp(ctx, stuck); err != nil {
				return err
			}
		}
		if pause(ctx, 250*time.Millisecond) != nil {
			return fmt.Errorf("it did not become quiet: %+v", now)
		}
	}
}

// giveUp has the operator release payments that lnd will never end.
func (w *world) giveUp(ctx context.Context, stuck []string) error {
	for _, hash := range stuck {
		if err := w.command(ctx, nil, "accounts", "release", hash); err != nil {
			return err
		}
		w.released[hash] = true
	}
	return nil
}

// stuckFor is how long a payment must have been without an HTLC to count as
// stuck.
const stuckFor = 5 * time.Second

// pending is what has not ended: open in the ledger, in flight at lnd, of those
// without any HTLC in a channel, and HTLCs either way. Killed at the wrong moment, lnd may
// leave a payment in flight that never left, for good (lnd issue 5152); the
// ledger then keeps it reserved until the operator gives it up. What was given
// up does not count.
type pending struct{ open, inFlight, stuck, htlcs uint64 }

func (p pending) quiet() bool { return p.open == p.stuck && p.inFlight == p.stuck && p.htlcs == 0 }

func (w *world) pending(ctx context.Context) (p pending, stuck []string, err error) {
	books, err := w.books(ctx)
	if err != nil {
		return p, nil, err
	}
	p.open = *books.OpenPayments
	list, err := w.lndPayments(ctx)
	if err != nil {
		return p, nil, err
	}
	channels, err := w.victim().Lightning().ListChannels(ctx, &lnrpc.ListChannelsRequest{})
	if err != nil {
		return p, nil, err
	}
	held := map[string]bool{}
	for _, c := range channels.Channels {
		for _, h := range c.PendingHtlcs {
			held[hex.EncodeToString(h.HashLock)] = true
			p.htlcs++
		}
	}
	for _, payment := range list {
		if payment.Status != lnrpc.Payment_IN_FLIGHT || w.released[payment.PaymentHash] {
			continue
		}
		p.inFlight++
		if !held[payment.PaymentHash] {
			p.stuck++
			stuck = append(stuck, payment.PaymentHash)
		}
	}
	return p, stuck, nil
}
