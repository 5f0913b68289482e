package itest

import (
	"encoding/hex"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"

	"github.com/leydenln/leyden/internal/devnet"
)

// pay pays a fresh invoice of the seller's node, in sat.
func (w *world) pay(t *testing.T, sat int64) {
	t.Helper()
	payInvoice(t, w.buyerNode(), newInvoice(t, w.sellerNode(), sat))
}

func newInvoice(t *testing.T, n *devnet.Node, sat int64) string {
	t.Helper()
	invoice, err := n.Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Value: sat})
	if err != nil {
		t.Fatal(err)
	}
	return invoice.PaymentRequest
}

// payInvoice pays from the node and returns the preimage, hex.
func payInvoice(t *testing.T, from *devnet.Node, invoice string) string {
	t.Helper()
	stream, err := routerrpc.NewRouterClient(from.Conn()).SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{
		PaymentRequest: invoice, TimeoutSeconds: 30, FeeLimitSat: 10, NoInflightUpdates: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	payment, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if payment.Status != lnrpc.Payment_SUCCEEDED {
		t.Fatalf("payment %s: %s", payment.Status, payment.FailureReason)
	}
	if _, err := hex.DecodeString(payment.PaymentPreimage); err != nil {
		t.Fatal(err)
	}
	return payment.PaymentPreimage
}
