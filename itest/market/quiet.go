package market

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
)

// Quiet decides every hold invoice and waits until no payment is open. Those that
// lnd will never end the operator gives up.
func (m *Market) Quiet(ctx context.Context) error {
	m.mu.Lock()
	hashes := make([][32]byte, 0, len(m.holding))
	for h := range m.holding {
		hashes = append(hashes, h)
	}
	clear(m.holding)
	m.mu.Unlock()
	for _, h := range hashes {
		if _, err := m.sellerInvoices().CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: h[:]}); err != nil {
			return fmt.Errorf("cancel a hold invoice: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var last pending
	since := time.Now()
	for {
		now, stuck, err := m.pending(ctx)
		if err != nil {
			return fmt.Errorf("it did not become quiet: %+v: %w", last, err)
		}
		if now != last {
			last, since = now, time.Now()
		}
		switch {
		case now.quiet() && now.stuck == 0:
			return nil
		case now.quiet() && time.Since(since) > stuckFor:
			if err := m.giveUp(ctx, stuck); err != nil {
				return err
			}
		case now.htlcs > 0 && time.Since(since) > relinkAfter:
			m.relink(ctx)
			since = time.Now()
		}
		if pause(ctx, 250*time.Millisecond) != nil {
			return fmt.Errorf("it did not become quiet: %+v", now)
		}
	}
}

// relinkAfter is how long HTLCs may stay as they are before the peers are made to
// connect anew: the middle's lnd may hold a forward whose link broke in the midst
// until that link begins again.
const relinkAfter = 20 * time.Second

// relink breaks the connection, and has it made again.
func (m *Market) relink(ctx context.Context) {
	m.relinked++
	_, _ = m.Middle().Lightning().DisconnectPeer(ctx, &lnrpc.DisconnectPeerRequest{PubKey: m.Node().Pubkey})
	m.Reconnect(ctx)
}

// Relinked counts how often HTLCs moved only after a new connection, or not even
// then.
func (m *Market) Relinked() int { return m.relinked }

// giveUp has the operator release payments that lnd will never end.
func (m *Market) giveUp(ctx context.Context, stuck []string) error {
	for _, hash := range stuck {
		if err := m.command(ctx, nil, "accounts", "release", hash); err != nil {
			return err
		}
		m.released[hash] = true
	}
	return nil
}

// GivenUp counts the payments that lnd would never have ended.
func (m *Market) GivenUp() int { return len(m.released) }

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

func (m *Market) pending(ctx context.Context) (p pending, stuck []string, err error) {
	books, err := m.books(ctx)
	if err != nil {
		return p, nil, err
	}
	p.open = *books.OpenPayments
	list, err := payments(ctx, m.Node())
	if err != nil {
		return p, nil, err
	}
	channels, err := m.Node().Lightning().ListChannels(ctx, &lnrpc.ListChannelsRequest{})
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
		if payment.Status != lnrpc.Payment_IN_FLIGHT || m.released[payment.PaymentHash] {
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
