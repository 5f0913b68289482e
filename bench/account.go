package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/bench/ratio"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

const (
	accountBalance btcutil.Amount = 1_000_000

	// payers at once, and payments of a run, where throughput is measured.
	payers     = 16
	paidAtOnce = 96
)

// account makes an account on the node and connects with its macaroon.
func (w *world) account(ctx context.Context, node *devnet.Node) (*grpc.ClientConn, error) {
	w.accounts++
	file := filepath.Join(w.home, fmt.Sprintf("account-%d.macaroon", w.accounts))
	a, err := shop.NewAccount(ctx, filepath.Join(w.bin, "leyden"), node, accountBalance, file)
	if err != nil {
		return nil, err
	}
	return node.DialAs(a.Macaroon)
}

// benchAccount compares an account's macaroon with the admin macaroon on the
// same node: what the guard costs.
func benchAccount(ctx context.Context, w *world, rounds int) error {
	account, err := w.account(ctx, w.buyer())
	if err != nil {
		return err
	}
	defer account.Close()
	admin := w.buyer().Conn()
	err = ratio.Comparison{
		Baseline: "GetInfo, admin macaroon", Subject: "GetInfo, account macaroon",
		Target: "at most 1 ms more", N: 400,
		RunBaseline: getInfo(admin), RunSubject: getInfo(account),
	}.Measure(ctx, rounds)
	if err != nil {
		return err
	}
	err = ratio.Comparison{
		Baseline: "SendPaymentV2, admin macaroon", Subject: "SendPaymentV2, account macaroon",
		Target: "ratio at most 1.05", N: 16,
		RunBaseline: payment(admin, w.seller()), RunSubject: payment(account, w.seller()),
	}.Measure(ctx, rounds)
	if err != nil {
		return err
	}
	return ratio.Comparison{
		Baseline: fmt.Sprintf("%d payments by %d payers, admin macaroon", paidAtOnce, payers),
		Subject:  fmt.Sprintf("%d payments by %d payers, account macaroon", paidAtOnce, payers),
		Target:   "ratio at most 1.05 (throughput at least 0.95)", N: 3,
		RunBaseline: w.manyPayments(admin), RunSubject: w.manyPayments(account),
	}.Measure(ctx, rounds)
}

// manyPayments returns a run that pays many fresh invoices of the seller, by
// many payers at once.
func (w *world) manyPayments(conn *grpc.ClientConn) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		if err := rest(ctx); err != nil {
			return 0, err
		}
		return pay(ctx, conn, w.seller(), paidAtOnce)
	}
}

// pay pays n fresh invoices of the payee and returns what the payments took.
func pay(ctx context.Context, conn *grpc.ClientConn, payee *devnet.Node, n int) (time.Duration, error) {
	invoices := make(chan string, n)
	for range n {
		inv, err := payee.Lightning().AddInvoice(ctx, &lnrpc.Invoice{Value: 1})
		if err != nil {
			return 0, err
		}
		invoices <- inv.PaymentRequest
	}
	close(invoices)
	return ratio.Timed(func() error {
		g, ctx := errgroup.WithContext(ctx)
		for range payers {
			g.Go(func() error {
				router := routerrpc.NewRouterClient(conn)
				for invoice := range invoices {
					if _, err := send(ctx, router, invoice); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return g.Wait()
	})
}

// Payments that the two nodes of benchLists have made, and an account's share.
const (
	fewPayments  = 500
	manyPayments = 5000
	ownPayments  = 10
)

// benchLists compares ListPayments of two accounts with ten payments each, one
// on a node with few payments, one on a node with many.
func benchLists(ctx context.Context, w *world, rounds int) error {
	few, err := w.lister(ctx, w.seller(), w.buyer(), fewPayments)
	if err != nil {
		return err
	}
	many, err := w.lister(ctx, w.buyer(), w.seller(), manyPayments)
	if err != nil {
		return err
	}
	return ratio.Comparison{
		Baseline: fmt.Sprintf("ListPayments of %d, on a node with %d", ownPayments, fewPayments),
		Subject:  fmt.Sprintf("ListPayments of %d, on a node with %d", ownPayments, manyPayments),
		Target:   "ratio 1.00", N: 400,
		RunBaseline: few, RunSubject: many,
	}.Measure(ctx, rounds)
}

// lister brings the node to the given number of payments, of which a fresh
// account makes the last, and returns a run that lists the account's.
func (w *world) lister(ctx context.Context, node, payee *devnet.Node, total int) (func(context.Context) (time.Duration, error), error) {
	account, err := w.account(ctx, node)
	if err != nil {
		return nil, err
	}
	have, _, err := shop.Payments(ctx, node)
	if err != nil {
		return nil, err
	}
	if _, err := pay(ctx, node.Conn(), payee, max(0, total-ownPayments-have)); err != nil {
		return nil, err
	}
	if _, err := pay(ctx, account, payee, ownPayments); err != nil {
		return nil, err
	}
	client := lnrpc.NewLightningClient(account)
	return func(ctx context.Context) (time.Duration, error) {
		return ratio.Timed(func() error {
			r, err := client.ListPayments(ctx, &lnrpc.ListPaymentsRequest{})
			if err == nil && len(r.Payments) != ownPayments {
				err = fmt.Errorf("the account lists %d payments, not %d", len(r.Payments), ownPayments)
			}
			return err
		})
	}, nil
}
