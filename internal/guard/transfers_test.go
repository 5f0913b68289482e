package guard

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/zpay32"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// transferBench is a payer and a seller of one node, with 1,000 msat each.
type transferBench struct {
	*invoiceBench
	payer, seller *accountCall
}

func newTransferBench(t *testing.T) *transferBench {
	t.Helper()
	b := &transferBench{invoiceBench: newInvoiceBench(t)}
	b.lnd.sign = func(inv *lnrpc.Invoice) string { return requestFor(t, nodeKey, inv) }
	lnd := b.attach(t, "run")
	b.payer, b.seller = b.call(t, lnd, policy.Limits{}), b.call(t, lnd, policy.Limits{})
	return b
}

// requestFor signs the payment request of an invoice.
func requestFor(t testing.TB, key *btcec.PrivateKey, inv *lnrpc.Invoice) string {
	options := []func(*zpay32.Invoice){
		zpay32.Description(inv.Memo), zpay32.PaymentAddr([32]byte(inv.PaymentAddr)), zpay32.CLTVExpiry(40),
		zpay32.Expiry(time.Hour),
	}
	if inv.ValueMsat != 0 {
		options = append(options, zpay32.Amount(lnwire.MilliSatoshi(inv.ValueMsat)))
	}
	made, err := zpay32.NewInvoice(&chaincfg.RegressionNetParams, lntypes.Hash(inv.RHash), time.Now(), options...)
	require.NoError(t, err)
	text, err := made.Encode(zpay32.MessageSigner{SignCompact: func(msg []byte) ([]byte, error) {
		return ecdsa.SignCompact(key, chainhash.HashB(msg), true), nil
	}})
	require.NoError(t, err)
	return text
}

// attach attaches to a run of lnd.
func (b *transferBench) attach(t *testing.T, run string) *attachment {
	t.Helper()
	lnd := b.attachment(t, run)
	lnd.params, lnd.identity = &chaincfg.RegressionNetParams, hex.EncodeToString(pubOf(nodeKey))
	t.Cleanup(func() { lnd.end(errors.New("the test is over")) })
	return lnd
}

// restart attaches to lnd anew, as after a crash, and looks after what is open.
func (b *transferBench) restart(t *testing.T) {
	t.Helper()
	lnd := b.attach(t, "another run")
	b.payer.lnd, b.seller.lnd = lnd, lnd
	require.NoError(t, b.reconcilePayments(t.Context(), lnd))
	require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
}

// sell makes an invoice of the seller's.
func (b *transferBench) sell(t *testing.T, msat int64) *lnrpc.AddInvoiceResponse {
	t.Helper()
	made, err := addInvoice(t.Context(), b.seller, &lnrpc.Invoice{ValueMsat: msat, Memo: "tea"})
	require.NoError(t, err)
	return made
}

// pay pays as the payer and returns what it saw last.
func (b *transferBench) pay(t *testing.T, req *routerrpc.SendPaymentRequest) (last *lnrpc.Payment, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = sendPayment(ctx, b.payer, req, func(m proto.Message) error { last = m.(*lnrpc.Payment); return nil })
	return last, err
}

func invoice(request string) *routerrpc.SendPaymentRequest {
	return &routerrpc.SendPaymentRequest{PaymentRequest: request}
}

// reserve makes the first step of a transfer, as if the guard had died then.
func (b *transferBench) reserve(t *testing.T, made *lnrpc.AddInvoiceResponse, msat int64) account.Payment {
	t.Helper()
	p, err := b.opts.Ledger.Transfer(t.Context(), b.payer.by, account.Spend{
		Account: b.payer.account.ID, Hash: lntypes.Hash(made.RHash), Amount: lnwire.MilliSatoshi(msat), Run: "run",
		PaymentRequest: made.PaymentRequest,
	})
	require.NoError(t, err)
	return p
}

// expect compares both balances with the 1,000 msat of the beginning, and has
// the books checked.
func (b *transferBench) expect(t *testing.T, payer, seller, reserved int) {
	t.Helper()
	b.expectMoney(t, payer, seller, reserved)
	report, err := b.opts.Ledger.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, report.Faults)
}

func (b *transferBench) atLnd(made *lnrpc.AddInvoiceResponse) *lnrpc.Invoice {
	b.lnd.mu.Lock()
	defer b.lnd.mu.Unlock()
	inv := b.lnd.byHash[lntypes.Hash(made.RHash)]
	if inv == nil {
		return nil
	}
	return copyOf(inv)
}

// shown returns what both sides see: the payer's payment and the seller's
// invoice.
func (b *transferBench) shown(t *testing.T, made *lnrpc.AddInvoiceResponse) (p *lnrpc.Payment, inv *lnrpc.Invoice) {
	t.Helper()
	err := trackPayment(t.Context(), b.payer, &routerrpc.TrackPaymentRequest{PaymentHash: made.RHash},
		func(m proto.Message) error { p = m.(*lnrpc.Payment); return nil })
	require.NoError(t, err)
	return p, b.invoiceShown(t, made)
}

// wantDone: both sides see it settled, with the true preimage, whichever way
// they ask.
func (b *transferBench) wantDone(t *testing.T, made *lnrpc.AddInvoiceResponse, msat int64) {
	t.Helper()
	p, inv := b.shown(t, made)
	require.Equal(t, lnrpc.Payment_SUCCEEDED, p.Status)
	require.Equal(t, msat, p.ValueMsat)
	require.Zero(t, p.FeeMsat)
	require.Equal(t, hex.EncodeToString(inv.RPreimage), p.PaymentPreimage)
	preimage := lntypes.Preimage(inv.RPreimage)
	hash := preimage.Hash()
	require.Equal(t, made.RHash, hash[:])
	require.Equal(t, msat, p.Htlcs[0].Route.TotalAmtMsat)
	require.Equal(t, lnrpc.Invoice_SETTLED, inv.State)
	require.Equal(t, msat, inv.AmtPaidMsat)
	require.NotZero(t, inv.SettleDate)
	require.Equal(t, made.PaymentRequest, inv.PaymentRequest)

	payments, err := listPayments(t.Context(), b.payer, new(lnrpc.ListPaymentsRequest))
	require.NoError(t, err)
	require.True(t, proto.Equal(p, payments.Payments[len(payments.Payments)-1]))
	invoices, err := listInvoices(t.Context(), b.seller, new(lnrpc.ListInvoiceRequest))
	require.NoError(t, err)
	require.True(t, proto.Equal(inv, invoices.Invoices[len(invoices.Invoices)-1]))
	_, err = cancelInvoice(t.Context(), b.seller, &invoicesrpc.CancelInvoiceMsg{PaymentHash: made.RHash})
	require.Equal(t, "invoice already settled", status.Convert(err).Message())
	again := invoice(made.PaymentRequest)
	if inv.ValueMsat == 0 {
		again.AmtMsat = msat
	}
	_, err = b.pay(t, again)
	require.Equal(t, account.CodeAlreadyPaid, reasonOf(t, refusal(err)))
}

func TestTransfer(t *testing.T) {
	b := newTransferBench(t)
	updates, all := make(chan *lnrpc.Invoice, 10), make(chan *lnrpc.Invoice, 10)
	made := b.sell(t, 600)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go subscribeSingleInvoice(ctx, b.seller, &invoicesrpc.SubscribeSingleInvoiceRequest{RHash: made.RHash},
		func(m proto.Message) error { updates <- m.(*lnrpc.Invoice); return nil })
	go subscribeInvoices(ctx, b.seller, &lnrpc.InvoiceSubscription{AddIndex: 1},
		func(m proto.Message) error { all <- m.(*lnrpc.Invoice); return nil })
	require.Equal(t, lnrpc.Invoice_OPEN, (<-updates).State)

	paid, err := b.pay(t, invoice(strings.ToUpper(made.PaymentRequest)))
	require.NoError(t, err)
	require.Equal(t, lnrpc.Payment_SUCCEEDED, paid.Status)
	require.Equal(t, lnrpc.Invoice_SETTLED, (<-updates).State, "not canceled, which lnd says")
	require.Equal(t, lnrpc.Invoice_SETTLED, (<-all).State)
	require.Equal(t, lnrpc.Invoice_CANCELED, b.atLnd(made).State)
	b.expect(t, -600, 600, 0)
	b.wantDone(t, made, 600)
	_, err = settleInvoice(t.Context(), b.seller, &invoicesrpc.SettleInvoiceMsg{Preimage: paid.Htlcs[0].Preimage})
	require.NoError(t, err)

	open := b.sell(t, 0)
	_, err = b.pay(t, &routerrpc.SendPaymentRequest{PaymentRequest: open.PaymentRequest, AmtMsat: 150, FeeLimitMsat: 900})
	require.NoError(t, err)
	b.restart(t)
	b.expect(t, -750, 750, 0)
	b.wantDone(t, open, 150)

	// lnd forgets what was canceled.
	b.lnd.mu.Lock()
	clear(b.lnd.byHash)
	b.lnd.mu.Unlock()
	b.restart(t)
	b.wantDone(t, open, 150)
	byAddr := &invoicesrpc.LookupInvoiceMsg{InvoiceRef: &invoicesrpc.LookupInvoiceMsg_PaymentAddr{PaymentAddr: made.PaymentAddr}}
	found, err := lookupInvoiceV2(t.Context(), b.seller, byAddr)
	require.NoError(t, err)
	require.Equal(t, lnrpc.Invoice_SETTLED, found.State)
	_, err = lookupInvoiceV2(t.Context(), b.payer, byAddr)
	require.Equal(t, codes.NotFound, status.Code(err), "another's invoice")
}

func TestTransferRefused(t *testing.T) {
	b := newTransferBench(t)
	made := b.sell(t, 600)
	byHash := func(inv *lnrpc.Invoice, key *btcec.PrivateKey) string { return requestFor(t, key, inv) }
	own, err := addInvoice(t.Context(), b.payer, &lnrpc.Invoice{ValueMsat: 5})
	require.NoError(t, err)
	_, foreign := newPreimage()
	hold, err := addHoldInvoice(t.Context(), b.seller, &invoicesrpc.AddHoldInvoiceRequest{Hash: foreign[:], ValueMsat: 5})
	require.NoError(t, err)
	canceled, expired := b.sell(t, 5), b.sell(t, 5)
	_, err = cancelInvoice(t.Context(), b.seller, &invoicesrpc.CancelInvoiceMsg{PaymentHash: canceled.RHash})
	require.NoError(t, err)
	b.lnd.byHash[lntypes.Hash(expired.RHash)].State = lnrpc.Invoice_CANCELED // the ledger has not heard
	partly, settled := b.sell(t, 5), b.sell(t, 5)
	b.lnd.byHash[lntypes.Hash(partly.RHash)].Htlcs = []*lnrpc.InvoiceHTLC{{State: lnrpc.InvoiceHTLCState_ACCEPTED, AmtMsat: 2}}
	b.lnd.pay(settled.RHash, 5)
	_, unknown := newPreimage()
	operators := &lnrpc.Invoice{RHash: unknown[:], ValueMsat: 5, PaymentAddr: random32()}
	cheap := &lnrpc.Invoice{RHash: made.RHash, ValueMsat: 1, PaymentAddr: made.PaymentAddr}

	for name, c := range map[string]struct {
		req    *routerrpc.SendPaymentRequest
		reason string
	}{
		"fail/its own":            {invoice(own.PaymentRequest), "same_node"},
		"fail/hold invoice":       {invoice(hold.PaymentRequest), "same_node"},
		"fail/the operator's":     {invoice(byHash(operators, nodeKey)), "same_node"},
		"fail/made cheaper":       {invoice(byHash(cheap, nodeKey)), "same_node"},
		"fail/made by the payer":  {invoice(byHash(cheap, payeeKey)), "same_node"},
		"fail/by its hash":        {direct(func(r *routerrpc.SendPaymentRequest) { r.PaymentHash = made.RHash }), "same_node"},
		"fail/to the node":        {direct(func(r *routerrpc.SendPaymentRequest) { r.Dest, r.PaymentHash = pubOf(nodeKey), made.RHash }), "same_node"},
		"fail/amount again":       {&routerrpc.SendPaymentRequest{PaymentRequest: made.PaymentRequest, AmtMsat: 700}, "bad_request"},
		"fail/with records":       {&routerrpc.SendPaymentRequest{PaymentRequest: made.PaymentRequest, DestCustomRecords: map[uint64][]byte{70000: {1}}}, "bad_request"},
		"fail/canceled":           {invoice(canceled.PaymentRequest), "invoice_canceled"},
		"fail/canceled by lnd":    {invoice(expired.PaymentRequest), "invoice_canceled"},
		"fail/a part accepted":    {invoice(partly.PaymentRequest), "payment_in_flight"},
		"fail/settled, not heard": {invoice(settled.PaymentRequest), "already_paid"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.pay(t, c.req)
			require.Equal(t, c.reason, reasonOf(t, refusal(err)))
		})
	}
	require.Equal(t, lnrpc.Invoice_OPEN, b.atLnd(made).State)
	require.Equal(t, lnrpc.Invoice_OPEN, b.atLnd(partly).State)
	inv := b.invoiceShown(t, expired)
	require.Equal(t, lnrpc.Invoice_CANCELED, inv.State)
	b.expect(t, 0, 5, 0) // what lnd received

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sendPayment(ctx, b.payer, invoice(made.PaymentRequest), nil), context.Canceled)
	b.expect(t, 0, 5, 0)
	b.restart(t)
	b.expect(t, 0, 5, 0)
	_, err = b.pay(t, invoice(made.PaymentRequest))
	require.NoError(t, err)
	b.expect(t, -600, 605, 0)
}

// invoiceShown is what the seller sees of its invoice.
func (b *transferBench) invoiceShown(t *testing.T, made *lnrpc.AddInvoiceResponse) *lnrpc.Invoice {
	t.Helper()
	inv, err := lookupInvoice(t.Context(), b.seller, &lnrpc.PaymentHash{RHash: made.RHash})
	require.NoError(t, err)
	return inv
}

// TestTransferAfterCrash dies after each step; what lnd then says decides.
func TestTransferAfterCrash(t *testing.T) {
	for name, c := range map[string]struct {
		atLnd         func(*lnrpc.Invoice, *invoiceLnd)
		payer, seller int
		state         lnrpc.Payment_PaymentStatus
	}{
		"ok/reserved":  {func(*lnrpc.Invoice, *invoiceLnd) {}, -600, 600, lnrpc.Payment_SUCCEEDED},
		"ok/canceled":  {func(inv *lnrpc.Invoice, _ *invoiceLnd) { inv.State = lnrpc.Invoice_CANCELED }, -600, 600, lnrpc.Payment_SUCCEEDED},
		"ok/forgotten": {func(inv *lnrpc.Invoice, l *invoiceLnd) { delete(l.byHash, lntypes.Hash(inv.RHash)) }, -600, 600, lnrpc.Payment_SUCCEEDED},
		"ok/forgotten and another": {func(inv *lnrpc.Invoice, l *invoiceLnd) {
			inv.PaymentAddr, inv.AddIndex, inv.State = random32(), 99, lnrpc.Invoice_SETTLED
		}, -600, 600, lnrpc.Payment_SUCCEEDED},
		"fail/paid over Lightning": {func(inv *lnrpc.Invoice, _ *invoiceLnd) {
			inv.State, inv.AmtPaidMsat = lnrpc.Invoice_SETTLED, 700
		}, 0, 700, lnrpc.Payment_FAILED},
		"fail/being paid": {func(inv *lnrpc.Invoice, _ *invoiceLnd) {
			inv.Htlcs = []*lnrpc.InvoiceHTLC{{State: lnrpc.InvoiceHTLCState_ACCEPTED}}
		}, 0, 0, lnrpc.Payment_FAILED},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTransferBench(t)
			made := b.sell(t, 600)
			b.reserve(t, made, 600)
			b.expect(t, 0, 0, 600)
			b.lnd.mu.Lock()
			c.atLnd(b.lnd.byHash[lntypes.Hash(made.RHash)], b.lnd)
			b.lnd.mu.Unlock()

			// Until it is decided the seller sees it open, and cannot cancel it.
			if atLnd := b.atLnd(made); gone(atLnd) {
				require.NoError(t, b.reconcileInvoices(t.Context(), b.seller.lnd))
				inv := b.invoiceShown(t, made)
				require.Equal(t, lnrpc.Invoice_OPEN, inv.State)
				if atLnd != nil {
					_, err := cancelInvoice(t.Context(), b.seller, &invoicesrpc.CancelInvoiceMsg{PaymentHash: made.RHash})
					require.Equal(t, account.CodeInFlight, reasonOf(t, err))
				}
			}
			_, err := b.pay(t, invoice(made.PaymentRequest))
			require.Equal(t, account.CodeInFlight, reasonOf(t, refusal(err)))

			b.restart(t)
			b.expect(t, c.payer, c.seller, 0)
			p, inv := b.shown(t, made)
			require.Equal(t, c.state, p.Status)
			require.Equal(t, c.seller > 0, inv.State == lnrpc.Invoice_SETTLED)
			if c.state == lnrpc.Payment_SUCCEEDED {
				b.wantDone(t, made, 600)
			}
			b.restart(t)
			b.expect(t, c.payer, c.seller, 0)
		})
	}
}

// TestTransferInterrupted breaks each step while a client waits.
func TestTransferInterrupted(t *testing.T) {
	unavailable := status.Error(codes.Internal, "broken by the test")

	t.Run("lookup", func(t *testing.T) {
		b := newTransferBench(t)
		made := b.sell(t, 600)
		b.lnd.fail(&b.lnd.before, "LookupInvoice", unavailable)
		_, err := b.pay(t, invoice(made.PaymentRequest))
		require.Equal(t, "lnd_down", reasonOf(t, err))
		b.expect(t, 0, 0, 0)
		b.lnd.heal()
		_, err = b.pay(t, invoice(made.PaymentRequest))
		require.NoError(t, err)
		b.expect(t, -600, 600, 0)
	})

	t.Run("cancel refused", func(t *testing.T) {
		b := newTransferBench(t)
		made := b.sell(t, 600)
		b.lnd.fail(&b.lnd.before, "CancelInvoice", unavailable)
		_, err := b.pay(t, invoice(made.PaymentRequest))
		require.Equal(t, "transfer_failed", reasonOf(t, err))
		b.expect(t, 0, 0, 0)
	})

	t.Run("cancel done and refused", func(t *testing.T) {
		b := newTransferBench(t)
		made := b.sell(t, 600)
		b.lnd.fail(&b.lnd.after, "CancelInvoice", unavailable)
		_, err := b.pay(t, invoice(made.PaymentRequest))
		require.NoError(t, err)
		b.expect(t, -600, 600, 0)
	})

	t.Run("paid instead of canceled", func(t *testing.T) {
		b := newTransferBench(t)
		made := b.sell(t, 600)
		b.lnd.mu.Lock()
		b.lnd.before = func(method string) error {
			if method == "CancelInvoice" {
				b.lnd.pay(made.RHash, 600)
			}
			return nil
		}
		b.lnd.mu.Unlock()
		_, err := b.pay(t, invoice(made.PaymentRequest))
		require.Equal(t, account.CodeAlreadyPaid, reasonOf(t, err))
		b.expect(t, 0, 600, 0)
	})

	t.Run("released meanwhile", func(t *testing.T) {
		b := newTransferBench(t)
		made := b.sell(t, 600)
		b.lnd.mu.Lock()
		b.lnd.before = func(method string) error {
			if method == "CancelInvoice" {
				p, err := b.opts.Ledger.OpenByHash(t.Context(), lntypes.Hash(made.RHash))
				if err == nil {
					_, err = b.opts.Ledger.Release(t.Context(), p.ID, account.StateFailed, account.Outcome{})
				}
				return err
			}
			return nil
		}
		b.lnd.mu.Unlock()
		_, err := b.pay(t, invoice(made.PaymentRequest))
		require.Equal(t, account.CodeCanceled, reasonOf(t, err))
		require.Empty(t, b.payments.unsaved)
		require.Equal(t, lnrpc.Invoice_CANCELED, b.invoiceShown(t, made).State)
		b.expect(t, 0, 0, 0)
	})

	for _, when := range []string{"before", "after"} {
		t.Run("connection lost "+when+" cancel", func(t *testing.T) {
			b := newTransferBench(t)
			made := b.sell(t, 600)
			first := b.payer.lnd
			lost := func(method string) error {
				if method == "CancelInvoice" {
					first.cancel(errors.New("lost"))
					<-first.ctx.Done()
				}
				return nil
			}
			b.lnd.mu.Lock()
			if when == "before" {
				b.lnd.before = func(method string) error {
					if err := lost(method); method == "CancelInvoice" || err != nil {
						return unavailable
					}
					return nil
				}
			} else {
				b.lnd.after = lost
			}
			b.lnd.mu.Unlock()
			_, err := b.pay(t, invoice(made.PaymentRequest))
			require.Contains(t, []string{"starting", "payment_unresolved"}, reasonOf(t, err))
			b.payer.lnd.end(nil)
			b.expect(t, 0, 0, 600)
			b.lnd.heal()
			b.restart(t)
			b.expect(t, -600, 600, 0)
			b.wantDone(t, made, 600)
		})
	}

	t.Run("ledger", func(t *testing.T) {
		b := newTransferBench(t)
		made := b.sell(t, 600)
		mend := b.breakLedger(t, account.StateSettled)
		_, err := b.pay(t, invoice(made.PaymentRequest))
		require.Equal(t, "payment_unresolved", reasonOf(t, err))
		b.expectMoney(t, 0, 0, 600)
		require.NoError(t, b.reconcileInvoices(t.Context(), b.seller.lnd))
		mend()
		require.NoError(t, b.payments.saveAgain(t.Context()))
		b.expect(t, -600, 600, 0)
		b.wantDone(t, made, 600)
	})

	t.Run("ledger, and the guard", func(t *testing.T) {
		b := newTransferBench(t)
		made := b.sell(t, 600)
		mend := b.breakLedger(t, account.StateSettled)
		_, err := b.pay(t, invoice(made.PaymentRequest))
		require.Equal(t, "payment_unresolved", reasonOf(t, err))
		mend()
		b.payments.unsaved = nil
		b.restart(t)
		b.expect(t, -600, 600, 0)
		b.wantDone(t, made, 600)
	})

	t.Run("client hangs up", func(t *testing.T) {
		b := newTransferBench(t)
		made := b.sell(t, 600)
		ctx, cancel := context.WithCancel(t.Context())
		b.lnd.mu.Lock()
		b.lnd.before = func(method string) error {
			if method == "CancelInvoice" {
				cancel()
			}
			return nil
		}
		b.lnd.mu.Unlock()
		err := sendPayment(ctx, b.payer, invoice(made.PaymentRequest), func(proto.Message) error { return nil })
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		b.payments.taking.lock(lntypes.Hash(made.RHash))() // it goes on without
		b.expect(t, -600, 600, 0)
		b.wantDone(t, made, 600)
	})
}

// expectMoney is expect for a ledger that the test has put a trigger into.
func (b *transferBench) expectMoney(t *testing.T, payer, seller, reserved int) {
	t.Helper()
	a, err := b.opts.Ledger.Get(t.Context(), b.payer.account.ID)
	require.NoError(t, err)
	require.Equal(t, []int{payer, seller, reserved},
		[]int{b.balance(t, b.payer), b.balance(t, b.seller), int(a.Reserved)}, "payer, seller, reserved")
}

// TestTransferAndCancelRace: whoever is first, and nobody in between.
func TestTransferAndCancelRace(t *testing.T) {
	b := newTransferBench(t)
	seller := 0
	for range 40 {
		made := b.sell(t, 10)
		canceled := make(chan error, 1)
		go func() {
			_, err := cancelInvoice(context.Background(), b.seller, &invoicesrpc.CancelInvoiceMsg{PaymentHash: made.RHash})
			canceled <- err
		}()
		_, paid := b.pay(t, invoice(made.PaymentRequest))
		if err := <-canceled; (err == nil) == (paid == nil) {
			t.Fatalf("canceled: %v, paid: %v", err, paid)
		}
		inv := b.invoiceShown(t, made)
		require.Equal(t, paid == nil, inv.State == lnrpc.Invoice_SETTLED)
		if paid == nil {
			seller += 10
		}
		b.expect(t, -seller, seller, 0)
	}
}
