package guard

import (
	"context"
	"errors"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/account"
)

// shardOf is one of two shards that deliver 1,000 msat for a fee of 10.
func shardOf() *routerrpc.SendToRouteRequest {
	return routeOf(func(r *routerrpc.SendToRouteRequest) {
		r.Route.Hops[1].MppRecord = &lnrpc.MPPRecord{PaymentAddr: make([]byte, 32), TotalAmtMsat: 2000}
	})
}

// shardPaid is lnd's payment when one such shard was paid.
func shardPaid() *lnrpc.Payment {
	p := lndPayment(10, succeeded, htlcPaid)
	p.Htlcs[0].Route.TotalAmtMsat, p.Htlcs[0].Route.TotalFeesMsat = 1010, 10
	return p
}

func (b *paymentBench) takeShard(t *testing.T, lnd *attachment) *payer {
	t.Helper()
	c := b.call(t, lnd)
	s, err := c.judge().readRoute(shardOf())
	require.NoError(t, err)
	p, err := c.takeShard(t.Context(), s)
	require.NoError(t, err)
	return p
}

// TestShardCalledOff: a shard that is called off before lnd heard of it takes
// nothing back that another shard of the payment may still pay.
func TestShardCalledOff(t *testing.T) {
	paid := func() (*lnrpc.HTLCAttempt, error) { return shardPaid().Htlcs[0], nil }
	for name, second := range map[string]struct {
		route   func() (*lnrpc.HTLCAttempt, error)
		known   *lnrpc.Payment
		balance int
	}{
		"the other is paid":    {paid, shardPaid(), 1_000_000 - 1010},
		"the other is refused": {func() (*lnrpc.HTLCAttempt, error) { return nil, errors.New("no") }, nil, 1_000_000},
	} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				b := newPaymentBench(t)
				lnd, _ := b.attach(t, "one")
				p := b.takeShard(t, lnd)
				require.Same(t, p, b.takeShard(t, lnd), "the second has not joined")
				b.expect(t, 1_000_000, 2020)
				if first { // before the other's end
					p.callOff()
					require.Equal(t, account.StateOpen, b.state(t))
				}
				b.lnd.route = second.route
				b.lnd.know(second.known)
				_, _ = p.send(shardOf())
				if !first {
					require.Equal(t, account.StateOpen, b.state(t))
					p.callOff()
				}
				b.expect(t, second.balance, 0)
			})
		}
	}
}

// TestShardAfterTheEnd: a shard whose attachment ends before lnd has it leaves
// the payment to the next one.
func TestShardAfterTheEnd(t *testing.T) {
	b := newPaymentBench(t)
	lnd, _ := b.attach(t, "one")
	arrived, answer := make(chan struct{}), make(chan struct{})
	b.lnd.route = func() (*lnrpc.HTLCAttempt, error) {
		close(arrived)
		<-answer
		return nil, nil
	}
	t.Cleanup(func() { close(answer) })
	p := b.takeShard(t, lnd)
	require.True(t, lnd.spawn(func() { _, _ = p.send(shardOf()) }))
	<-arrived
	require.Same(t, p, b.takeShard(t, lnd))
	lnd.end(errors.New("broken"))
	require.False(t, lnd.spawn(func() {}))
	p.callOff()
	b.expect(t, 1_000_000, 2020)

	b.lnd.know(shardPaid())
	next, _ := b.attach(t, "one")
	require.NoError(t, b.reconcilePayments(t.Context(), next))
	b.expect(t, 1_000_000-1010, 0)
}

// TestShardCut: a shard whose call was cut does not reach lnd, and an answer
// that nobody sees does not make a failure the last word.
func TestShardCut(t *testing.T) {
	b := newPaymentBench(t)
	lnd, _ := b.attach(t, "one")
	p := b.takeShard(t, lnd)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	b.lnd.route = func() (*lnrpc.HTLCAttempt, error) { panic("lnd has it") }
	_, err := sendToRoute(gone, b.call(t, lnd), shardOf())
	require.ErrorIs(t, err, context.Canceled)

	require.Same(t, p, b.takeShard(t, lnd))
	b.lnd.know(lndPayment(10, failed, htlcLost))
	p.callEnded(nil, ending{err: errors.New("reset")})
	p.callEnded(nil, ending{answered: true})
	require.Equal(t, account.StateOpen, b.state(t), "the shard whose end was not seen may begin it anew")
	require.Nil(t, b.payments.payer(lntypes.Hash{1}))
}

// TestNumberedAnew: lnd's move to SQL gives its payments lower numbers.
func TestNumberedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		learned uint64
		known   *lnrpc.Payment
		state   account.State
		balance int
	}{
		"paid":                    {4, lndPayment(3, succeeded, htlcPaid, htlcPaid), account.StateSucceeded, 499_000},
		"failed":                  {4, lndPayment(3, failed, htlcLost), account.StateFailed, 1_000_000},
		"not anew: an older paid": {5, lndPayment(3, succeeded, htlcPaid, htlcPaid), account.StateVoid, 1_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPaymentBench(t)
			lnd, stop := b.attach(t, "one")
			lnd.sawIndex(5)
			b.lnd.send = func(s grpc.ServerStreamingServer[lnrpc.Payment]) error {
				go stop()
				<-s.Context().Done()
				return nil
			}
			_, err := b.pay(t, t.Context(), lnd)
			require.Error(t, err)
			lnd.end(errors.New("broken"))
			b.lnd.know(c.known)
			next, _ := b.attach(t, "two")
			next.learned = c.learned
			require.NoError(t, b.reconcilePayments(t.Context(), next))
			require.Equal(t, c.state, b.state(t))
			b.expect(t, c.balance, 0)
		})
	}
}
