package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/bench/ratio"
	"github.com/leydenln/leyden/internal/devnet"
)

// benchFront measures what the front adds to a call and to a payment.
func benchFront(ctx context.Context, w *world, rounds int) error {
	bare, err := w.buyer().DialLnd(w.buyer().AdminMacaroon)
	if err != nil {
		return err
	}
	defer bare.Close()
	front := w.buyer().Conn()
	err = ratio.Comparison{
		Baseline: "GetInfo at lnd's socket", Subject: "GetInfo through the front",
		Target: "at most 0.40 ms more", N: 400,
		RunBaseline: getInfo(bare), RunSubject: getInfo(front),
	}.Measure(ctx, rounds)
	if err != nil {
		return err
	}
	return ratio.Comparison{
		Baseline: "SendPaymentV2 at lnd's socket", Subject: "SendPaymentV2 through the front",
		Target: "at most 2 ms more", N: 12,
		RunBaseline: payment(bare, w.seller()), RunSubject: payment(front, w.seller()),
	}.Measure(ctx, rounds)
}

// getInfo returns a run that asks for GetInfo.
func getInfo(conn *grpc.ClientConn) func(context.Context) (time.Duration, error) {
	client := lnrpc.NewLightningClient(conn)
	return func(ctx context.Context) (time.Duration, error) {
		return ratio.Timed(func() error {
			_, err := client.GetInfo(ctx, &lnrpc.GetInfoRequest{})
			return err
		})
	}
}

// payment returns a run that pays a fresh invoice of the payee, after a pause
// that lets the channel come to rest. Only the payment is timed.
func payment(conn *grpc.ClientConn, payee *devnet.Node) func(context.Context) (time.Duration, error) {
	router := routerrpc.NewRouterClient(conn)
	return func(ctx context.Context) (time.Duration, error) {
		inv, err := payee.Lightning().AddInvoice(ctx, &lnrpc.Invoice{Value: price})
		if err != nil {
			return 0, err
		}
		if err := rest(ctx); err != nil {
			return 0, err
		}
		return ratio.Timed(func() error {
			_, err := send(ctx, router, inv.PaymentRequest)
			return err
		})
	}
}

// send pays an invoice and returns the preimage in hex.
func send(ctx context.Context, router routerrpc.RouterClient, invoice string) (preimage string, err error) {
	stream, err := router.SendPaymentV2(ctx, &routerrpc.SendPaymentRequest{
		PaymentRequest: invoice, TimeoutSeconds: 30, FeeLimitSat: 10, NoInflightUpdates: true,
	})
	if err != nil {
		return "", err
	}
	p, err := stream.Recv()
	if err != nil {
		return "", err
	}
	if p.Status != lnrpc.Payment_SUCCEEDED {
		return "", fmt.Errorf("payment %s: %s", p.Status, p.FailureReason)
	}
	return p.PaymentPreimage, nil
}

// rest is the pause before a payment, so that each finds an idle channel.
func rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errors.Join(errors.New("interrupted"), ctx.Err())
	case <-time.After(250 * time.Millisecond):
		return nil
	}
}
