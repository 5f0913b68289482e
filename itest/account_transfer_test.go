package itest

import (
	"bytes"
	"context"
	"encoding/hex"
	"path/filepath"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// TestAccountPaysAccount: between accounts of one node there is no channel and
// no fee, but a true preimage; both sides see what they would see of any other
// payment, before and after the node has come back.
func TestAccountPaysAccount(t *testing.T) {
	w := theWorld(t)
	p, m := w.payer(t, 1000), w.merchantOf(t, w.buyerNode())
	expect := w.payments(t)
	made := m.add(t, &lnrpc.Invoice{Value: 300, Memo: "lunch"})
	all, err := m.SubscribeInvoices(t.Context(), &lnrpc.InvoiceSubscription{})
	if err != nil {
		t.Fatal(err)
	}
	one, err := m.invoices.SubscribeSingleInvoice(t.Context(), &invoicesrpc.SubscribeSingleInvoiceRequest{RHash: made.RHash})
	if err != nil {
		t.Fatal(err)
	}
	next(t, one, lnrpc.Invoice_OPEN)
	tracked, err := p.router.TrackPayments(t.Context(), &routerrpc.TrackPaymentsRequest{})
	if err != nil {
		t.Fatal(err)
	}

	paid := p.mustPay(t, &routerrpc.SendPaymentRequest{PaymentRequest: made.PaymentRequest})
	preimage, err := hex.DecodeString(paid.PaymentPreimage)
	if err != nil || paid.FeeMsat != 0 || paid.ValueSat != 300 {
		t.Errorf("paid %v", paid)
	}
	if secret, err := lntypes.MakePreimage(preimage); err != nil || !secret.Matches(lntypes.Hash(made.RHash)) {
		t.Errorf("preimage %x", preimage)
	}
	settled := next(t, one, lnrpc.Invoice_SETTLED)
	if settled.AmtPaidSat != 300 || !bytes.Equal(settled.RPreimage, preimage) || settled.SettleDate == 0 {
		t.Errorf("settled %v", settled)
	}
	next(t, all, lnrpc.Invoice_SETTLED)
	if state, err := tracked.Recv(); err != nil || state.Status != lnrpc.Payment_SUCCEEDED {
		t.Errorf("tracked %v, %v", state, err)
	}
	open := m.add(t, &lnrpc.Invoice{})
	p.mustPay(t, &routerrpc.SendPaymentRequest{PaymentRequest: open.PaymentRequest, Amt: 50})
	m.expectEarned(t, 350_000)
	if b := p.balance(t); b != 650_000 {
		t.Errorf("the payer has %d msat", b)
	}
	expect(0) // lnd has paid nothing
	at, err := w.buyerNode().Lightning().LookupInvoice(t.Context(), &lnrpc.PaymentHash{RHash: made.RHash})
	if err != nil || at.State != lnrpc.Invoice_CANCELED {
		t.Errorf("lnd has %v, %v", at, err)
	}

	w.stopNode(t, w.buyerNode())()
	if got := m.look(t, made.RHash); got.State != lnrpc.Invoice_SETTLED || got.AmtPaidMsat != 300_000 {
		t.Errorf("afterwards %v", got)
	}
	if list := p.list(t); len(list) != 2 || list[0].Status != lnrpc.Payment_SUCCEEDED || list[0].PaymentPreimage != paid.PaymentPreimage {
		t.Errorf("afterwards listed %v", list)
	}
	m.expectEarned(t, 350_000)
	_, err = m.invoices.CancelInvoice(t.Context(), &invoicesrpc.CancelInvoiceMsg{PaymentHash: made.RHash})
	if status.Convert(err).Message() != "invoice already settled" {
		t.Errorf("cancel: %v", err)
	}
	_, err = p.send(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: made.PaymentRequest})
	expectReason(t, err, codes.AlreadyExists, "already_paid")
	for _, args := range [][]string{{"accounts", "check"}, {"audit", "verify"}} {
		if err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), nil, args...); err != nil {
			t.Error(err)
		}
	}
}

// TestAccountTransferRefused: what cannot be transferred, and what lnd has
// settled before.
func TestAccountTransferRefused(t *testing.T) {
	w := theWorld(t)
	p, m := w.payer(t, 1000, "--limit_day", "400"), w.merchantOf(t, w.buyerNode())
	_, _, hold := m.hold(t, 10)
	own, err := p.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 10})
	if err != nil {
		t.Fatal(err)
	}
	canceled := m.add(t, &lnrpc.Invoice{Value: 10})
	if _, err := m.invoices.CancelInvoice(t.Context(), &invoicesrpc.CancelInvoiceMsg{PaymentHash: canceled.RHash}); err != nil {
		t.Fatal(err)
	}
	byOperator := m.add(t, &lnrpc.Invoice{Value: 10})
	_, err = invoicesrpc.NewInvoicesClient(w.buyerNode().Conn()).CancelInvoice(t.Context(),
		&invoicesrpc.CancelInvoiceMsg{PaymentHash: byOperator.RHash})
	if err != nil {
		t.Fatal(err)
	}
	lightning := m.add(t, &lnrpc.Invoice{Value: 10})
	if paid := beginPayment(t, w.sellerNode(), &routerrpc.SendPaymentRequest{PaymentRequest: lightning.PaymentRequest})(); paid.Status != lnrpc.Payment_SUCCEEDED {
		t.Fatal(paid)
	}
	dear := m.add(t, &lnrpc.Invoice{Value: 401})
	for name, c := range map[string]struct {
		request string
		code    codes.Code
		reason  string
	}{
		"hold invoice":             {hold.PaymentRequest, codes.PermissionDenied, "same_node"},
		"its own":                  {own.PaymentRequest, codes.PermissionDenied, "same_node"},
		"the operator's":           {newInvoice(t, w.buyerNode(), 10), codes.PermissionDenied, "same_node"},
		"canceled":                 {canceled.PaymentRequest, codes.FailedPrecondition, "invoice_canceled"},
		"canceled by the operator": {byOperator.PaymentRequest, codes.FailedPrecondition, "invoice_canceled"},
		"paid over Lightning":      {lightning.PaymentRequest, codes.AlreadyExists, "already_paid"},
		"above the limit":          {dear.PaymentRequest, codes.ResourceExhausted, "limit_day"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.send(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: c.request})
			expectReason(t, err, c.code, c.reason)
		})
	}
	if b := p.balance(t); b != 1_000_000 {
		t.Errorf("the payer has %d msat", b)
	}
	m.expectEarned(t, 10_000)
}

// TestGateOfAnAccount: a gate that makes its invoices with an account's macaroon
// sells to other accounts of its node.
func TestGateOfAnAccount(t *testing.T) {
	w := theWorld(t)
	p, m := w.merchantOf(t, w.buyerNode()), w.merchantOf(t, w.buyerNode())
	back := startBackend(t)
	gate, err := shop.OpenGate(t.Context(), shop.GateOptions{
		Node: w.buyerNode(), MacDir: filepath.Dir(m.macaroon), Home: config.Home(t.TempDir()),
		Leyden: w.program("leyden"), Services: back.services(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	buyer, err := shop.NewBuyerWith(t.TempDir(), w.program("lnget"), w.buyerNode(), p.macaroon)
	if err != nil {
		t.Fatal(err)
	}
	gets(t, buyer, answer("GET", "/a", ""), "-q", gate.URL+"/a")
	m.expectEarned(t, 100_000)
	list, err := p.ListPayments(t.Context(), &lnrpc.ListPaymentsRequest{})
	if err != nil || len(list.Payments) != 1 || list.Payments[0].ValueSat != 100 {
		t.Errorf("the buyer's payments: %v, %v", list, err)
	}
}
