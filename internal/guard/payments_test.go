package guard

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/front"
)

// paymentLnd is a router whose payments are what the test says.
type paymentLnd struct {
	routerrpc.UnimplementedRouterServer

	mu    sync.Mutex
	sent  int
	known *lnrpc.Payment // what TrackPaymentV2 tells
	over  chan struct{}  // closed when whoever tracks is to be told once more
	send  func(grpc.ServerStreamingServer[lnrpc.Payment]) error
	route func() (*lnrpc.HTLCAttempt, error)
}

func (l *paymentLnd) know(p *lnrpc.Payment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = p
}

func (l *paymentLnd) SendPaymentV2(_ *routerrpc.SendPaymentRequest, s routerrpc.Router_SendPaymentV2Server) error {
	l.mu.Lock()
	l.sent++
	l.mu.Unlock()
	return l.send(s)
}

func (l *paymentLnd) SendToRouteV2(context.Context, *routerrpc.SendToRouteRequest) (*lnrpc.HTLCAttempt, error) {
	return l.route()
}

func (l *paymentLnd) TrackPaymentV2(_ *routerrpc.TrackPaymentRequest, s routerrpc.Router_TrackPaymentV2Server) error {
	l.mu.Lock()
	known := l.known
	l.mu.Unlock()
	if known == nil {
		return errUnknownPayment
	}
	if err := s.Send(known); err != nil || isFinal(known) {
		return err
	}
	select {
	case <-l.over:
		l.mu.Lock()
		known = l.known
		l.mu.Unlock()
		return s.Send(known)
	case <-s.Context().Done():
		return s.Context().Err()
	}
}

// paymentBench is a guard with an account of 1,000 sat before a paymentLnd.
type paymentBench struct {
	*Guard
	lnd  *paymentLnd
	node nodeLnd
	path string
	id   account.ID
}

func newPaymentBench(t *testing.T) *paymentBench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guard.db")
	ledger, err := account.Open(t.Context(), path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { ledger.Close() })
	g, err := New(Options{Ledger: ledger, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	a, err := ledger.Create(t.Context(), operator, account.New{Balance: 1_000_000})
	require.NoError(t, err)
	return &paymentBench{Guard: g, lnd: &paymentLnd{over: make(chan struct{})}, path: path, id: a.ID}
}

// attach attaches to a run of the lnd; stop breaks the connection.
func (b *paymentBench) attach(t *testing.T, run string) (lnd *attachment, stop func()) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	routerrpc.RegisterRouterServer(server, b.lnd)
	lnrpc.RegisterLightningServer(server, &b.node)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:lnd", front.WatchAnswers(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	lnd = newAttachment(context.Background(), Access{Conn: conn, Run: run})
	lnd.params, lnd.identity, lnd.learned = &chaincfg.RegressionNetParams, "02aa", 9
	t.Cleanup(func() { lnd.end(errors.New("the test is over")) })
	return lnd, server.Stop
}

func (b *paymentBench) call(t *testing.T, lnd *attachment) *accountCall {
	t.Helper()
	a, err := b.opts.Ledger.Get(t.Context(), b.id)
	require.NoError(t, err)
	return &accountCall{guard: b.Guard, lnd: lnd, account: a, by: audit.Actor{Kind: "account", Via: "lnd"}}
}

// pay sends 500 sat to hash 1 and returns the states that the client saw.
func (b *paymentBench) pay(t *testing.T, ctx context.Context, lnd *attachment) (seen []*lnrpc.Payment, err error) {
	err = sendPayment(ctx, b.call(t, lnd), direct(func(r *routerrpc.SendPaymentRequest) { r.Amt, r.FeeLimitSat = 500, 10 }),
		func(m proto.Message) error { seen = append(seen, m.(*lnrpc.Payment)); return nil })
	return seen, err
}

func (b *paymentBench) expect(t *testing.T, balance, reserved int) {
	t.Helper()
	a, err := b.opts.Ledger.Get(t.Context(), b.id)
	require.NoError(t, err)
	require.Equal(t, []int{balance, reserved}, []int{int(a.Balance), int(a.Reserved)}, "balance and reserved, msat")
}

func (b *paymentBench) state(t *testing.T) account.State {
	t.Helper()
	p, err := b.opts.Ledger.PaymentByHash(t.Context(), b.id, lntypes.Hash{1})
	if err != nil {
		return account.StateVoid
	}
	return p.State
}

// breakSettling makes every outcome fail to be written, until mend.
func (b *paymentBench) breakSettling(t *testing.T) (mend func()) {
	t.Helper()
	db, err := sql.Open("sqlite", b.path)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	_, err = db.Exec(`CREATE TRIGGER broken BEFORE UPDATE ON payments WHEN NEW.state <> 'open'
		BEGIN SELECT RAISE(ABORT, 'broken by the test'); END`)
	require.NoError(t, err)
	return func() {
		_, err := db.Exec(`DROP TRIGGER broken`)
		require.NoError(t, err)
	}
}

// lndPayment is a payment of hash 1 with HTLCs of 300 and 201 sat, the second
// with a fee of 1, in the status.
func lndPayment(index uint64, s lnrpc.Payment_PaymentStatus, htlcs ...lnrpc.HTLCAttempt_HTLCStatus) *lnrpc.Payment {
	p := &lnrpc.Payment{PaymentIndex: index, Status: s, PaymentHash: lntypes.Hash{1}.String(), ValueMsat: 500_000}
	for i, h := range htlcs {
		p.Htlcs = append(p.Htlcs, &lnrpc.HTLCAttempt{Status: h, Route: &lnrpc.Route{
			TotalAmtMsat: []int64{300_000, 201_000}[i], TotalFeesMsat: int64(i) * 1000, Hops: []*lnrpc.Hop{{ChanId: 77}},
		}})
	}
	return p
}

const (
	inflight  = lnrpc.Payment_IN_FLIGHT
	succeeded = lnrpc.Payment_SUCCEEDED
	failed    = lnrpc.Payment_FAILED
	htlcPaid  = lnrpc.HTLCAttempt_SUCCEEDED
	htlcLost  = lnrpc.HTLCAttempt_FAILED
	htlcOut   = lnrpc.HTLCAttempt_IN_FLIGHT
)

func TestPaymentOutcomes(t *testing.T) {
	type stream = grpc.ServerStreamingServer[lnrpc.Payment]
	tell := func(list ...*lnrpc.Payment) func(stream) error {
		return func(s stream) error {
			for _, p := range list {
				if err := s.Send(p); err != nil {
					return err
				}
			}
			return nil
		}
	}
	paid := lndPayment(9, succeeded, htlcPaid, htlcPaid)
	for name, c := range map[string]struct {
		send              func(stream) error
		before, known     *lnrpc.Payment
		state             account.State
		balance, reserved int
		code              codes.Code
	}{
		"ok/paid":            {tell(lndPayment(9, inflight, htlcOut), paid), nil, nil, account.StateSucceeded, 499_000, 0, codes.OK},
		"ok/failed":          {tell(lndPayment(9, failed, htlcLost)), nil, nil, account.StateFailed, 1_000_000, 0, codes.OK},
		"ok/paid after lost": {tell(lndPayment(9, inflight, htlcOut)), nil, paid, account.StateSucceeded, 499_000, 0, codes.OK},
		"ok/paid in part": {tell(lndPayment(9, failed, htlcPaid, htlcOut), lndPayment(9, succeeded, htlcPaid, htlcLost)),
			nil, nil, account.StateSucceeded, 700_000, 0, codes.OK},
		"ok/failed before": {tell(lndPayment(9, failed)), lndPayment(3, failed), nil, account.StateFailed, 1_000_000, 0, codes.OK},

		"fail/refused":           {func(stream) error { return errors.New("no") }, nil, nil, account.StateVoid, 1_000_000, 0, codes.Unknown},
		"fail/taken by other":    {func(stream) error { return status.Error(codes.AlreadyExists, "payment is in transition") }, nil, paid, account.StateVoid, 1_000_000, 0, codes.AlreadyExists},
		"fail/other's before":    {nil, paid, paid, account.StateVoid, 1_000_000, 0, codes.AlreadyExists},
		"fail/other's in flight": {nil, lndPayment(9, inflight, htlcOut), nil, account.StateVoid, 1_000_000, 0, codes.AlreadyExists},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPaymentBench(t)
			lnd, _ := b.attach(t, "one")
			b.lnd.know(c.before)
			b.lnd.send = func(s stream) error {
				b.lnd.know(c.known)
				return c.send(s)
			}
			seen, err := b.pay(t, t.Context(), lnd)
			require.Equal(t, c.code, status.Code(err), "%v", err)
			require.Equal(t, c.state, b.state(t))
			b.expect(t, c.balance, c.reserved)
			if c.code == codes.OK {
				last := seen[len(seen)-1]
				require.True(t, isFinal(last))
				require.EqualValues(t, 1, last.PaymentIndex)
				for _, h := range last.Htlcs {
					require.Zero(t, h.Route.Hops[0].ChanId)
				}
			}
		})
	}
}

// TestPaymentConnectionBreaks: what lnd did is found out by the next attachment.
func TestPaymentConnectionBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		run     string
		known   *lnrpc.Payment
		state   account.State
		balance int
	}{
		"paid":              {"two", lndPayment(9, succeeded, htlcPaid, htlcPaid), account.StateSucceeded, 499_000},
		"failed":            {"two", lndPayment(9, failed), account.StateFailed, 1_000_000},
		"never begun":       {"two", nil, account.StateVoid, 1_000_000},
		"an earlier one":    {"two", lndPayment(5, succeeded, htlcPaid, htlcPaid), account.StateVoid, 1_000_000},
		"may still begin":   {"one", nil, account.StateOpen, 1_000_000},
		"may begin again":   {"one", lndPayment(9, failed), account.StateOpen, 1_000_000},
		"still in flight":   {"two", lndPayment(9, inflight, htlcOut), account.StateOpen, 1_000_000},
		"paid, lnd went on": {"one", lndPayment(9, succeeded, htlcPaid, htlcPaid), account.StateSucceeded, 499_000},
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
			require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
			b.expect(t, 1_000_000, 510_000)
			lnd.end(errors.New("broken"))
			b.lnd.know(c.known)
			next, _ := b.attach(t, c.run)
			require.NoError(t, b.reconcilePayments(t.Context(), next))
			require.Equal(t, c.state, b.state(t))
			reserved := 0
			if c.state == account.StateOpen {
				reserved = 510_000
			}
			b.expect(t, c.balance, reserved)
			if name == "still in flight" {
				w, end := b.payments.watch(b.id, 0)
				defer end()
				b.lnd.know(lndPayment(9, succeeded, htlcPaid, htlcPaid))
				close(b.lnd.over)
				for got, _ := w.take(); len(got) == 0 || !isFinal(got[len(got)-1]); got, _ = w.take() {
					<-w.news
				}
				b.expect(t, 499_000, 0)
			}
		})
	}
}

// TestPaymentLedgerFails: the client hears lnd's word, and the ledger has it
// later.
func TestPaymentLedgerFails(t *testing.T) {
	b := newPaymentBench(t)
	lnd, _ := b.attach(t, "one")
	var mend func()
	b.lnd.send = func(s grpc.ServerStreamingServer[lnrpc.Payment]) error {
		mend = b.breakSettling(t)
		return s.Send(lndPayment(9, succeeded, htlcPaid, htlcPaid))
	}
	seen, err := b.pay(t, t.Context(), lnd)
	require.NoError(t, err)
	require.Equal(t, succeeded, seen[len(seen)-1].Status)
	b.expect(t, 1_000_000, 510_000)
	require.Error(t, b.payments.saveAgain(t.Context()))
	mend()
	require.NoError(t, b.payments.saveAgain(t.Context()))
	b.expect(t, 499_000, 0)
}

// TestPaymentClientGone: before lnd hears of it the payment is called off, after
// that it goes on.
func TestPaymentClientGone(t *testing.T) {
	b := newPaymentBench(t)
	lnd, _ := b.attach(t, "one")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	b.lnd.send = func(grpc.ServerStreamingServer[lnrpc.Payment]) error { return nil }
	_, err := b.call(t, lnd).take(gone, intent{hash: lntypes.Hash{1}, amount: 5, payee: [33]byte{2}}, false, lnd.question())
	require.ErrorIs(t, err, context.Canceled)
	b.expect(t, 1_000_000, 0)
	require.Zero(t, b.lnd.sent)

	gone, cancel = context.WithCancel(t.Context())
	begun, settle := make(chan struct{}), make(chan struct{})
	b.lnd.send = func(s grpc.ServerStreamingServer[lnrpc.Payment]) error {
		close(begun)
		<-settle
		if s.Context().Err() != nil {
			return errors.New("the client's end reached lnd")
		}
		return s.Send(lndPayment(9, succeeded, htlcPaid, htlcPaid))
	}
	go func() { <-begun; cancel() }()
	_, err = b.pay(t, gone, lnd)
	require.ErrorIs(t, err, context.Canceled)
	w, stop := b.payments.watch(b.id, 0)
	defer stop()
	close(settle)
	<-w.news
	b.expect(t, 499_000, 0)
}

// TestShardsAtOnce: a shard that fails while another is on its way releases
// nothing until that one has ended.
func TestShardsAtOnce(t *testing.T) {
	b := newPaymentBench(t)
	lnd, _ := b.attach(t, "one")
	answers := make(chan *lnrpc.HTLCAttempt)
	arrived := make(chan struct{})
	b.lnd.route = func() (*lnrpc.HTLCAttempt, error) {
		arrived <- struct{}{}
		return <-answers, nil
	}
	req := func() *routerrpc.SendToRouteRequest {
		return routeOf(func(r *routerrpc.SendToRouteRequest) {
			r.Route.Hops[1].MppRecord = &lnrpc.MPPRecord{PaymentAddr: make([]byte, 32), TotalAmtMsat: 2000}
		})
	}
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := sendToRoute(t.Context(), b.call(t, lnd), req())
			errs <- err
		}()
	}
	<-arrived
	<-arrived
	answers <- lndPayment(9, failed, htlcLost).Htlcs[0]
	require.NoError(t, <-errs)
	p, err := b.opts.Ledger.OpenByHash(t.Context(), lntypes.Hash{1})
	require.NoError(t, err)
	require.EqualValues(t, 2*1010, p.Reserved)
	other := routeOf(func(r *routerrpc.SendToRouteRequest) {
		r.Route.Hops[1].PubKey, r.Route.Hops[1].MppRecord = r.Route.Hops[0].PubKey, req().Route.Hops[1].MppRecord
	})
	_, err = sendToRoute(t.Context(), b.call(t, lnd), other)
	require.Equal(t, codes.InvalidArgument, status.Code(err), "a shard to another payee: %v", err)

	done := lndPayment(10, succeeded, htlcPaid)
	done.Htlcs[0].Route.TotalAmtMsat, done.Htlcs[0].Route.TotalFeesMsat = 1010, 10
	b.lnd.know(done)
	answers <- done.Htlcs[0]
	require.NoError(t, <-errs)
	b.expect(t, 1_000_000-1010, 0)
}
