package itest

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/node"
)

// merchant is an account that sells.
type merchant struct {
	lnrpc.LightningClient
	invoices invoicesrpc.InvoicesClient
	id       string
	macaroon string // its file; of accounts
}

func (w *world) merchant(t *testing.T, flags ...string) *merchant {
	t.Helper()
	return w.merchantOf(t, w.sellerNode(), flags...)
}

func (w *world) merchantOf(t *testing.T, n *devnet.Node, flags ...string) *merchant {
	t.Helper()
	file := filepath.Join(t.TempDir(), "invoice.macaroon")
	made, err := shop.NewAccount(t.Context(), w.program("leyden"), n, 1000, file, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shop.Operate(context.Background(), w.program("leyden"), n, nil, "accounts", "remove", made.ID)
	})
	conn, err := n.DialAs(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &merchant{lnrpc.NewLightningClient(conn), invoicesrpc.NewInvoicesClient(conn), made.ID, file}
}

// earned is the balance above what the account began with, msat.
func (m *merchant) earned(t *testing.T) uint64 {
	t.Helper()
	balance, err := m.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return balance.LocalBalance.Msat - 1_000_000
}

func (m *merchant) expectEarned(t *testing.T, msat uint64) {
	t.Helper()
	if got := m.earned(t); got != msat {
		t.Errorf("earned %d msat, want %d", got, msat)
	}
}

func (m *merchant) add(t *testing.T, inv *lnrpc.Invoice) *lnrpc.AddInvoiceResponse {
	t.Helper()
	made, err := m.AddInvoice(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (m *merchant) look(t *testing.T, hash []byte) *lnrpc.Invoice {
	t.Helper()
	inv, err := m.LookupInvoice(t.Context(), &lnrpc.PaymentHash{RHash: hash})
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// hold makes a hold invoice.
func (m *merchant) hold(t *testing.T, sat int64) (lntypes.Preimage, lntypes.Hash, *invoicesrpc.AddHoldInvoiceResp) {
	t.Helper()
	var preimage lntypes.Preimage
	rand.Read(preimage[:])
	hash := preimage.Hash()
	made, err := m.invoices.AddHoldInvoice(t.Context(), &invoicesrpc.AddHoldInvoiceRequest{Hash: hash[:], Value: sat})
	if err != nil {
		t.Fatal(err)
	}
	return preimage, hash, made
}

// beginPayment pays in the background and returns the final state.
func beginPayment(t *testing.T, from *devnet.Node, req *routerrpc.SendPaymentRequest) func() *lnrpc.Payment {
	t.Helper()
	req.TimeoutSeconds, req.FeeLimitSat, req.NoInflightUpdates = 60, 10, true
	stream, err := routerrpc.NewRouterClient(from.Conn()).SendPaymentV2(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return func() *lnrpc.Payment {
		t.Helper()
		payment, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return payment
	}
}

// next insists on the state of the next invoice of a stream.
func next(t *testing.T, stream grpc.ServerStreamingClient[lnrpc.Invoice], state lnrpc.Invoice_InvoiceState) *lnrpc.Invoice {
	t.Helper()
	inv, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if inv.State != state {
		t.Fatalf("invoice is %s, want %s", inv.State, state)
	}
	return inv
}

// TestAccountSells: an account is paid, once, what really came in, and sees its
// own invoices alone.
func TestAccountSells(t *testing.T) {
	w := theWorld(t)
	m, other := w.merchant(t), w.merchant(t)
	if _, err := w.sellerNode().Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Value: 7}); err != nil {
		t.Fatal(err)
	}
	other.add(t, &lnrpc.Invoice{Value: 8})
	fixed := m.add(t, &lnrpc.Invoice{Value: 300, Memo: "coffee"})
	open := m.add(t, &lnrpc.Invoice{})
	if fixed.AddIndex != 1 || open.AddIndex != 2 {
		t.Errorf("add indices %d and %d are not the account's own", fixed.AddIndex, open.AddIndex)
	}

	payInvoice(t, w.buyerNode(), fixed.PaymentRequest)
	for range 2 {
		inv := m.look(t, fixed.RHash)
		if inv.State != lnrpc.Invoice_SETTLED || inv.AddIndex != 1 || inv.SettleIndex != 1 || inv.Memo != "coffee" {
			t.Errorf("looked up: %v", inv)
		}
		for _, htlc := range inv.Htlcs {
			if htlc.ChanId != 0 {
				t.Error("the node's channel is shown")
			}
		}
		m.expectEarned(t, 300_000)
	}
	paid := beginPayment(t, w.buyerNode(), &routerrpc.SendPaymentRequest{PaymentRequest: open.PaymentRequest, AmtMsat: 123_456})()
	if paid.Status != lnrpc.Payment_SUCCEEDED {
		t.Fatalf("payment of an open amount: %s", paid.FailureReason)
	}
	await(t, "the second credit", func() bool { return m.earned(t) == 423_456 })
	other.expectEarned(t, 0)

	list, err := m.ListInvoices(t.Context(), &lnrpc.ListInvoiceRequest{Reversed: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Invoices) != 2 || list.FirstIndexOffset != 1 || list.LastIndexOffset != 2 {
		t.Errorf("list: %v", list)
	}
	pending, err := other.ListInvoices(t.Context(), &lnrpc.ListInvoiceRequest{PendingOnly: true})
	if err != nil || len(pending.Invoices) != 1 || pending.Invoices[0].Value != 8 {
		t.Errorf("the other's list: %v, %v", pending, err)
	}
}

// TestAccountHoldInvoice: held, then settled or cancelled by the account.
func TestAccountHoldInvoice(t *testing.T) {
	w := theWorld(t)
	m := w.merchant(t)
	preimage, hash, made := m.hold(t, 400)
	updates, err := m.invoices.SubscribeSingleInvoice(t.Context(), &invoicesrpc.SubscribeSingleInvoiceRequest{RHash: hash[:]})
	if err != nil {
		t.Fatal(err)
	}
	next(t, updates, lnrpc.Invoice_OPEN)
	outcome := beginPayment(t, w.buyerNode(), &routerrpc.SendPaymentRequest{PaymentRequest: made.PaymentRequest})
	next(t, updates, lnrpc.Invoice_ACCEPTED)
	m.expectEarned(t, 0)
	if _, err := m.invoices.SettleInvoice(t.Context(), &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]}); err != nil {
		t.Fatal(err)
	}
	m.expectEarned(t, 400_000)
	if inv := next(t, updates, lnrpc.Invoice_SETTLED); inv.SettleIndex != 1 {
		t.Errorf("settle index %d is not the account's own", inv.SettleIndex)
	}
	if got := outcome(); got.Status != lnrpc.Payment_SUCCEEDED {
		t.Errorf("payment %s", got.Status)
	}

	_, hash, made = m.hold(t, 400)
	outcome = beginPayment(t, w.buyerNode(), &routerrpc.SendPaymentRequest{PaymentRequest: made.PaymentRequest})
	await(t, "the payment's arrival", func() bool { return m.look(t, hash[:]).State == lnrpc.Invoice_ACCEPTED })
	if _, err := m.invoices.CancelInvoice(t.Context(), &invoicesrpc.CancelInvoiceMsg{PaymentHash: hash[:]}); err != nil {
		t.Fatal(err)
	}
	if got := outcome(); got.Status != lnrpc.Payment_FAILED {
		t.Errorf("payment %s", got.Status)
	}
	if got := m.look(t, hash[:]).State; got != lnrpc.Invoice_CANCELED {
		t.Errorf("invoice is %s", got)
	}
	m.expectEarned(t, 400_000)
}

// TestAccountForeignInvoices: about the operator's and another account's
// invoices lnd's own words are those about none.
func TestAccountForeignInvoices(t *testing.T) {
	w := theWorld(t)
	m, other := w.merchant(t), w.merchant(t)
	operator := w.sellerNode().Lightning()
	var ofOperator, none lntypes.Preimage
	rand.Read(ofOperator[:])
	rand.Read(none[:])
	if _, err := operator.AddInvoice(t.Context(), &lnrpc.Invoice{RPreimage: ofOperator[:], Value: 5}); err != nil {
		t.Fatal(err)
	}
	ofOther, _, _ := other.hold(t, 5)
	asOperator := &merchant{operator, invoicesrpc.NewInvoicesClient(w.sellerNode().Conn()), "", ""}

	asks := map[string]func(*merchant, lntypes.Preimage) error{
		"LookupInvoice": func(m *merchant, p lntypes.Preimage) error {
			hash := p.Hash()
			_, err := m.LookupInvoice(t.Context(), &lnrpc.PaymentHash{RHash: hash[:]})
			return err
		},
		"LookupInvoiceV2": func(m *merchant, p lntypes.Preimage) error {
			hash := p.Hash()
			_, err := m.invoices.LookupInvoiceV2(t.Context(), &invoicesrpc.LookupInvoiceMsg{
				InvoiceRef: &invoicesrpc.LookupInvoiceMsg_PaymentHash{PaymentHash: hash[:]}})
			return err
		},
		"SettleInvoice": func(m *merchant, p lntypes.Preimage) error {
			_, err := m.invoices.SettleInvoice(t.Context(), &invoicesrpc.SettleInvoiceMsg{Preimage: p[:]})
			return err
		},
		"CancelInvoice": func(m *merchant, p lntypes.Preimage) error {
			hash := p.Hash()
			_, err := m.invoices.CancelInvoice(t.Context(), &invoicesrpc.CancelInvoiceMsg{PaymentHash: hash[:]})
			return err
		},
	}
	for name, ask := range asks {
		want := status.Convert(ask(asOperator, none))
		for whose, preimage := range map[string]lntypes.Preimage{"the operator's": ofOperator, "another's": ofOther} {
			got := status.Convert(ask(m, preimage))
			if want.Code() == codes.OK || got.Code() != want.Code() || got.Message() != want.Message() {
				t.Errorf("%s of %s: %v, of none %v", name, whose, got, want)
			}
		}
	}
	for _, preimage := range []lntypes.Preimage{ofOperator, ofOther} {
		_, err := m.AddInvoice(t.Context(), &lnrpc.Invoice{RPreimage: preimage[:]})
		if status.Code(err) != codes.AlreadyExists || !strings.Contains(err.Error(), "hash_taken") {
			t.Errorf("a taken hash: %v", err)
		}
	}
	hash := ofOperator.Hash()
	if inv, err := operator.LookupInvoice(t.Context(), &lnrpc.PaymentHash{RHash: hash[:]}); err != nil || inv.State != lnrpc.Invoice_OPEN {
		t.Errorf("the operator's invoice: %v, %v", inv, err)
	}
}

func TestAccountSubscribesInvoices(t *testing.T) {
	w := theWorld(t)
	m := w.merchant(t)
	first, second := m.add(t, &lnrpc.Invoice{Value: 10}), m.add(t, &lnrpc.Invoice{Value: 20})
	payInvoice(t, w.buyerNode(), second.PaymentRequest)
	payInvoice(t, w.buyerNode(), first.PaymentRequest)
	await(t, "the credits", func() bool { return m.earned(t) == 30_000 })

	stream, err := m.SubscribeInvoices(t.Context(), &lnrpc.InvoiceSubscription{AddIndex: 1, SettleIndex: 1})
	if err != nil {
		t.Fatal(err)
	}
	if inv := next(t, stream, lnrpc.Invoice_SETTLED); inv.AddIndex != 2 {
		t.Errorf("added after the first: %v", inv)
	}
	if inv := next(t, stream, lnrpc.Invoice_SETTLED); inv.SettleIndex != 2 || inv.AddIndex != 1 {
		t.Errorf("settled after the first: %v", inv)
	}
	if _, err := w.sellerNode().Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Value: 7}); err != nil {
		t.Fatal(err)
	}
	third := m.add(t, &lnrpc.Invoice{Value: 30})
	if inv := next(t, stream, lnrpc.Invoice_OPEN); inv.AddIndex != 3 {
		t.Errorf("added: %v", inv)
	}
	payInvoice(t, w.buyerNode(), third.PaymentRequest)
	if inv := next(t, stream, lnrpc.Invoice_SETTLED); inv.SettleIndex != 3 {
		t.Errorf("settled: %v", inv)
	}
	m.expectEarned(t, 60_000)
}

func TestAccountInvoiceLimits(t *testing.T) {
	w := theWorld(t)
	m := w.merchant(t, "--max_open_invoices", "1", "--max_invoice", "50")
	refused := func(reason string, inv *lnrpc.Invoice) {
		t.Helper()
		if _, err := m.AddInvoice(t.Context(), inv); err == nil || !strings.Contains(err.Error(), "leyden: "+reason+":") {
			t.Errorf("%v: %v, want %s", inv, err, reason)
		}
	}
	refused("private_denied", &lnrpc.Invoice{Value: 1, Private: true})
	refused("private_denied", &lnrpc.Invoice{Value: 1, IsBlinded: true})
	refused("amp_unsupported", &lnrpc.Invoice{Value: 1, IsAmp: true})
	refused("bad_request", &lnrpc.Invoice{Value: 1, ValueMsat: 1})
	refused("limit_invoice", &lnrpc.Invoice{Value: 51})
	// lnd's own word about what only lnd judges; the hash is free again.
	preimage := make([]byte, 32)
	rand.Read(preimage)
	_, err := m.AddInvoice(t.Context(), &lnrpc.Invoice{RPreimage: preimage, Value: 50, CltvExpiry: 1})
	if status.Code(err) != codes.Unknown || !strings.HasPrefix(status.Convert(err).Message(), "CLTV delta of 1") {
		t.Errorf("lnd's refusal: %v", err)
	}
	m.add(t, &lnrpc.Invoice{RPreimage: preimage, Value: 50})
	refused("limit_open_invoices", &lnrpc.Invoice{Value: 1})
}

// TestAccountCreditedAfterCrash: a hold invoice is settled at lnd while the
// guard is stopped; then the node is killed. The next one credits it.
func TestAccountCreditedAfterCrash(t *testing.T) {
	w := theWorld(t)
	m := w.merchant(t)
	n := w.sellerNode()
	preimage, hash, made := m.hold(t, 500)
	outcome := beginPayment(t, w.buyerNode(), &routerrpc.SendPaymentRequest{PaymentRequest: made.PaymentRequest})
	await(t, "the payment's arrival", func() bool { return m.look(t, hash[:]).State == lnrpc.Invoice_ACCEPTED })

	lnd, err := n.DialLnd(n.AdminMacaroon)
	if err != nil {
		t.Fatal(err)
	}
	defer lnd.Close()
	running, err := node.Status(n.Home())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(running.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, settleErr := invoicesrpc.NewInvoicesClient(lnd).SettleInvoice(t.Context(), &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]})
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	if settleErr != nil {
		t.Error(settleErr)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the account's return", func() bool {
		_, err := m.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
		return err == nil
	})
	m.expectEarned(t, 500_000)
	if inv := m.look(t, hash[:]); inv.State != lnrpc.Invoice_SETTLED || inv.SettleIndex != 1 {
		t.Errorf("looked up: %v", inv)
	}
	if got := outcome(); got.Status != lnrpc.Payment_SUCCEEDED {
		t.Errorf("payment %s", got.Status)
	}
	if err := w.AwaitChannels(t.Context()); err != nil {
		t.Fatal(err)
	}
}
