package guard

import (
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// TestSlots: however many payments an account makes, most of a channel's 483
// HTLCs are left to others.
func TestSlots(t *testing.T) {
	s, one, two := make(slots), account.ID{1}, account.ID{2}
	var all []uint32
	var sum uint32
	for range policy.DefaultInFlight {
		all = append(all, s.share(one, maxParts))
		sum += all[len(all)-1]
		require.Positive(t, all[len(all)-1])
	}
	require.EqualValues(t, maxParts, all[0], "a payment alone is split as lnd would")
	require.LessOrEqual(t, sum, uint32(maxSlots+policy.DefaultInFlight))
	require.False(t, s.one(one))
	require.EqualValues(t, maxParts, s.share(two, maxParts), "another account")
	for _, granted := range all {
		s.giveBack(one, granted)
	}
	require.True(t, s.one(one))
	s.giveBack(one, 1)
	s.giveBack(two, maxParts)
	require.Empty(t, s)
}

func TestDesksSlots(t *testing.T) {
	d := new(paymentDesk)
	first, next := &payer{payment: account.Payment{ID: 1, Hash: lntypes.Hash{1}}}, &payer{payment: account.Payment{ID: 2, Hash: lntypes.Hash{1}}}
	d.add(first, 1)
	for range maxParts - 1 {
		require.True(t, d.grow(first))
	}
	require.False(t, d.grow(first), "more shards than a payment may have")
	d.add(next, 1) // in the instant before the first one is dropped
	d.drop(first)
	d.drop(first)
	require.Same(t, next, d.payer(lntypes.Hash{1}))
	require.False(t, d.grow(first), "it is over")
	d.drop(next)
	require.Empty(t, d.slots)
}

func TestPartsAreBounded(t *testing.T) {
	for asked, want := range map[uint32]uint32{0: 16, 1: 1, 16: 16, 17: 16, 1000: 16, 1 << 31: 16} {
		_, clean, err := testJudge.readSend(direct(func(r *routerrpc.SendPaymentRequest) { r.MaxParts = asked }))
		require.NoError(t, err)
		require.Equal(t, want, clean.MaxParts, "asked for %d", asked)
	}
}

// TestFailuresAreRateLimited: payments that come to nothing may be made now and
// then, those that succeed or that the ledger denies as often as one likes.
func TestFailuresAreRateLimited(t *testing.T) {
	b := newPaymentBench(t)
	lnd, _ := b.attach(t, "run")
	now := time.Now()
	b.opts.Now = func() time.Time { return now }
	left := func() int {
		return paymentRate.burst - int(b.payments.tries.full[b.id].Sub(now)/paymentRate.interval)
	}
	b.lnd.send = func(grpc.ServerStreamingServer[lnrpc.Payment]) error { return errUnknownPayment }
	_, err := b.pay(t, t.Context(), lnd)
	require.Error(t, err)
	require.Equal(t, paymentRate.burst-1, left(), "one that failed")

	tooMuch := direct(func(r *routerrpc.SendPaymentRequest) { r.Amt = 1001 })
	err = sendPayment(t.Context(), b.call(t, lnd), tooMuch, func(proto.Message) error { return nil })
	require.ErrorAs(t, err, new(*policy.Denied))
	require.Equal(t, paymentRate.burst-1, left(), "one that was denied")

	for b.payments.tries.allow(b.id, paymentRate, now) {
	}
	_, err = b.pay(t, t.Context(), lnd)
	requireRefused(t, err, codes.ResourceExhausted, "rate_limited")
	b.expect(t, 1_000_000, 0)
	now = now.Add(paymentRate.interval)
	_, err = b.pay(t, t.Context(), lnd)
	require.Equal(t, errUnknownPayment.Error(), err.Error())
}
