package guard

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/leydenln/leyden/internal/audit"
)

// many is how often the leak tests do the thing: calls, or with -short.
func many(calls, short int) int {
	if testing.Short() {
		return short
	}
	return calls
}

// atOnce runs do for each number below n, eight at once.
func atOnce(n int, do func(i int)) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				do(int(i) - 1)
			}
		})
	}
	all.Wait()
}

// wantNoMore does a thing a few times, and then n times, after which there must
// not be more goroutines or memory than before.
func wantNoMore(t *testing.T, warm, n int, do func(n int)) {
	t.Helper()
	measure := func() (goroutines int, heap uint64) {
		var mem runtime.MemStats
		for range 3 { // pools are emptied by the second collection
			runtime.GC()
		}
		runtime.ReadMemStats(&mem)
		return runtime.NumGoroutine(), mem.HeapAlloc
	}
	do(warm)
	routines, heap := measure()
	do(n)
	// Calls whose clients have gone end a moment later.
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= routines+20 }, patience, patience/1000, "goroutines stay")
	routinesAfter, heapAfter := measure()
	t.Logf("%d goroutines and %d bytes before, %d and %d after %d", routines, heap, routinesAfter, heapAfter, n)
	if heapAfter > heap+2<<20 {
		t.Errorf("%d bytes before, %d after %d", heap, heapAfter, n)
	}
}

// TestCallsLeakNothing makes 100,000 calls of accounts, of every kind and end.
func TestCallsLeakNothing(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	accounts := make([]string, 4)
	for i := range accounts {
		a := s.newAccount(t, "")
		accounts[i] = hex.EncodeToString(mint(t, a.RootKeyID(), caveatOf(a)))
	}
	wantNoMore(t, 1000, many(100_000, 5_000), func(n int) {
		atOnce(n, func(i int) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			s.anyCall(t, metadata.AppendToOutgoingContext(ctx, "macaroon", accounts[i/10%len(accounts)]), i%10)
		})
	})
	wantIdle(t, s.Guard)
}

// wantIdle checks that nobody is remembered who has gone.
func wantIdle(t *testing.T, g *Guard) {
	t.Helper()
	remembered := func() int {
		d, h := &g.payments, &g.invoices.changes
		for _, l := range []sync.Locker{&d.mu, &d.taking.mu, &h.mu} {
			l.Lock()
			defer l.Unlock()
		}
		return len(d.live) + len(d.watchers) + len(d.unsaved) + len(d.taking.held) + len(h.watchers)
	}
	require.Eventually(t, func() bool { return remembered() == 0 }, patience, patience/1000,
		"payers, watchers, outcomes or locks stay")
}

// anyCall makes one of ten calls.
func (s *stand) anyCall(t *testing.T, ctx context.Context, which int) {
	calls := []struct {
		method string
		req    proto.Message
		want   codes.Code
	}{
		{"/lnrpc.Lightning/SendCoins", &lnrpc.SendCoinsRequest{}, codes.PermissionDenied},
		{"/routerrpc.Router/SendPaymentV2", &routerrpc.SendPaymentRequest{Amt: -1}, codes.InvalidArgument},
		{"/routerrpc.Router/TrackPaymentV2", &routerrpc.TrackPaymentRequest{PaymentHash: make([]byte, 32)}, codes.NotFound},
		{"/lnrpc.Lightning/ListPayments", &lnrpc.ListPaymentsRequest{}, codes.OK},
		{"/lnrpc.Lightning/ListInvoices", &lnrpc.ListInvoiceRequest{}, codes.OK},
		{"/lnrpc.Lightning/ChannelBalance", &lnrpc.ChannelBalanceRequest{}, codes.OK},
		{"/lnrpc.Lightning/GetInfo", &lnrpc.GetInfoRequest{}, codes.OK},
	}
	var err error
	switch {
	case which < len(calls):
		c := calls[which]
		if err = s.client.Invoke(ctx, c.method, c.req, new(emptypb.Empty)); status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", c.method, err, c.want)
		}
		return
	case which == 7:
		_, err = routerrpc.NewRouterClient(s.client).TrackPayments(ctx, &routerrpc.TrackPaymentsRequest{})
	case which == 8:
		_, err = lnrpc.NewLightningClient(s.client).SubscribeInvoices(ctx, &lnrpc.InvoiceSubscription{})
	default: // it never says what it wants
		_, err = s.client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/routerrpc.Router/SendPaymentV2")
	}
	if err != nil {
		t.Errorf("call %d: %v", which, err)
	}
}

// TestPaymentsLeakNothing makes 5,000 payments. Of ten, one is paid while its
// client has gone, one fails, and one is for lnd to refuse.
func TestPaymentsLeakNothing(t *testing.T) {
	b := newPaymentBench(t)
	_, err := b.opts.Ledger.Credit(t.Context(), operator, b.id, 1e15, "")
	require.NoError(t, err)
	var index atomic.Uint64
	b.lnd.send = func(s grpc.ServerStreamingServer[lnrpc.Payment]) error {
		n := index.Add(1)
		if err := s.Send(lndPayment(n, inflight, htlcOut)); err != nil {
			return err
		}
		switch n % 10 {
		case 1:
			return s.Send(lndPayment(n, failed, htlcLost))
		case 2:
			return status.Error(codes.InvalidArgument, "no")
		}
		return s.Send(lndPayment(n, succeeded, htlcPaid))
	}
	lnd, _ := b.attach(t, "one")
	var begun int
	wantNoMore(t, 100, many(5_000, 500), func(n int) {
		atOnce(n, func(i int) {
			hash := lntypes.Hash{2}
			binary.BigEndian.PutUint64(hash[1:], uint64(begun+i))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			c := &accountCall{guard: b.Guard, lnd: lnd, by: audit.Actor{Kind: "account", Via: "lnd"}}
			c.account.ID = b.id
			req := direct(func(r *routerrpc.SendPaymentRequest) { r.Amt, r.FeeLimitSat, r.PaymentHash = 500, 10, hash[:] })
			_ = sendPayment(ctx, c, req, func(proto.Message) error {
				if i%10 == 3 {
					cancel()
				}
				return nil
			})
		})
		begun += n
		require.Eventually(t, func() bool {
			open, err := b.opts.Ledger.OpenPayments(context.Background(), nil)
			return err == nil && len(open) == 0
		}, patience, patience/1000)
	})
	wantIdle(t, b.Guard)
}
