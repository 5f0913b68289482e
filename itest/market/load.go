package market

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
)

const (
	maxPrice = 300 // sat
	feeLimit = 10  // sat
	credit   = 7   // sat

	payersPerAccount = 3
)

// Load is what goes on until it is stopped. Errors are part of it: what counts is
// what the books say afterwards.
type Load struct {
	m      *Market
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// StartLoad has every account pay and be paid, several times at once; seed is of
// what is random about it.
func (m *Market) StartLoad(ctx context.Context, seed uint64) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{m: m, cancel: cancel}
	worker := uint64(0)
	start := func(work func(context.Context, *mathrand.Rand)) {
		worker++
		rng := mathrand.New(mathrand.NewPCG(seed, worker))
		l.all.Go(func() {
			for ctx.Err() == nil {
				work(ctx, rng)
			}
		})
	}
	for i, a := range m.accounts {
		other := m.accounts[(i+1)%len(m.accounts)]
		for range payersPerAccount {
			start(func(ctx context.Context, rng *mathrand.Rand) { l.buy(ctx, rng, a, other) })
		}
		start(func(ctx context.Context, rng *mathrand.Rand) { l.buyHeld(ctx, rng, a) })
		start(func(ctx context.Context, rng *mathrand.Rand) { l.sell(ctx, rng, a) })
		start(func(ctx context.Context, rng *mathrand.Rand) { l.transfer(ctx, rng, a, other) })
	}
	start(func(ctx context.Context, rng *mathrand.Rand) {
		l.credit(ctx, m.accounts[rng.IntN(len(m.accounts))])
		_ = pause(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
	})
	return l
}

// Stop ends the load and waits for all of it.
func (l *Load) Stop() {
	l.cancel()
	l.all.Wait()
}

// buy pays an invoice of the seller: as it should be, twice at once, from two
// accounts at once, or hanging up in the middle.
func (l *Load) buy(ctx context.Context, rng *mathrand.Rand, a, other *account) {
	inv, err := l.m.Seller().Lightning().AddInvoice(ctx, &lnrpc.Invoice{Value: 1 + rng.Int64N(maxPrice)})
	if err != nil {
		return
	}
	var payers sync.WaitGroup
	pay := func(a *account, patience time.Duration) {
		payers.Go(func() { l.pay(ctx, a, inv.PaymentRequest, patience) })
	}
	switch rng.IntN(8) {
	case 0:
		pay(a, time.Minute)
		pay(a, time.Minute)
	case 1:
		pay(a, time.Minute)
		pay(other, time.Minute)
	case 2:
		pay(a, time.Duration(rng.IntN(80))*time.Millisecond)
		payers.Wait()
		pay(a, time.Minute)
	default:
		pay(a, time.Minute)
	}
	payers.Wait()
	_ = pause(ctx, time.Duration(rng.IntN(40))*time.Millisecond)
}

// pay sends one payment and counts how it ended for the client.
func (l *Load) pay(ctx context.Context, a *account, invoice string, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := a.router.SendPaymentV2(ctx, &routerrpc.SendPaymentRequest{
		PaymentRequest: invoice, TimeoutSeconds: 30, FeeLimitSat: feeLimit,
	})
	for err == nil {
		var p *lnrpc.Payment
		if p, err = stream.Recv(); err == nil && p.Status == lnrpc.Payment_SUCCEEDED {
			l.m.outcome.saw(p.PaymentHash)
			return
		}
		if err == nil && p.Status == lnrpc.Payment_FAILED {
			l.m.outcome.add(&l.m.outcome.failed)
			_ = pause(ctx, 200*time.Millisecond) // while the channel is away
			return
		}
	}
	l.m.outcome.add(&l.m.outcome.refused)
	_ = pause(ctx, 100*time.Millisecond) // while the node is away
}

// buyHeld pays an invoice that the seller holds for a while, then settles or
// cancels.
func (l *Load) buyHeld(ctx context.Context, rng *mathrand.Rand, a *account) {
	var preimage [32]byte
	rand.Read(preimage[:])
	hash := sha256.Sum256(preimage[:])
	inv, err := l.m.sellerInvoices().AddHoldInvoice(ctx, &invoicesrpc.AddHoldInvoiceRequest{
		Hash: hash[:], Value: 1 + rng.Int64N(maxPrice),
	})
	if err != nil {
		return
	}
	l.m.hold(hash, true)
	var decided sync.WaitGroup
	decided.Go(func() {
		if pause(ctx, time.Duration(rng.IntN(4000))*time.Millisecond) != nil {
			return
		}
		var err error
		if preimage[0]%4 == 0 {
			_, err = l.m.sellerInvoices().CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: hash[:]})
		} else {
			_, err = l.m.sellerInvoices().SettleInvoice(ctx, &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]})
		}
		if err == nil {
			l.m.hold(hash, false)
		}
	})
	l.pay(ctx, a, inv.PaymentRequest, time.Minute)
	decided.Wait()
}

// hold notes that a hold invoice waits for its decision, or does no more.
func (m *Market) hold(hash [32]byte, waits bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if waits {
		m.holding[hash] = struct{}{}
	} else {
		delete(m.holding, hash)
	}
}

// sell has the account make an invoice, which the middle node pays.
func (l *Load) sell(ctx context.Context, rng *mathrand.Rand, a *account) {
	inv, err := a.ln.AddInvoice(ctx, &lnrpc.Invoice{Value: 1 + rng.Int64N(maxPrice)})
	if err != nil {
		_ = pause(ctx, 50*time.Millisecond)
		return
	}
	l.payFromMiddle(ctx, inv.PaymentRequest)
	_ = pause(ctx, time.Duration(rng.IntN(200))*time.Millisecond)
}

func (l *Load) payFromMiddle(ctx context.Context, invoice string) {
	router := routerrpc.NewRouterClient(l.m.Middle().Conn())
	stream, err := router.SendPaymentV2(ctx, &routerrpc.SendPaymentRequest{
		PaymentRequest: invoice, TimeoutSeconds: 30, FeeLimitSat: feeLimit, NoInflightUpdates: true,
	})
	if err == nil {
		_, _ = stream.Recv() // either way: the books tell
	}
}

// transfer has one account pay an invoice of another of its node: as it should
// be, twice at once, while it is canceled, or while the middle node pays it too.
func (l *Load) transfer(ctx context.Context, rng *mathrand.Rand, from, to *account) {
	inv, err := to.ln.AddInvoice(ctx, &lnrpc.Invoice{Value: 1 + rng.Int64N(maxPrice)})
	if err != nil {
		_ = pause(ctx, 50*time.Millisecond)
		return
	}
	var all sync.WaitGroup
	all.Go(func() { l.pay(ctx, from, inv.PaymentRequest, time.Minute) })
	switch rng.IntN(8) {
	case 0:
		all.Go(func() { l.pay(ctx, from, inv.PaymentRequest, time.Minute) })
	case 1:
		_, _ = to.invoices.CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: inv.RHash})
	case 2:
		all.Go(func() { l.payFromMiddle(ctx, inv.PaymentRequest) })
	}
	all.Wait()
	_ = pause(ctx, time.Duration(rng.IntN(40))*time.Millisecond)
}

// credit has the operator add to the account.
func (l *Load) credit(ctx context.Context, a *account) {
	a.credits.mu.Lock()
	a.credits.asked++
	a.credits.mu.Unlock()
	// The command is not cut short with the load: cut after it was done, it
	// would count as not confirmed.
	err := l.m.command(context.WithoutCancel(ctx), nil, "accounts", "credit", a.id, fmt.Sprint(credit))
	if err != nil {
		return
	}
	a.credits.mu.Lock()
	defer a.credits.mu.Unlock()
	a.credits.confirmed++
}
