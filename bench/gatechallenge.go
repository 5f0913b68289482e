package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/l402"
)

// challenges measures requests that are not paid for.
func (b *gateBench) challenges(ctx context.Context, rounds int) error {
	if err := b.returning(ctx, rounds); err != nil {
		return err
	}
	for _, callers := range []int{16, 32} {
		if err := b.firstTime(ctx, rounds, callers); err != nil {
			return err
		}
	}
	return nil
}

// returning measures clients that get the challenge that they have had.
func (b *gateBench) returning(ctx context.Context, rounds int) error {
	requests := make([][]byte, gateConns)
	for i := range requests {
		request, err := unpaid(nil)
		if err != nil {
			return err
		}
		requests[i] = request
	}
	l := load{addr: b.addr, conns: gateConns, status: http.StatusPaymentRequired,
		request: func(conn int, buf []byte) []byte { return append(buf, requests[conn]...) }}
	plain := load{addr: b.backend.addr, conns: gateConns, status: http.StatusOK, request: l.request}
	var rates, tails, plainTails []float64
	for range rounds {
		p, err := plain.during(ctx, gateTime)
		if err != nil {
			return err
		}
		f, err := l.during(ctx, gateTime)
		if err != nil {
			return err
		}
		rates, tails = append(rates, f.rate()), append(tails, f.tail())
		plainTails = append(plainTails, p.tail())
	}
	printMedian("challenges to returning clients: a second", "at least 6000", rates)
	printMedian("likewise: p99 beside p50", "at most 5, or what the machine itself has", tails)
	printMedian("the backend alone, as many clients: p99 beside p50", "none", plainTails)
	return nil
}

// unpaid appends a request of a client that has never been here.
func unpaid(buf []byte) ([]byte, error) {
	nonce, err := l402.NewClientNonce(rand.Reader)
	if err != nil {
		return nil, err
	}
	return getData(buf, l402.HeaderClient, nonce.String()), nil
}

// firstTime compares challenges to clients that come for the first time with
// invoices that lnd is asked for directly, by as many callers.
func (b *gateBench) firstTime(ctx context.Context, rounds, callers int) error {
	l := load{addr: b.addr, conns: callers, status: http.StatusPaymentRequired, request: func(_ int, buf []byte) []byte {
		buf, err := unpaid(buf)
		if err != nil {
			panic(err) // no randomness: crypto/rand ends the program before
		}
		return buf
	}}
	bare, err := b.seller().DialLnd(b.seller().AdminMacaroon)
	if err != nil {
		return err
	}
	defer bare.Close()
	var ratios, frontRatios, tails []float64
	for range rounds {
		invoices, err := invoiceRate(ctx, bare, callers)
		if err != nil {
			return err
		}
		front, err := invoiceRate(ctx, b.seller().Conn(), callers)
		if err != nil {
			return err
		}
		f, err := l.during(ctx, gateTime)
		if err != nil {
			return err
		}
		fmt.Printf("  round: %.0f challenges a second (p50 %.1f ms, p99 %.1f ms), %.0f invoices at lnd's socket, %.0f through the front\n",
			f.rate(), float64(f.p50)/1e6, float64(f.p99)/1e6, invoices, front)
		ratios, tails = append(ratios, f.rate()/invoices), append(tails, f.tail())
		frontRatios = append(frontRatios, f.rate()/front)
	}
	printMedian(fmt.Sprintf("challenges to new clients by %d callers, beside AddInvoice at lnd's socket: rate", callers),
		"at least 0.8", ratios)
	printMedian("likewise, beside AddInvoice through the front, which is the gate's own way: rate", "none", frontRatios)
	printMedian("likewise: p99 beside p50", "at most 5", tails)
	return nil
}

// invoiceRate is how many invoices a second a node makes for as many callers.
func invoiceRate(ctx context.Context, conn *grpc.ClientConn, callers int) (float64, error) {
	client := lnrpc.NewLightningClient(conn)
	var made atomic.Int64
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range callers {
		g.Go(func() error {
			for time.Since(start) < gateTime {
				if _, err := client.AddInvoice(ctx, &lnrpc.Invoice{Value: price, Memo: "data", Expiry: 3600}); err != nil {
					return err
				}
				made.Add(1)
			}
			return nil
		})
	}
	err := g.Wait()
	return float64(made.Load()) / time.Since(start).Seconds(), err
}
