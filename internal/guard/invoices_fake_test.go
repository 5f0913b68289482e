package guard

import (
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
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
	"github.com/leydenln/leyden/internal/policy"
)

// invoiceLnd is an lnd that knows invoices only.
type invoiceLnd struct {
	lnrpc.UnimplementedLightningServer
	invoicesrpc.UnimplementedInvoicesServer

	mu       sync.Mutex
	byHash   map[lntypes.Hash]*lnrpc.Invoice
	added    uint64
	settled  uint64
	watchers map[chan *lnrpc.Invoice]lntypes.Hash // zero: all that is added or settled

	// sign makes the payment request of an invoice, if set.
	sign func(*lnrpc.Invoice) string

	// before is asked before each method does its work, after before each
	// answers; an error is the answer.
	before, after func(method string) error
}

func (l *invoiceLnd) turn(method string, do func() error) error {
	l.mu.Lock()
	before, after := l.before, l.after
	l.mu.Unlock()
	if before != nil {
		if err := before(method); err != nil {
			return err
		}
	}
	l.mu.Lock()
	err := do()
	l.mu.Unlock()
	if err == nil && after != nil {
		return after(method)
	}
	return err
}

func (l *invoiceLnd) get(hash []byte) (*lnrpc.Invoice, error) {
	inv := l.byHash[lntypes.Hash(hash)]
	if inv == nil {
		return nil, status.Error(codes.NotFound, "unable to locate invoice")
	}
	return inv, nil
}

func (l *invoiceLnd) tell(inv *lnrpc.Invoice) {
	for ch, hash := range l.watchers {
		single := hash == lntypes.Hash(inv.GetRHash())
		all := hash == lntypes.ZeroHash && (inv.State == lnrpc.Invoice_OPEN || inv.State == lnrpc.Invoice_SETTLED)
		if single || all {
			ch <- copyOf(inv)
		}
	}
}

func (l *invoiceLnd) add(inv *lnrpc.Invoice) error {
	if l.byHash[lntypes.Hash(inv.RHash)] != nil {
		return status.Error(codes.Unknown, "invoice with payment hash already exists")
	}
	l.added++
	inv.AddIndex, inv.PaymentAddr, inv.PaymentRequest = l.added, random32(), "lnbcrt1"
	if l.sign != nil {
		inv.PaymentRequest = l.sign(inv)
	}
	l.byHash[lntypes.Hash(inv.RHash)] = inv
	l.tell(inv)
	return nil
}

func (l *invoiceLnd) AddInvoice(_ context.Context, req *lnrpc.Invoice) (*lnrpc.AddInvoiceResponse, error) {
	inv := copyOf(req)
	preimage := lntypes.Preimage(req.RPreimage)
	hash := preimage.Hash()
	inv.RHash = hash[:]
	err := l.turn("AddInvoice", func() error { return l.add(inv) })
	if err != nil {
		return nil, err
	}
	return &lnrpc.AddInvoiceResponse{
		RHash: inv.RHash, AddIndex: inv.AddIndex, PaymentAddr: inv.PaymentAddr, PaymentRequest: inv.PaymentRequest,
	}, nil
}

func (l *invoiceLnd) AddHoldInvoice(
	_ context.Context, req *invoicesrpc.AddHoldInvoiceRequest,
) (*invoicesrpc.AddHoldInvoiceResp, error) {
	inv := &lnrpc.Invoice{RHash: req.Hash, Memo: req.Memo, ValueMsat: req.ValueMsat, Expiry: req.Expiry}
	err := l.turn("AddHoldInvoice", func() error { return l.add(inv) })
	if err != nil {
		return nil, err
	}
	return &invoicesrpc.AddHoldInvoiceResp{
		AddIndex: inv.AddIndex, PaymentAddr: inv.PaymentAddr, PaymentRequest: inv.PaymentRequest,
	}, nil
}

func (l *invoiceLnd) LookupInvoice(_ context.Context, req *lnrpc.PaymentHash) (inv *lnrpc.Invoice, err error) {
	err = l.turn("LookupInvoice", func() error {
		found, err := l.get(req.RHash)
		inv = copyOf(found)
		return err
	})
	return inv, err
}

func (l *invoiceLnd) LookupInvoiceV2(
	_ context.Context, req *invoicesrpc.LookupInvoiceMsg,
) (found *lnrpc.Invoice, err error) {
	err = l.turn("LookupInvoiceV2", func() error {
		for _, inv := range l.byHash {
			if string(inv.RHash) == string(req.GetPaymentHash()) || string(inv.PaymentAddr) == string(req.GetPaymentAddr()) {
				found = copyOf(inv)
				return nil
			}
		}
		return status.Error(codes.NotFound, "unable to locate invoice")
	})
	return found, err
}

func (l *invoiceLnd) SettleInvoice(
	_ context.Context, req *invoicesrpc.SettleInvoiceMsg,
) (*invoicesrpc.SettleInvoiceResp, error) {
	return new(invoicesrpc.SettleInvoiceResp), l.turn("SettleInvoice", func() error {
		preimage := lntypes.Preimage(req.Preimage)
		hash := preimage.Hash()
		inv := l.byHash[hash]
		switch {
		case inv == nil:
			return status.Error(codes.Unknown, "unable to locate invoice")
		case inv.State == lnrpc.Invoice_ACCEPTED:
			l.settle(inv, preimage)
		case inv.State == lnrpc.Invoice_OPEN:
			return status.Error(codes.Unknown, "invoice still open")
		case inv.State == lnrpc.Invoice_CANCELED:
			return status.Error(codes.Unknown, "invoice already canceled")
		}
		return nil
	})
}

func (l *invoiceLnd) CancelInvoice(
	_ context.Context, req *invoicesrpc.CancelInvoiceMsg,
) (*invoicesrpc.CancelInvoiceResp, error) {
	return new(invoicesrpc.CancelInvoiceResp), l.turn("CancelInvoice", func() error {
		inv := l.byHash[lntypes.Hash(req.PaymentHash)]
		switch {
		case inv == nil:
			return status.Error(codes.Unknown, "unable to locate invoice")
		case inv.State == lnrpc.Invoice_SETTLED:
			return status.Error(codes.Unknown, "invoice already settled")
		}
		inv.State = lnrpc.Invoice_CANCELED
		l.tell(inv)
		return nil
	})
}

func (l *invoiceLnd) SubscribeInvoices(_ *lnrpc.InvoiceSubscription, s lnrpc.Lightning_SubscribeInvoicesServer) error {
	return l.watch(lntypes.ZeroHash, s)
}

func (l *invoiceLnd) SubscribeSingleInvoice(
	req *invoicesrpc.SubscribeSingleInvoiceRequest, s invoicesrpc.Invoices_SubscribeSingleInvoiceServer,
) error {
	return l.watch(lntypes.Hash(req.RHash), s)
}

func (l *invoiceLnd) watch(hash lntypes.Hash, s grpc.ServerStreamingServer[lnrpc.Invoice]) error {
	ch := make(chan *lnrpc.Invoice, 100)
	l.mu.Lock()
	l.watchers[ch] = hash
	if inv := l.byHash[hash]; inv != nil {
		ch <- copyOf(inv)
	}
	l.mu.Unlock()
	for {
		select {
		case inv := <-ch:
			if err := s.Send(inv); err != nil {
				return err
			}
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

// watched waits until there are so many watchers.
func (l *invoiceLnd) watched(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.watchers) >= n
	}, time.Minute, time.Millisecond)
}

func (l *invoiceLnd) settle(inv *lnrpc.Invoice, preimage lntypes.Preimage) {
	l.settled++
	inv.State, inv.SettleIndex, inv.RPreimage = lnrpc.Invoice_SETTLED, l.settled, preimage[:]
	l.tell(inv)
}

// pay lets the network pay an invoice. A hold invoice is accepted, any other is
// settled.
func (l *invoiceLnd) pay(hash []byte, msat int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	inv := l.byHash[lntypes.Hash(hash)]
	inv.AmtPaidMsat = msat
	inv.Htlcs = []*lnrpc.InvoiceHTLC{{ChanId: 77, HtlcIndex: 3, AmtMsat: uint64(msat)}}
	if len(inv.RPreimage) == 0 {
		inv.State = lnrpc.Invoice_ACCEPTED
		l.tell(inv)
		return
	}
	l.settle(inv, lntypes.Preimage(inv.RPreimage))
}

// fail makes the named method fail before or after it has done its work.
func (l *invoiceLnd) fail(when *func(string) error, method string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*when = func(m string) error {
		if m == method {
			return err
		}
		return nil
	}
}

func (l *invoiceLnd) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before, l.after = nil, nil
}

// invoiceBench is a guard with a ledger before an invoiceLnd.
type invoiceBench struct {
	*Guard
	lnd  *invoiceLnd
	path string
}

func newInvoiceBench(t *testing.T) *invoiceBench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guard.db")
	ledger, err := account.Open(t.Context(), path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { ledger.Close() })
	g, err := New(Options{Ledger: ledger, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return &invoiceBench{g, &invoiceLnd{
		byHash: make(map[lntypes.Hash]*lnrpc.Invoice), watchers: make(map[chan *lnrpc.Invoice]lntypes.Hash),
	}, path}
}

// attachment attaches to the lnd as it was started in the named run.
func (b *invoiceBench) attachment(t *testing.T, run string) *attachment {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	lnrpc.RegisterLightningServer(server, b.lnd)
	invoicesrpc.RegisterInvoicesServer(server, b.lnd)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:lnd", front.WatchAnswers(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return newAttachment(t.Context(), Access{Conn: conn, Run: run})
}

// call is a call of a new account's.
func (b *invoiceBench) call(t *testing.T, lnd *attachment, limits policy.Limits) *accountCall {
	t.Helper()
	by := audit.Actor{Kind: "operator", Via: "api"}
	a, err := b.opts.Ledger.Create(t.Context(), by, account.New{Balance: 1000, Limits: limits})
	require.NoError(t, err)
	return &accountCall{guard: b.Guard, lnd: lnd, account: a, by: audit.Actor{Kind: "account", Via: "lnd"}}
}

func (b *invoiceBench) balance(t *testing.T, c *accountCall) int {
	t.Helper()
	a, err := b.opts.Ledger.Get(t.Context(), c.account.ID)
	require.NoError(t, err)
	return int(a.Balance) - 1000
}

// breakLedger makes every change of an invoice to the state fail, until mend.
func (b *invoiceBench) breakLedger(t *testing.T, state account.State) (mend func()) {
	t.Helper()
	db, err := sql.Open("sqlite", b.path)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	_, err = db.Exec(`CREATE TRIGGER broken BEFORE UPDATE ON invoices WHEN NEW.state = '` + string(state) +
		`' BEGIN SELECT RAISE(ABORT, 'broken by the test'); END`)
	require.NoError(t, err)
	return func() {
		_, err := db.Exec(`DROP TRIGGER broken`)
		require.NoError(t, err)
	}
}

func newPreimage() (lntypes.Preimage, lntypes.Hash) {
	var p lntypes.Preimage
	rand.Read(p[:])
	return p, p.Hash()
}

func copyOf(inv *lnrpc.Invoice) *lnrpc.Invoice { return proto.Clone(inv).(*lnrpc.Invoice) }
