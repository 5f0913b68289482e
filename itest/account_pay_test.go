package itest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/devnet/shop"
)

// payer is an account of the buyer's node that pays.
type payer struct {
	w  *world
	id string
	lnrpc.LightningClient
	router routerrpc.RouterClient
}

func (w *world) payer(t *testing.T, sat btcutil.Amount, flags ...string) *payer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "own.macaroon")
	made, err := shop.NewAccount(t.Context(), w.program("leyden"), w.buyerNode(), sat, file, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shop.Operate(context.Background(), w.program("leyden"), w.buyerNode(), nil, "accounts", "remove", made.ID)
	})
	conn, err := w.buyerNode().DialAs(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &payer{w, made.ID, lnrpc.NewLightningClient(conn), routerrpc.NewRouterClient(conn)}
}

func (p *payer) balance(t *testing.T) uint64 {
	t.Helper()
	b, err := p.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return b.LocalBalance.Msat
}

// send makes a payment and returns its last state.
func (p *payer) send(ctx context.Context, req *routerrpc.SendPaymentRequest) (last *lnrpc.Payment, err error) {
	if req.TimeoutSeconds == 0 {
		req.TimeoutSeconds = 30
	}
	stream, err := p.router.SendPaymentV2(ctx, req)
	for err == nil {
		var state *lnrpc.Payment
		if state, err = stream.Recv(); err == nil {
			last = state
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return last, err
}

func (p *payer) mustPay(t *testing.T, req *routerrpc.SendPaymentRequest) *lnrpc.Payment {
	t.Helper()
	last, err := p.send(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if last.GetStatus() != lnrpc.Payment_SUCCEEDED {
		t.Fatalf("payment %s: %s", last.GetStatus(), last.GetFailureReason())
	}
	return last
}

// list returns what the account sees of its payments.
func (p *payer) list(t *testing.T) []*lnrpc.Payment {
	t.Helper()
	all, err := p.ListPayments(t.Context(), &lnrpc.ListPaymentsRequest{IncludeIncomplete: true})
	if err != nil {
		t.Fatal(err)
	}
	return all.Payments
}

func (p *payer) check(t *testing.T) {
	t.Helper()
	var report struct {
		Faults []string `json:"faults"`
	}
	if err := shop.Operate(t.Context(), p.w.program("leyden"), p.w.buyerNode(), &report, "accounts", "check"); err != nil {
		t.Fatal(err)
	}
	for _, fault := range report.Faults {
		t.Error(fault)
	}
}

func pub(t *testing.T, w *world, seller bool) []byte {
	t.Helper()
	n := w.buyerNode()
	if seller {
		n = w.sellerNode()
	}
	info, err := n.Lightning().GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(info.IdentityPubkey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSecret() (lntypes.Preimage, lntypes.Hash) {
	var p lntypes.Preimage
	rand.Read(p[:])
	return p, p.Hash()
}

// holdInvoice makes an invoice of the seller's that it accepts and keeps.
func (w *world) holdInvoice(t *testing.T, sat int64) (request string, preimage lntypes.Preimage) {
	t.Helper()
	preimage, hash := newSecret()
	made, err := invoicesrpc.NewInvoicesClient(w.sellerNode().Conn()).AddHoldInvoice(t.Context(),
		&invoicesrpc.AddHoldInvoiceRequest{Hash: hash[:], Value: sat})
	if err != nil {
		t.Fatal(err)
	}
	return made.PaymentRequest, preimage
}

func (w *world) settle(t *testing.T, preimage lntypes.Preimage) {
	t.Helper()
	_, err := invoicesrpc.NewInvoicesClient(w.sellerNode().Conn()).SettleInvoice(t.Context(),
		&invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) drop(t *testing.T, hash lntypes.Hash) {
	t.Helper()
	_, err := invoicesrpc.NewInvoicesClient(w.sellerNode().Conn()).CancelInvoice(t.Context(),
		&invoicesrpc.CancelInvoiceMsg{PaymentHash: hash[:]})
	if err != nil {
		t.Fatal(err)
	}
}

func expectReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || !strings.HasPrefix(status.Convert(err).Message(), "leyden: "+reason+":") {
		t.Errorf("answered %v, want %s %s", err, code, reason)
	}
}

// TestAccountPays: invoices, with and without an amount, in one part and many.
func TestAccountPays(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 5000)
	defer p.check(t)
	paid := p.mustPay(t, &routerrpc.SendPaymentRequest{PaymentRequest: newInvoice(t, w.sellerNode(), 700), FeeLimitSat: 10})
	if paid.PaymentIndex != 1 || paid.ValueSat != 700 {
		t.Errorf("index %d, %d sat", paid.PaymentIndex, paid.ValueSat)
	}
	if got := paid.Htlcs[0].Route.Hops[0].ChanId; got != 0 {
		t.Errorf("shows the node's channel %d", got)
	}
	p.mustPay(t, &routerrpc.SendPaymentRequest{PaymentRequest: newInvoice(t, w.sellerNode(), 0), AmtMsat: 300_500, FeeLimitSat: 10})
	split := p.mustPay(t, &routerrpc.SendPaymentRequest{
		PaymentRequest: newInvoice(t, w.sellerNode(), 1000), MaxParts: 8, MaxShardSizeMsat: 250_000,
	})
	if len(split.Htlcs) < 4 {
		t.Errorf("%d parts", len(split.Htlcs))
	}
	if got := p.balance(t); got != 5_000_000-700_000-300_500-1_000_000 {
		t.Errorf("balance %d msat", got)
	}
	list := p.list(t)
	if len(list) != 3 || list[0].PaymentIndex != 1 || list[2].PaymentIndex != 3 || list[0].PaymentHash != paid.PaymentHash {
		t.Errorf("lists %v", list)
	}
	page, err := p.ListPayments(t.Context(), &lnrpc.ListPaymentsRequest{
		IndexOffset: 3, MaxPayments: 1, Reversed: true, CountTotalPayments: true, OmitHops: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Payments) != 1 || page.FirstIndexOffset != 2 || page.LastIndexOffset != 2 || page.TotalNumPayments != 3 ||
		len(page.Payments[0].Htlcs[0].Route.Hops) != 0 {
		t.Errorf("page %v", page)
	}
	hash, _ := lntypes.MakeHashFromStr(paid.PaymentHash)
	track, err := p.router.TrackPaymentV2(t.Context(), &routerrpc.TrackPaymentRequest{PaymentHash: hash[:]})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := track.Recv(); err != nil || state.Status != lnrpc.Payment_SUCCEEDED || state.PaymentIndex != 1 {
		t.Errorf("tracked %v %v", state, err)
	}
	if _, err := track.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("track ended with %v", err)
	}
}

// TestAccountKeysend: whatever becomes of it, the ledger says so.
func TestAccountKeysend(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 1000)
	defer p.check(t)
	preimage, hash := newSecret()
	req := &routerrpc.SendPaymentRequest{
		Dest: pub(t, w, true), Amt: 100, PaymentHash: hash[:], FinalCltvDelta: 40,
		DestCustomRecords: map[uint64][]byte{5482373484: preimage[:]},
	}
	last, err := p.send(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := uint64(1_000_000)
	if last.Status == lnrpc.Payment_SUCCEEDED {
		want -= 100_000
	}
	if got := p.balance(t); got != want {
		t.Errorf("%s, balance %d msat", last.Status, got)
	}
	other, _ := newSecret()
	req.DestCustomRecords[5482373484] = other[:]
	_, err = p.send(t.Context(), req)
	expectReason(t, err, codes.InvalidArgument, "bad_request")
}

// TestAccountBadPayments: what never reaches lnd.
func TestAccountBadPayments(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 1000)
	expect := w.payments(t)
	own, seller := newInvoice(t, w.buyerNode(), 10), newInvoice(t, w.sellerNode(), 10)
	_, hash := newSecret()
	amp, err := w.sellerNode().Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Value: 10, IsAmp: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		req    *routerrpc.SendPaymentRequest
		code   codes.Code
		reason string
	}{
		"negative fee":     {&routerrpc.SendPaymentRequest{PaymentRequest: seller, FeeLimitSat: -1}, codes.InvalidArgument, "bad_request"},
		"fee twice":        {&routerrpc.SendPaymentRequest{PaymentRequest: seller, FeeLimitSat: 1, FeeLimitMsat: 1}, codes.InvalidArgument, "bad_request"},
		"huge fee":         {&routerrpc.SendPaymentRequest{PaymentRequest: seller, FeeLimitSat: math.MaxInt64}, codes.ResourceExhausted, "balance"},
		"amount twice":     {&routerrpc.SendPaymentRequest{PaymentRequest: newInvoice(t, w.sellerNode(), 0), Amt: 1, AmtMsat: 1}, codes.InvalidArgument, "bad_request"},
		"amount overflow":  {&routerrpc.SendPaymentRequest{Dest: pub(t, w, true), PaymentHash: hash[:], Amt: math.MaxInt64}, codes.InvalidArgument, "bad_request"},
		"amount wraps":     {&routerrpc.SendPaymentRequest{Dest: pub(t, w, true), PaymentHash: hash[:], Amt: 18446744073709552}, codes.InvalidArgument, "bad_request"},
		"too much":         {&routerrpc.SendPaymentRequest{PaymentRequest: newInvoice(t, w.sellerNode(), 1001)}, codes.ResourceExhausted, "balance"},
		"to itself":        {&routerrpc.SendPaymentRequest{PaymentRequest: own, AllowSelfPayment: true}, codes.PermissionDenied, "same_node"},
		"in a circle":      {&routerrpc.SendPaymentRequest{Dest: pub(t, w, false), PaymentHash: hash[:], Amt: 1, AllowSelfPayment: true}, codes.PermissionDenied, "same_node"},
		"amp":              {&routerrpc.SendPaymentRequest{Dest: pub(t, w, true), Amt: 1, Amp: true}, codes.PermissionDenied, "amp_unsupported"},
		"amp invoice":      {&routerrpc.SendPaymentRequest{PaymentRequest: amp.PaymentRequest}, codes.PermissionDenied, "amp_unsupported"},
		"outgoing channel": {&routerrpc.SendPaymentRequest{PaymentRequest: seller, OutgoingChanIds: []uint64{1}}, codes.InvalidArgument, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.send(t.Context(), c.req)
			expectReason(t, err, c.code, c.reason)
		})
	}
	expect(0)
	if got := p.list(t); len(got) != 0 {
		t.Errorf("lists %v", got)
	}
}

// TestAccountSeesNoOthers: another's hash is answered as lnd answers for one it
// does not know.
func TestAccountSeesNoOthers(t *testing.T) {
	w := theWorld(t)
	p, other := w.payer(t, 1000), w.payer(t, 1000)
	theirs := other.mustPay(t, &routerrpc.SendPaymentRequest{PaymentRequest: newInvoice(t, w.sellerNode(), 10)})
	hash, _ := lntypes.MakeHashFromStr(theirs.PaymentHash)
	_, unknown := newSecret()
	track := func(router routerrpc.RouterClient, hash lntypes.Hash) *status.Status {
		stream, err := router.TrackPaymentV2(t.Context(), &routerrpc.TrackPaymentRequest{PaymentHash: hash[:]})
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		return status.Convert(err)
	}
	want := track(routerrpc.NewRouterClient(w.buyerNode().Conn()), unknown)
	for _, h := range []lntypes.Hash{hash, unknown} {
		if got := track(p.router, h); got.Code() != want.Code() || got.Message() != want.Message() {
			t.Errorf("answered %v, lnd %v", got, want)
		}
	}
	if got := p.list(t); len(got) != 0 {
		t.Errorf("lists %v", got)
	}
}

// TestAccountOneHash: one hash, two accounts, and the operator.
func TestAccountOneHash(t *testing.T) {
	w := theWorld(t)
	a, b := w.payer(t, 1000), w.payer(t, 1000)
	defer a.check(t)
	request, preimage := w.holdInvoice(t, 100)
	req := func() *routerrpc.SendPaymentRequest {
		return &routerrpc.SendPaymentRequest{PaymentRequest: request, FeeLimitSat: 1}
	}
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := a.router.SendPaymentV2(ctx, req())
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.Status != lnrpc.Payment_IN_FLIGHT {
		t.Fatal(first, err)
	}
	cancel() // the client is gone; the payment is not
	if got := a.list(t); len(got) != 1 || got[0].Status != lnrpc.Payment_IN_FLIGHT {
		t.Errorf("lists %v", got)
	}
	for name, p := range map[string]*payer{"the same account": a, "another": b} {
		_, err := p.send(t.Context(), req())
		expectReason(t, err, codes.AlreadyExists, "payment_in_flight")
		_, err = p.router.SendToRouteV2(t.Context(), w.route(t, b, preimage.Hash(), 100))
		if name == "another" {
			expectReason(t, err, codes.AlreadyExists, "payment_in_flight")
		}
	}
	op, err := routerrpc.NewRouterClient(w.buyerNode().Conn()).SendPaymentV2(t.Context(), req())
	if err == nil {
		_, err = op.Recv()
	}
	expectReason(t, err, codes.AlreadyExists, "payment_in_flight")
	if _, err := w.buyerNode().Lightning().DeletePayment(t.Context(), &lnrpc.DeletePaymentRequest{PaymentHash: hashOf(preimage)}); err == nil {
		t.Error("the operator deleted a payment in flight")
	}
	w.awaitHeld(t, []lntypes.Preimage{preimage})
	w.settle(t, preimage)
	await(t, "the debit", func() bool { return a.balance(t) == 900_000 })
	for _, p := range []*payer{a, b} {
		_, err := p.send(t.Context(), req())
		expectReason(t, err, codes.AlreadyExists, "already_paid")
	}
	if got := b.balance(t); got != 1_000_000 {
		t.Errorf("the other account has %d msat", got)
	}
}

func hashOf(p lntypes.Preimage) []byte { h := p.Hash(); return h[:] }

// route returns the request for a payment along the route that the account is
// told of, to the seller, without an MPP record.
func (w *world) route(t *testing.T, p *payer, hash lntypes.Hash, sat int64) *routerrpc.SendToRouteRequest {
	t.Helper()
	found, err := p.QueryRoutes(t.Context(), &lnrpc.QueryRoutesRequest{
		PubKey: hex.EncodeToString(pub(t, w, true)), Amt: sat, FinalCltvDelta: 80,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &routerrpc.SendToRouteRequest{PaymentHash: hash[:], Route: found.Routes[0]}
}

// TestAccountRoute: payments along a route, in shards.
func TestAccountRoute(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 1000)
	defer p.check(t)
	made, err := w.sellerNode().Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Value: 600})
	if err != nil {
		t.Fatal(err)
	}
	shard := func(sat, total int64) *routerrpc.SendToRouteRequest {
		req := w.route(t, p, lntypes.Hash(made.RHash), sat)
		hops := req.Route.Hops
		hops[len(hops)-1].MppRecord = &lnrpc.MPPRecord{PaymentAddr: made.PaymentAddr, TotalAmtMsat: total * 1000}
		return req
	}
	var both sync.WaitGroup
	for range 2 {
		req := shard(300, 600)
		both.Go(func() {
			htlc, err := p.router.SendToRouteV2(t.Context(), req)
			if err != nil || htlc.Status != lnrpc.HTLCAttempt_SUCCEEDED {
				t.Error(htlc, err)
			}
		})
	}
	both.Wait()
	if got := p.balance(t); got != 400_000 {
		t.Errorf("balance %d msat", got)
	}
	if list := p.list(t); len(list) != 1 || list[0].ValueSat != 600 || list[0].Status != lnrpc.Payment_SUCCEEDED {
		t.Errorf("lists %v", list)
	}
	_, err = p.router.SendToRouteV2(t.Context(), shard(300, 600))
	expectReason(t, err, codes.AlreadyExists, "already_paid")

	// A route that fails releases what it took.
	_, unknown := newSecret()
	htlc, err := p.router.SendToRouteV2(t.Context(), w.route(t, p, unknown, 400))
	if err != nil || htlc.Status != lnrpc.HTLCAttempt_FAILED {
		t.Error(htlc, err)
	}
	if last := p.list(t)[1]; last.Status != lnrpc.Payment_FAILED {
		t.Errorf("listed as %s", last.Status)
	}
	over := w.route(t, p, unknown, 400)
	over.Route.TotalAmtMsat += 1000
	_, err = p.router.SendToRouteV2(t.Context(), over)
	expectReason(t, err, codes.ResourceExhausted, "balance")

	amp := w.route(t, p, unknown, 1)
	amp.Route.Hops[len(amp.Route.Hops)-1].AmpRecord = &lnrpc.AMPRecord{RootShare: unknown[:], SetId: unknown[:]}
	_, err = p.router.SendToRouteV2(t.Context(), amp)
	expectReason(t, err, codes.PermissionDenied, "amp_unsupported")

	circle := w.route(t, p, unknown, 1)
	circle.Route.Hops = append(circle.Route.Hops, &lnrpc.Hop{
		PubKey: hex.EncodeToString(pub(t, w, false)), AmtToForwardMsat: 1000, ChanId: 1,
	})
	_, err = p.router.SendToRouteV2(t.Context(), circle)
	expectReason(t, err, codes.PermissionDenied, "same_node")
}

// TestAccountShardOfOperators: lnd would let a shard join whoever's payment.
func TestAccountShardOfOperators(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 1000)
	request, preimage := w.holdInvoice(t, 100)
	op, err := routerrpc.NewRouterClient(w.buyerNode().Conn()).SendPaymentV2(t.Context(),
		&routerrpc.SendPaymentRequest{PaymentRequest: request, TimeoutSeconds: 30})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := op.Recv(); err != nil {
		t.Fatal(err)
	}
	req := w.route(t, p, preimage.Hash(), 100)
	req.Route.Hops[0].MppRecord = &lnrpc.MPPRecord{PaymentAddr: bytes.Repeat([]byte{1}, 32), TotalAmtMsat: 100_000}
	_, err = p.router.SendToRouteV2(t.Context(), req)
	expectReason(t, err, codes.AlreadyExists, "payment_in_flight")
	w.drop(t, preimage.Hash())
	for err == nil || status.Code(err) == codes.AlreadyExists {
		_, err = op.Recv()
	}
	if got := p.balance(t); got != 1_000_000 {
		t.Errorf("balance %d msat", got)
	}
}

// TestAccountRetriesAtOnce: a retry in the instant of failure, over and over,
// holds one reservation at a time.
func TestAccountRetriesAtOnce(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 1000)
	defer p.check(t)
	_, hash := newSecret()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 8 {
				last, err := p.send(t.Context(), &routerrpc.SendPaymentRequest{
					Dest: pub(t, w, true), Amt: 900, PaymentHash: hash[:], FinalCltvDelta: 40,
				})
				switch {
				case err == nil && last.Status == lnrpc.Payment_FAILED:
				case status.Code(err) == codes.AlreadyExists, status.Code(err) == codes.ResourceExhausted:
				default:
					t.Errorf("ended with %v, %v", last, err)
				}
			}
		})
	}
	all.Wait()
	if got := p.balance(t); got != 1_000_000 {
		t.Errorf("balance %d msat", got)
	}
	for _, payment := range p.list(t) {
		if payment.Status != lnrpc.Payment_FAILED {
			t.Errorf("payment %d is %s", payment.PaymentIndex, payment.Status)
		}
	}
	if last := p.mustPay(t, &routerrpc.SendPaymentRequest{PaymentRequest: newInvoice(t, w.sellerNode(), 1000)}); last == nil {
		t.Error("nothing is left")
	}
}

// race pays count invoices of 100 sat at once and returns how many were paid,
// and the reasons of the refusals.
func (p *payer) race(t *testing.T, count int) (paid int, reasons map[string]int) {
	t.Helper()
	invoices := make([]string, count)
	for i := range invoices {
		invoices[i] = newInvoice(t, p.w.sellerNode(), 100)
	}
	reasons = make(map[string]int)
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, invoice := range invoices {
		all.Go(func() {
			last, err := p.send(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: invoice})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				reason, _, _ := strings.Cut(strings.TrimPrefix(status.Convert(err).Message(), "leyden: "), ":")
				reasons[reason]++
			} else if last.Status == lnrpc.Payment_SUCCEEDED {
				paid++
			} else {
				reasons[last.FailureReason.String()]++
			}
		})
	}
	all.Wait()
	return paid, reasons
}

// TestAccountRaces: 64 at once on a balance for ten, and on limits for ten.
func TestAccountRaces(t *testing.T) {
	w := theWorld(t)
	for name, c := range map[string]struct {
		balance btcutil.Amount
		flags   []string
		reason  string
	}{
		"balance": {1000, nil, "balance"},
		"day":     {100_000, []string{"--limit_day", "1000"}, "limit_day"},
		"count":   {100_000, []string{"--max_payments", "10/1h"}, "limit_payments"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.payer(t, c.balance, append(c.flags, "--max_in_flight", "64")...)
			defer p.check(t)
			paid, reasons := p.race(t, 64)
			if paid != 10 || reasons[c.reason] != 54 {
				t.Errorf("%d paid; refusals %v", paid, reasons)
			}
		})
	}
}

// TestAccountInFlight: a seller that keeps what it was sent ties up no more of
// the node than the account's limit.
func TestAccountInFlight(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 10_000, "--max_in_flight", "3")
	defer p.check(t)
	var held []lntypes.Preimage
	for range 3 {
		request, preimage := w.holdInvoice(t, 10)
		stream, err := p.router.SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: request, TimeoutSeconds: 30})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		held = append(held, preimage)
	}
	_, err := p.send(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: newInvoice(t, w.sellerNode(), 10)})
	expectReason(t, err, codes.ResourceExhausted, "limit_in_flight")
	w.awaitHeld(t, held)
	w.drop(t, held[0].Hash())
	w.settle(t, held[1])
	w.settle(t, held[2])
	await(t, "the outcomes", func() bool {
		list := p.list(t)
		return list[0].Status == lnrpc.Payment_FAILED && list[1].Status == lnrpc.Payment_SUCCEEDED &&
			list[2].Status == lnrpc.Payment_SUCCEEDED
	})
	if got := p.balance(t); got != 9_980_000 {
		t.Errorf("balance %d msat", got)
	}
}

// awaitHeld waits until the seller has been sent what it keeps.
func (w *world) awaitHeld(t *testing.T, held []lntypes.Preimage) {
	t.Helper()
	for _, preimage := range held {
		await(t, "a held payment", func() bool {
			inv, err := w.sellerNode().Lightning().LookupInvoice(t.Context(), &lnrpc.PaymentHash{RHash: hashOf(preimage)})
			return err == nil && inv.State == lnrpc.Invoice_ACCEPTED
		})
	}
}

// TestAccountPaymentOutlivesTheNode: what is in flight when the node is killed
// is settled when it is back.
func TestAccountPaymentOutlivesTheNode(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 1000)
	request, preimage := w.holdInvoice(t, 100)
	lost, dropped := w.holdInvoice(t, 50)
	for _, invoice := range []string{request, lost} {
		stream, err := p.router.SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: invoice, TimeoutSeconds: 30})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitHeld(t, []lntypes.Preimage{preimage, dropped})
	start := w.stopNode(t, w.buyerNode())
	w.settle(t, preimage)
	w.drop(t, dropped.Hash())
	start()
	await(t, "the outcomes", func() bool {
		list, err := p.ListPayments(t.Context(), &lnrpc.ListPaymentsRequest{IncludeIncomplete: true}, grpc.WaitForReady(true))
		return err == nil && len(list.Payments) == 2 && list.Payments[0].Status == lnrpc.Payment_SUCCEEDED &&
			list.Payments[1].Status == lnrpc.Payment_FAILED
	})
	if got := p.balance(t); got != 900_000 {
		t.Errorf("balance %d msat", got)
	}
	p.check(t)
}
