package guard

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/policy"
)

// openAs opens a call with the macaroon and sends nothing.
func (s *stand) openAs(t *testing.T, mac []byte) (stream grpc.ClientStream, cancel context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx = metadata.AppendToOutgoingContext(ctx, "macaroon", hex.EncodeToString(mac))
	stream, err := s.client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, ownRule)
	require.NoError(t, err)
	return stream, cancel
}

func TestOpenCallsAreBounded(t *testing.T) {
	s := newStand(t)
	began := make(chan struct{}, maxCalls)
	s.rules[ownRule] = func(ctx context.Context, _ *accountCall, _ *front.Stream) error {
		began <- struct{}{}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	s.attachNow(t)
	a, other := s.newAccount(t, "a"), s.newAccount(t, "other")
	mac := mint(t, a.RootKeyID(), caveatOf(a))
	var cancels []context.CancelFunc
	for range maxCalls {
		_, cancel := s.openAs(t, mac)
		cancels = append(cancels, cancel)
	}
	for range maxCalls {
		<-began
	}
	stream, _ := s.openAs(t, mac)
	wantReason(t, stream.RecvMsg(new(lnrpc.GetInfoResponse)), codes.ResourceExhausted, "too_many_calls")
	_, cancelOther := s.openAs(t, mint(t, other.RootKeyID(), caveatOf(other)))
	<-began
	cancelOther()
	for _, cancel := range cancels {
		cancel()
	}
	require.Eventually(t, func() bool {
		s.crowd.mu.Lock()
		defer s.crowd.mu.Unlock()
		return len(s.crowd.of) == 0
	}, patience, time.Millisecond, "calls that ended count no more")
	_, _ = s.openAs(t, mac)
	<-began
}

// TestRequestMustComeSoon: a call that was opened while its macaroon was good is
// no way to use it later.
func TestRequestMustComeSoon(t *testing.T) {
	s := newStand(t)
	s.crowd.patience = time.Millisecond
	s.rules[ownRule] = unary(nothing[lnrpc.GetInfoRequest, lnrpc.GetInfoResponse])
	s.attachNow(t)
	a := s.newAccount(t, "a")
	stream, _ := s.openAs(t, mint(t, a.RootKeyID(), caveatOf(a)))
	wantReason(t, stream.RecvMsg(new(lnrpc.GetInfoResponse)), codes.DeadlineExceeded, "no_request")
}

func TestLargeRequestIsRefused(t *testing.T) {
	s := newStand(t)
	s.rules[ownRule] = unary(nothing[lnrpc.PayReqString, lnrpc.PayReq])
	s.attachNow(t)
	a := s.newAccount(t, "a")
	mac := mint(t, a.RootKeyID(), caveatOf(a))
	req := &lnrpc.PayReqString{PayReq: string(make([]byte, front.MaxAnswered))}
	err := s.call(t, ownRule, mac, req, new(lnrpc.PayReq))
	require.Equal(t, codes.ResourceExhausted, status.Code(err), err)
	req.PayReq = req.PayReq[:front.MaxAnswered/2]
	require.NoError(t, s.call(t, ownRule, mac, req, new(lnrpc.PayReq)))
}

// TestCostlyCallsWait: of the costly methods an account is answered a few calls
// at once; the others wait, and another account does not.
func TestCostlyCallsWait(t *testing.T) {
	c := newCrowd()
	one, _, err := c.enter(account.ID{1})
	require.NoError(t, err)
	two, _, err := c.enter(account.ID{2})
	require.NoError(t, err)
	var done func()
	for range maxCostly {
		done, err = wait(t.Context(), one.costly)
		require.NoError(t, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = wait(over, one.costly)
	require.ErrorIs(t, err, context.Canceled)
	_, err = wait(t.Context(), two.costly)
	require.NoError(t, err)
	done()
	_, err = wait(t.Context(), one.costly)
	require.NoError(t, err)
}

// TestSubscribeInvoicesCatchesUp: who was away for long is told everything, page
// by page.
func TestSubscribeInvoicesCatchesUp(t *testing.T) {
	b := newInvoiceBench(t)
	c := b.call(t, b.attachment(t, "a"), policy.Limits{})
	const many = 2*newsAtOnce + 1
	for range many {
		b.add(t, c, &lnrpc.Invoice{Value: 1})
	}
	next, _ := heard(t, c, &lnrpc.InvoiceSubscription{AddIndex: 1}, subscribeInvoices)
	for index := uint64(2); index <= many; index++ {
		require.Equal(t, index, next().AddIndex)
	}
}
