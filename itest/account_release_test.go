package itest

import (
	"context"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/devnet/shop"
)

// TestAccountRelease: a payment that a channel holds is not given up, neither in
// the run of lnd that made it nor after a restart; its end is the account's.
func TestAccountRelease(t *testing.T) {
	w := theWorld(t)
	p := w.payer(t, 1000)
	request, preimage := w.holdInvoice(t, 100)
	stream, err := p.router.SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: request, TimeoutSeconds: 30})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	w.awaitHeld(t, []lntypes.Preimage{preimage})
	hash := preimage.Hash().String()
	refused := func(because string) {
		t.Helper()
		err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), nil, "accounts", "release", hash)
		if err == nil || !strings.Contains(err.Error(), "payment_in_flight") || !strings.Contains(err.Error(), because) {
			t.Errorf("release: %v, want payment_in_flight because %q", err, because)
		}
	}
	refused("a request for it is with lnd")
	var info struct {
		InFlight []struct {
			Hash string `json:"payment_hash"`
		} `json:"in_flight"`
	}
	if err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), &info, "accounts", "info", p.id); err != nil {
		t.Fatal(err)
	}
	if len(info.InFlight) != 1 || info.InFlight[0].Hash != hash {
		t.Errorf("in flight: %+v", info)
	}

	w.stopNode(t, w.buyerNode())()
	await(t, "the account's return", func() bool {
		_, err := p.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{}, grpc.WaitForReady(true))
		return err == nil
	})
	refused("holds an HTLC of it")
	w.settle(t, preimage)
	await(t, "the outcome", func() bool { return p.balance(t) == 900_000 })
	err = shop.Operate(context.Background(), w.program("leyden"), w.buyerNode(), nil, "accounts", "release", hash)
	if err == nil || !strings.Contains(err.Error(), "not_found") {
		t.Errorf("release of what has succeeded: %v", err)
	}
	p.check(t)
}
