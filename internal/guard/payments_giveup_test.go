package guard

import (
	"context"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
)

// nodeLnd answers about channels.
type nodeLnd struct {
	lnrpc.UnimplementedLightningServer

	open    []*lnrpc.Channel
	closing *lnrpc.PendingChannelsResponse
}

func (n *nodeLnd) ListChannels(context.Context, *lnrpc.ListChannelsRequest) (*lnrpc.ListChannelsResponse, error) {
	return &lnrpc.ListChannelsResponse{Channels: n.open}, nil
}

func (n *nodeLnd) PendingChannels(context.Context, *lnrpc.PendingChannelsRequest) (*lnrpc.PendingChannelsResponse, error) {
	return n.closing, nil
}

// stuck is a payment of hash 1 that was made at the time and waits for an
// attempt of then, by channel 77.
func stuck(at time.Time, htlcs ...lnrpc.HTLCAttempt_HTLCStatus) *lnrpc.Payment {
	p := lndPayment(9, inflight, htlcs...)
	p.CreationTimeNs = at.UnixNano()
	for _, h := range p.Htlcs {
		h.AttemptTimeNs = at.UnixNano()
	}
	return p
}

// giveUpBench is a bench with a payment of hash 1 that was reserved in run one
// and resumed in the run, which began an hour later.
func giveUpBench(t *testing.T, run string, known *lnrpc.Payment) (*paymentBench, *attachment) {
	t.Helper()
	b := newPaymentBench(t)
	b.node.closing = new(lnrpc.PendingChannelsResponse)
	_, err := b.opts.Ledger.Reserve(t.Context(), operator, account.Spend{
		Account: b.id, Hash: lntypes.Hash{1}, Amount: 500_000, MaxFee: 10_000, Run: "one", AfterIndex: 5,
	})
	require.NoError(t, err)
	lnd, _ := b.attach(t, run)
	lnd.since = time.Now().Add(time.Hour)
	b.Guard.lnd.Store(lnd)
	b.lnd.know(known)
	require.NoError(t, b.reconcilePayments(t.Context(), lnd))
	b.expect(t, 1_000_000, 510_000)
	return b, lnd
}

func TestGiveUpPayment(t *testing.T) {
	long := 25 * time.Hour
	now := time.Now()
	holds := func(hash lntypes.Hash) []*lnrpc.Channel {
		return []*lnrpc.Channel{{ChanId: 5, PendingHtlcs: []*lnrpc.HTLC{{HashLock: hash[:]}}}}
	}
	closing := &lnrpc.PendingChannelsResponse{WaitingCloseChannels: []*lnrpc.PendingChannelsResponse_WaitingCloseChannel{{}}}
	for name, c := range map[string]struct {
		run    string
		known  *lnrpc.Payment
		later  time.Duration // when the operator asks
		change func(*paymentBench, *attachment)
		state  account.State // open: refused
	}{
		"ok/of an earlier run":         {"two", stuck(now, htlcOut), 0, nil, account.StateFailed},
		"ok/with attempts that failed": {"two", stuck(now, htlcLost, htlcOut), 0, nil, account.StateFailed},
		"ok/without an attempt":        {"two", stuck(now), 0, nil, account.StateFailed},
		"ok/other HTLCs":               {"two", stuck(now, htlcOut), 0, func(b *paymentBench, _ *attachment) { b.node.open = holds(lntypes.Hash{2}) }, account.StateFailed},
		"ok/of this run, long ago":     {"one", stuck(now, htlcOut), long, nil, account.StateFailed},
		"ok/of this run, unknown":      {"one", nil, long, nil, account.StateVoid},
		"ok/another closing, went open": {"two", stuck(now, htlcOut), 0, func(b *paymentBench, _ *attachment) {
			b.node.open, b.node.closing = []*lnrpc.Channel{{ChanId: 4, AliasScids: []uint64{77}}}, closing
		}, account.StateFailed},

		"ok/the ledger's time is ahead": {"two", stuck(now.Add(-2*time.Hour), htlcOut), 0, func(_ *paymentBench, lnd *attachment) { lnd.since = now.Add(-time.Hour) }, account.StateFailed},

		"fail/in a channel":           {"two", stuck(now, htlcOut), long, func(b *paymentBench, _ *attachment) { b.node.open = holds(lntypes.Hash{1}) }, account.StateOpen},
		"fail/perhaps in one closing": {"two", stuck(now, htlcOut), long, func(b *paymentBench, _ *attachment) { b.node.closing = closing }, account.StateOpen},
		"fail/unknown, one closing":   {"one", nil, long, func(b *paymentBench, _ *attachment) { b.node.closing = closing }, account.StateOpen},
		"fail/an attempt since":       {"two", stuck(now.Add(2*time.Hour), htlcOut), 0, nil, account.StateOpen},
		"fail/of this run":            {"one", stuck(now, htlcOut), time.Hour, nil, account.StateOpen},
		"fail/of this run, no HTLC":   {"one", stuck(now), long, nil, account.StateOpen},
		"fail/lnd may be the same":    {"two", stuck(now, htlcOut), time.Hour, func(_ *paymentBench, lnd *attachment) { lnd.MayOutlive = true }, account.StateOpen},
		"fail/a call is with lnd": {"two", stuck(now, htlcOut), 0, func(b *paymentBench, _ *attachment) {
			p := b.payments.payer(lntypes.Hash{1})
			p.mu.Lock()
			p.calls++
			p.mu.Unlock()
		}, account.StateOpen},
		"fail/just ended": {"two", stuck(now, htlcOut), 0, func(b *paymentBench, _ *attachment) { b.lnd.know(lndPayment(9, failed)) }, account.StateOpen},
	} {
		t.Run(name, func(t *testing.T) {
			b, lnd := giveUpBench(t, c.run, c.known)
			b.opts.Now = func() time.Time { return now.Add(c.later) }
			if c.change != nil {
				c.change(b, lnd)
			}
			w, stop := b.payments.watch(b.id, 0)
			defer stop()
			got, err := b.GiveUpPayment(t.Context(), operator, lntypes.Hash{1})
			require.Equal(t, c.state, b.state(t), "%v", err)
			if c.state == account.StateOpen {
				require.Equal(t, account.CodeInFlight, fault.Code(err), "%v", err)
				b.expect(t, 1_000_000, 510_000)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.state, got.State)
			b.expect(t, 1_000_000, 0)
			require.Nil(t, b.payments.payer(lntypes.Hash{1}))
			if told, _ := w.take(); c.state == account.StateFailed {
				require.Len(t, told, 1)
				require.True(t, isFinal(told[0]), "%v", told[0])
			}
			list, err := b.opts.Ledger.Journal().List(t.Context(), audit.Query{Kind: "payment.release"})
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Equal(t, operator, list[0].Actor)

			_, err = b.GiveUpPayment(t.Context(), operator, lntypes.Hash{1})
			require.Equal(t, account.CodeNotFound, fault.Code(err), "again: %v", err)
		})
	}
}

// TestGivenUpIsPaid: lnd's last word counts, but not about a later payment of
// the hash.
func TestGivenUpIsPaid(t *testing.T) {
	now := time.Now()
	again := stuck(now.Add(time.Hour), htlcPaid, htlcPaid)
	again.Status = succeeded
	paid := stuck(now.Truncate(time.Microsecond), htlcPaid, htlcPaid)
	paid.Status = succeeded
	for name, c := range map[string]struct {
		known   *lnrpc.Payment
		balance int
	}{
		"paid after all":   {paid, 499_000},
		"another was paid": {again, 1_000_000},
		"failed":           {lndPayment(9, failed), 1_000_000},
		"still in flight":  {stuck(now, htlcOut), 1_000_000},
		"forgotten":        {nil, 1_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			b, lnd := giveUpBench(t, "two", stuck(now, htlcOut))
			_, err := b.GiveUpPayment(t.Context(), operator, lntypes.Hash{1})
			require.NoError(t, err)
			b.lnd.know(c.known)
			for range 2 {
				require.NoError(t, b.sweepPayments(t.Context(), lnd, now))
			}
			b.expect(t, c.balance, 0)
			list, err := b.opts.Ledger.Journal().List(t.Context(), audit.Query{Kind: "payment.settle"})
			require.NoError(t, err)
			require.Equal(t, c.balance != 1_000_000, len(list) == 1)
		})
	}
}
