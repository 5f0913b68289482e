package guard

import (
	"context"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// heard runs a stream's rule and returns what the client gets.
func heard[Req any](
	t *testing.T, c *accountCall, req Req,
	rule func(context.Context, *accountCall, Req, func(proto.Message) error) error,
) (next func() *lnrpc.Invoice, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	got, done := make(chan *lnrpc.Invoice), make(chan error, 1)
	go func() {
		done <- rule(ctx, c, req, func(m proto.Message) error {
			select {
			case got <- m.(*lnrpc.Invoice):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		for range done { //nolint:revive // until it has ended
		}
	})
	return func() *lnrpc.Invoice {
		t.Helper()
		select {
		case inv := <-got:
			return inv
		case err := <-done:
			t.Fatalf("the stream ended: %v", err)
		case <-time.After(time.Minute):
			t.Fatal("nothing came")
		}
		return nil
	}, done
}

// follow runs the guard's own following of invoices.
func (b *invoiceBench) follow(t *testing.T, lnd *attachment) {
	t.Helper()
	b.followQuietly(t, lnd)
	b.sell()
	b.lnd.watched(t, 1)
}

func (b *invoiceBench) followQuietly(t *testing.T, lnd *attachment) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.followInvoices(ctx, lnd) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (h *hub) watched(t *testing.T, id account.ID) {
	t.Helper()
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.watchers[id]) > 0
	}, time.Minute, time.Millisecond)
}

func TestSubscribeInvoices(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c, other := b.call(t, lnd, policy.Limits{}), b.call(t, lnd, policy.Limits{})
	b.follow(t, lnd)
	first := b.add(t, c, &lnrpc.Invoice{Value: 1})

	next, _ := heard(t, c, new(lnrpc.InvoiceSubscription), subscribeInvoices)
	b.invoices.changes.watched(t, c.account.ID)
	// What follows must come, and nothing before it: index 0 replays nothing.
	b.lnd.pay(b.add(t, other, &lnrpc.Invoice{Value: 1}).RHash, 1000)
	require.Eventually(t, func() bool { return b.balance(t, other) == 1000 }, time.Minute, time.Millisecond)
	second := b.add(t, c, &lnrpc.Invoice{Value: 2})
	inv := next()
	require.Equal(t, second.RHash, inv.RHash)
	require.EqualValues(t, 2, inv.AddIndex)

	b.lnd.pay(second.RHash, 2000)
	inv = next()
	require.Equal(t, lnrpc.Invoice_SETTLED, inv.State)
	require.EqualValues(t, 1, inv.SettleIndex)
	require.Equal(t, 2000, b.balance(t, c), "credited before the client hears of it")

	b.lnd.pay(first.RHash, 1000)
	require.EqualValues(t, 2, next().SettleIndex)
	require.Equal(t, 3000, b.balance(t, c))

	next, _ = heard(t, c, &lnrpc.InvoiceSubscription{AddIndex: 1, SettleIndex: 1}, subscribeInvoices)
	require.Equal(t, second.RHash, next().RHash, "added after the first")
	require.Equal(t, first.RHash, next().RHash, "settled after the first")
}

func TestSubscribeSingleInvoice(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	preimage, hash := newPreimage()
	req := &invoicesrpc.SubscribeSingleInvoiceRequest{RHash: hash[:]}
	next, ended := heard(t, c, req, subscribeSingleInvoice) // in anticipation, as lnd allows
	b.invoices.changes.watched(t, c.account.ID)
	_, err := addHoldInvoice(t.Context(), c, &invoicesrpc.AddHoldInvoiceRequest{Hash: hash[:], Value: 2})
	require.NoError(t, err)
	require.Equal(t, lnrpc.Invoice_OPEN, next().State)
	b.lnd.pay(hash[:], 2000)
	require.Equal(t, lnrpc.Invoice_ACCEPTED, next().State)
	require.NoError(t, b.lnd.turn("", func() error { b.lnd.settle(b.lnd.byHash[hash], preimage); return nil }))
	inv := next()
	require.Equal(t, lnrpc.Invoice_SETTLED, inv.State)
	require.EqualValues(t, 1, inv.SettleIndex)
	require.Equal(t, 2000, b.balance(t, c), "credited before the client hears of it")
	require.NoError(t, <-ended)

	next, ended = heard(t, c, req, subscribeSingleInvoice)
	require.Equal(t, lnrpc.Invoice_SETTLED, next().State)
	require.NoError(t, <-ended)
}

// TestSubscribeSingleInvoiceOfAnother: silence, as about an invoice that nobody
// made.
func TestSubscribeSingleInvoiceOfAnother(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c, other := b.call(t, lnd, policy.Limits{}), b.call(t, lnd, policy.Limits{})
	made := b.add(t, other, &lnrpc.Invoice{Value: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- subscribeSingleInvoice(ctx, c, &invoicesrpc.SubscribeSingleInvoiceRequest{RHash: made.RHash},
			func(proto.Message) error { t.Error("another's invoice is shown"); return nil })
	}()
	b.invoices.changes.watched(t, c.account.ID)
	b.lnd.pay(made.RHash, 1000)
	require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
	b.invoices.changes.notify(c.account.ID)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

// TestSettledWhileAway: what is settled while no guard is attached, the node's
// first invoice included, is credited at the next attachment.
func TestSettledWhileAway(t *testing.T) {
	b := newInvoiceBench(t)
	c := b.call(t, b.attachment(t, "a"), policy.Limits{})
	made := b.add(t, c, &lnrpc.Invoice{Value: 1})
	b.lnd.pay(made.RHash, 1000)
	lnd := b.attachment(t, "b")
	require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
	require.Equal(t, 1000, b.balance(t, c))
	b.follow(t, lnd)
	require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
	require.Equal(t, 1000, b.balance(t, c))
}

// TestSettledUnheard: an event of lnd's that never came.
func TestSettledUnheard(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	made := b.add(t, c, &lnrpc.Invoice{Value: 1})
	require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
	b.lnd.pay(made.RHash, 1000) // nobody listens yet
	b.follow(t, lnd)
	require.Eventually(t, func() bool { return b.balance(t, c) == 1000 }, time.Minute, time.Millisecond)
}

// TestFollowFromTheFirstInvoice: an lnd whose accounts have no invoice is not asked
// for events; one made meanwhile, or left from before, is followed.
func TestFollowFromTheFirstInvoice(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	b.followQuietly(t, lnd)
	require.Never(t, func() bool {
		b.lnd.mu.Lock()
		defer b.lnd.mu.Unlock()
		return len(b.lnd.watchers) > 0
	}, 100*time.Millisecond, time.Millisecond)
	made := b.add(t, c, &lnrpc.Invoice{Value: 1})
	b.lnd.watched(t, 1)
	b.lnd.pay(made.RHash, 1000)
	require.Eventually(t, func() bool { return b.balance(t, c) == 1000 }, time.Minute, time.Millisecond)

	left := newInvoiceBench(t)
	_, err := left.opts.Ledger.OwnInvoice(t.Context(), operator, account.NewInvoice{
		Account: left.call(t, left.attachment(t, "a"), policy.Limits{}).account.ID, Hash: [32]byte(random32()),
		Amount: 1, Expires: time.Now().Add(time.Hour), Run: "a",
	})
	require.NoError(t, err)
	left.followQuietly(t, left.attachment(t, "b"))
	left.lnd.watched(t, 1)
}

// TestEvents: repeated ones, those of others' invoices and strange ones change
// nothing.
func TestEvents(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	made := b.add(t, c, &lnrpc.Invoice{Value: 1})
	b.lnd.pay(made.RHash, 1000)
	inv := b.lnd.byHash[[32]byte(made.RHash)]
	again := copyOf(inv)
	again.AmtPaidMsat = 9000
	reused := copyOf(inv)
	reused.AddIndex, reused.PaymentAddr = reused.AddIndex+7, random32()
	for _, event := range []*lnrpc.Invoice{
		reused, inv, inv, again, {RHash: random32(), State: lnrpc.Invoice_SETTLED, AmtPaidMsat: 5}, {State: lnrpc.Invoice_SETTLED},
	} {
		require.NoError(t, b.creditEvent(t.Context(), event))
		if event == reused {
			require.Zero(t, b.balance(t, c), "another invoice of the same hash")
			require.Equal(t, account.StateCanceled, b.state(t, made.RHash))
			continue
		}
		require.Equal(t, 1000, b.balance(t, c))
	}
}

// TestFollowEnds: an lnd that ends the events, or cannot be asked, ends the
// attachment.
func TestFollowEnds(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	b.add(t, c, &lnrpc.Invoice{Value: 1})
	b.lnd.fail(&b.lnd.before, "LookupInvoice", status.Error(codes.Unavailable, "gone"))
	require.ErrorContains(t, b.followInvoices(t.Context(), lnd), "gone")
	require.ErrorContains(t, b.reconcileInvoices(t.Context(), lnd), "gone")
}

func TestRotation(t *testing.T) {
	var r rotation
	var rows []account.Invoice
	for id := range sweepSome + 10 {
		rows = append(rows, account.Invoice{ID: int64(id + 1)})
	}
	var sweeps []int
	seen := make(map[int64]int)
	for range 4 {
		r.begin()
		n := 0
		for _, row := range rows {
			if r.takes(row) {
				seen[row.ID]++
				n++
			}
		}
		sweeps = append(sweeps, n)
	}
	require.Equal(t, []int{sweepSome, 10, sweepSome, 10}, sweeps)
	for _, row := range rows {
		require.Equal(t, 2, seen[row.ID])
	}
}
