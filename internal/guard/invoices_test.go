package guard

import (
	"context"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
)

var errLost = status.Error(codes.Unavailable, "the connection broke")

func (b *invoiceBench) add(t *testing.T, c *accountCall, req *lnrpc.Invoice) *lnrpc.AddInvoiceResponse {
	t.Helper()
	resp, err := addInvoice(t.Context(), c, req)
	require.NoError(t, err)
	return resp
}

func (b *invoiceBench) state(t *testing.T, hash []byte) account.State {
	t.Helper()
	row, err := b.opts.Ledger.InvoiceByHash(t.Context(), lntypes.Hash(hash))
	if fault.Code(err) == account.CodeNotFound {
		return account.StateVoid
	}
	require.NoError(t, err)
	return row.State
}

func TestAddInvoice(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	other := b.call(t, lnd, policy.Limits{})
	b.add(t, other, &lnrpc.Invoice{Value: 1})
	c := b.call(t, lnd, policy.Limits{})
	made := b.add(t, c, &lnrpc.Invoice{Value: 1, Memo: "coffee"})
	require.EqualValues(t, 1, made.AddIndex, "the account's own number")

	seen, err := lookupInvoice(t.Context(), c, &lnrpc.PaymentHash{RHash: made.RHash})
	require.NoError(t, err)
	require.Equal(t, "coffee", seen.Memo)
	require.EqualValues(t, 1, seen.AddIndex)

	b.lnd.pay(made.RHash, 1500)
	for range 2 {
		seen, err = lookupInvoice(t.Context(), c, &lnrpc.PaymentHash{RHash: made.RHash})
		require.NoError(t, err)
		require.Equal(t, lnrpc.Invoice_SETTLED, seen.State)
		require.EqualValues(t, 1, seen.SettleIndex)
		require.Zero(t, seen.Htlcs[0].ChanId, "the node's channel is not shown")
		require.Equal(t, 1500, b.balance(t, c), "what was really received, once")
	}
	require.Zero(t, b.balance(t, other))
}

func TestAddInvoiceThatLndRefuses(t *testing.T) {
	b := newInvoiceBench(t)
	c := b.call(t, b.attachment(t, "a"), policy.Limits{})
	preimage, hash := newPreimage()
	refused := status.Error(codes.Unknown, "CLTV delta of 1 must be greater")

	b.lnd.fail(&b.lnd.before, "AddInvoice", refused)
	_, err := addInvoice(t.Context(), c, &lnrpc.Invoice{RPreimage: preimage[:]})
	require.Equal(t, refused.Error(), err.Error(), "lnd's own word")
	require.Equal(t, account.StateVoid, b.state(t, hash[:]))

	b.lnd.heal()
	b.add(t, c, &lnrpc.Invoice{RPreimage: preimage[:]})
	require.Equal(t, account.StateOpen, b.state(t, hash[:]), "the hash was free again")
}

// TestAddInvoiceOfAnothersHash: whoever had the hash first keeps it, and nobody
// is told who that is.
func TestAddInvoiceOfAnothersHash(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c, other := b.call(t, lnd, policy.Limits{}), b.call(t, lnd, policy.Limits{})
	ofOperator, operators := newPreimage()
	ofOther, others := newPreimage()
	require.NoError(t, b.lnd.turn("", func() error {
		return b.lnd.add(&lnrpc.Invoice{RHash: operators[:], RPreimage: ofOperator[:]})
	}))
	b.add(t, other, &lnrpc.Invoice{RPreimage: ofOther[:]})

	var texts []string
	for _, preimage := range []lntypes.Preimage{ofOperator, ofOther} {
		_, err := addInvoice(t.Context(), c, &lnrpc.Invoice{RPreimage: preimage[:]})
		requireReason(t, err, "hash_taken")
		texts = append(texts, err.Error())
		hash := preimage.Hash()
		_, err = addHoldInvoice(t.Context(), c, &invoicesrpc.AddHoldInvoiceRequest{Hash: hash[:]})
		requireReason(t, err, "hash_taken")
		texts = append(texts, err.Error())
	}
	b.lnd.mu.Lock() // as if lnd had collected it: the ledger alone knows
	forgotten := b.lnd.byHash[others]
	delete(b.lnd.byHash, others)
	b.lnd.mu.Unlock()
	_, err := addInvoice(t.Context(), c, &lnrpc.Invoice{RPreimage: ofOther[:]})
	requireReason(t, err, "hash_taken")
	texts = append(texts, err.Error())
	require.NoError(t, b.lnd.turn("", func() error { b.lnd.byHash[others] = forgotten; return nil }))
	for _, text := range texts {
		require.Equal(t, texts[0], text)
	}
	b.lnd.pay(operators[:], 5000)
	b.lnd.pay(others[:], 7000)
	require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
	require.Zero(t, b.balance(t, c))
	require.Equal(t, 7000, b.balance(t, other))
}

// TestAddInvoiceRace: an operator makes the invoice between the guard's look-up
// and the account's own request.
func TestAddInvoiceRace(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	_, hash := newPreimage()
	b.lnd.before = func(method string) error {
		if method == "AddHoldInvoice" {
			b.lnd.mu.Lock()
			defer b.lnd.mu.Unlock()
			b.lnd.byHash[hash] = &lnrpc.Invoice{RHash: hash[:], AddIndex: 9, RPreimage: random32()}
		}
		return nil
	}
	_, err := addHoldInvoice(t.Context(), c, &invoicesrpc.AddHoldInvoiceRequest{Hash: hash[:]})
	requireReason(t, err, "hash_taken")
	require.Equal(t, account.StateVoid, b.state(t, hash[:]))
	b.lnd.pay(hash[:], 5000)
	require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
	require.Zero(t, b.balance(t, c))
}

func TestAddInvoiceLimits(t *testing.T) {
	b := newInvoiceBench(t)
	c := b.call(t, b.attachment(t, "a"), policy.Limits{OpenInvoices: 2, MaxInvoice: 5000})
	_, err := addInvoice(t.Context(), c, &lnrpc.Invoice{Value: 6})
	requireReason(t, err, "limit_invoice")
	for name, req := range map[string]*lnrpc.Invoice{
		"private": {Private: true, Value: 1}, "blinded": {IsBlinded: true, Value: 1},
	} {
		_, err = addInvoice(t.Context(), c, req)
		requireReason(t, err, "private_denied")
		require.Empty(t, b.lnd.byHash, name)
	}
	first := b.add(t, c, &lnrpc.Invoice{Value: 1})
	b.add(t, c, &lnrpc.Invoice{Value: 1})
	_, err = addInvoice(t.Context(), c, &lnrpc.Invoice{Value: 1})
	requireReason(t, err, "limit_open_invoices")
	_, err = cancelInvoice(t.Context(), c, &invoicesrpc.CancelInvoiceMsg{PaymentHash: first.RHash})
	require.NoError(t, err)
	b.add(t, c, &lnrpc.Invoice{Value: 1})
}

// TestAddInvoiceLostAnswer: the connection breaks around the request. Whatever
// lnd did, the account owns what there is and is credited for it.
func TestAddInvoiceLostAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		lost  func(b *invoiceBench)
		later account.State
	}{
		"lnd had made it":         {func(b *invoiceBench) { b.lnd.fail(&b.lnd.after, "AddInvoice", errLost) }, account.StateOpen},
		"lnd had not seen it":     {func(b *invoiceBench) { b.lnd.fail(&b.lnd.before, "AddInvoice", errLost) }, account.StateVoid},
		"the look-up was lost":    {func(b *invoiceBench) { b.lnd.fail(&b.lnd.before, "LookupInvoice", errLost) }, account.StateOpen},
		"the ledger was not told": {func(b *invoiceBench) {}, account.StateOpen},
	} {
		t.Run(name, func(t *testing.T) {
			b := newInvoiceBench(t)
			lnd := b.attachment(t, "a")
			c := b.call(t, lnd, policy.Limits{})
			test.lost(b)
			mend := func() {}
			if name == "the ledger was not told" {
				mend = b.breakLedger(t, account.StateOpen)
			}
			// An answer that breaks off: no trailer tells that lnd ended the call.
			ctx, cancel := context.WithCancel(t.Context())
			_, err := c.makeInvoiceBroken(ctx, t)
			cancel()
			require.Error(t, err)
			rows, err := b.opts.Ledger.OpenInvoices(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, rows, 1)
			require.Equal(t, account.StatePending, rows[0].State)
			b.lnd.heal()
			mend()

			require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
			if test.later == account.StateVoid {
				require.Equal(t, account.StatePending, b.state(t, rows[0].Hash[:]), "it may still come")
			}
			require.NoError(t, b.reconcileInvoices(t.Context(), b.attachment(t, "b")))
			require.Equal(t, test.later, b.state(t, rows[0].Hash[:]))
			if test.later == account.StateOpen {
				b.lnd.pay(rows[0].Hash[:], 3000)
				require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
				require.Equal(t, 3000, b.balance(t, c))
			}
		})
	}
}

// makeInvoiceBroken is AddInvoice over a connection that does not say who ended
// a call, as a broken one does not.
func (c *accountCall) makeInvoiceBroken(ctx context.Context, t *testing.T) (account.Invoice, error) {
	terms, asked, err := parseAddInvoice(&lnrpc.Invoice{Value: 3})
	require.NoError(t, err)
	return c.makeInvoice(ctx, terms, func(ctx context.Context) (uint64, error) {
		made, err := c.lnd.lightning.AddInvoice(context.WithoutCancel(t.Context()), asked)
		return made.GetAddIndex(), err
	})
}

func TestAddInvoiceOutlivesRun(t *testing.T) {
	b := newInvoiceBench(t)
	now := time.Now()
	b.opts.Now = func() time.Time { return now }
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	b.lnd.fail(&b.lnd.before, "AddInvoice", errLost)
	_, err := c.makeInvoiceBroken(t.Context(), t)
	require.Error(t, err)
	b.lnd.heal()
	rows, err := b.opts.Ledger.OpenInvoices(t.Context(), nil)
	require.NoError(t, err)

	later := b.attachment(t, "b")
	later.MayOutlive = true
	require.NoError(t, b.reconcileInvoices(t.Context(), later))
	require.Equal(t, account.StatePending, b.state(t, rows[0].Hash[:]))
	now = now.Add(forgottenAfter + time.Minute)
	require.NoError(t, b.reconcileInvoices(t.Context(), later))
	require.Equal(t, account.StateVoid, b.state(t, rows[0].Hash[:]))
}

// cutContext is cut for good once its condition was seen to hold.
type cutContext struct {
	context.Context
	when func() bool
	cut  bool
}

func (c *cutContext) Err() error {
	c.cut = c.cut || c.when()
	if c.cut {
		return context.Canceled
	}
	return nil
}

// TestAddInvoiceCut: the call is cut between the ledger's entry and lnd.
func TestAddInvoiceCut(t *testing.T) {
	b := newInvoiceBench(t)
	c := b.call(t, b.attachment(t, "a"), policy.Limits{})
	preimage, hash := newPreimage()
	owned := func() bool { return b.state(t, hash[:]) == account.StatePending }
	_, err := addInvoice(&cutContext{Context: t.Context(), when: owned}, c, &lnrpc.Invoice{RPreimage: preimage[:]})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, account.StateVoid, b.state(t, hash[:]))
	require.Empty(t, b.lnd.byHash)
}

// TestForeignInvoices: another's invoice and none are the same to an account.
func TestForeignInvoices(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c, other := b.call(t, lnd, policy.Limits{}), b.call(t, lnd, policy.Limits{})
	preimage, hash := newPreimage()
	others := b.add(t, other, &lnrpc.Invoice{RPreimage: preimage[:]})
	nonePreimage, none := newPreimage()

	for name, ask := range map[string]func(preimage lntypes.Preimage, hash lntypes.Hash, addr []byte) error{
		"LookupInvoice": func(_ lntypes.Preimage, hash lntypes.Hash, _ []byte) error {
			_, err := lookupInvoice(t.Context(), c, &lnrpc.PaymentHash{RHash: hash[:]})
			return err
		},
		"LookupInvoice by text": func(_ lntypes.Preimage, hash lntypes.Hash, _ []byte) error {
			//lint:ignore SA1019 lnd still reads it
			_, err := lookupInvoice(t.Context(), c, &lnrpc.PaymentHash{RHashStr: hash.String()})
			return err
		},
		"LookupInvoiceV2": func(_ lntypes.Preimage, hash lntypes.Hash, _ []byte) error {
			_, err := lookupInvoiceV2(t.Context(), c, &invoicesrpc.LookupInvoiceMsg{
				InvoiceRef: &invoicesrpc.LookupInvoiceMsg_PaymentHash{PaymentHash: hash[:]}})
			return err
		},
		"LookupInvoiceV2 by address": func(_ lntypes.Preimage, _ lntypes.Hash, addr []byte) error {
			_, err := lookupInvoiceV2(t.Context(), c, &invoicesrpc.LookupInvoiceMsg{
				InvoiceRef: &invoicesrpc.LookupInvoiceMsg_PaymentAddr{PaymentAddr: addr}})
			return err
		},
		"SettleInvoice": func(preimage lntypes.Preimage, _ lntypes.Hash, _ []byte) error {
			_, err := settleInvoice(t.Context(), c, &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]})
			return err
		},
		"CancelInvoice": func(_ lntypes.Preimage, hash lntypes.Hash, _ []byte) error {
			_, err := cancelInvoice(t.Context(), c, &invoicesrpc.CancelInvoiceMsg{PaymentHash: hash[:]})
			return err
		},
	} {
		theirs, nobodys := ask(preimage, hash, others.PaymentAddr), ask(nonePreimage, none, random32())
		require.Error(t, theirs, name)
		require.Equal(t, status.Code(nobodys), status.Code(theirs), name)
		require.Equal(t, nobodys.Error(), theirs.Error(), name)
	}
	require.Equal(t, account.StateOpen, b.state(t, hash[:]))
	list, err := listInvoices(t.Context(), c, new(lnrpc.ListInvoiceRequest))
	require.NoError(t, err)
	require.Empty(t, list.Invoices)
}

func TestHoldInvoice(t *testing.T) {
	b := newInvoiceBench(t)
	c := b.call(t, b.attachment(t, "a"), policy.Limits{})
	preimage, hash := newPreimage()
	settle := func() error {
		_, err := settleInvoice(t.Context(), c, &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]})
		return err
	}
	cancel := func(hash lntypes.Hash) error {
		_, err := cancelInvoice(t.Context(), c, &invoicesrpc.CancelInvoiceMsg{PaymentHash: hash[:]})
		return err
	}
	_, err := addHoldInvoice(t.Context(), c, &invoicesrpc.AddHoldInvoiceRequest{Hash: hash[:], Value: 2})
	require.NoError(t, err)
	require.ErrorContains(t, settle(), "invoice still open")
	b.lnd.pay(hash[:], 2000)
	list, err := listInvoices(t.Context(), c, &lnrpc.ListInvoiceRequest{PendingOnly: true})
	require.NoError(t, err)
	require.Equal(t, lnrpc.Invoice_ACCEPTED, list.Invoices[0].State)
	require.Zero(t, b.balance(t, c), "nothing before it is settled")
	require.NoError(t, settle())
	require.NoError(t, settle(), "as with lnd")
	require.Equal(t, 2000, b.balance(t, c))
	require.ErrorContains(t, cancel(hash), "invoice already settled")

	_, second := newPreimage()
	_, err = addHoldInvoice(t.Context(), c, &invoicesrpc.AddHoldInvoiceRequest{Hash: second[:], Value: 2})
	require.NoError(t, err)
	b.lnd.pay(second[:], 2000)
	require.NoError(t, cancel(second))
	require.NoError(t, cancel(second), "as with lnd")
	require.Equal(t, account.StateCanceled, b.state(t, second[:]))
	require.Equal(t, 2000, b.balance(t, c))
}

// TestSettleWhileLedgerFails: the client hears of no settlement before it is
// credited, and may ask again.
func TestSettleWhileLedgerFails(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	preimage, hash := newPreimage()
	_, err := addHoldInvoice(t.Context(), c, &invoicesrpc.AddHoldInvoiceRequest{Hash: hash[:], Value: 2})
	require.NoError(t, err)
	b.lnd.pay(hash[:], 2000)

	mend := b.breakLedger(t, account.StateSettled)
	_, err = settleInvoice(t.Context(), c, &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]})
	requireReason(t, err, "ledger_unavailable")
	_, err = lookupInvoice(t.Context(), c, &lnrpc.PaymentHash{RHash: hash[:]})
	requireReason(t, err, "ledger_unavailable")
	require.Error(t, b.reconcileInvoices(t.Context(), lnd), "accounts are not served")
	require.Zero(t, b.balance(t, c))
	mend()
	_, err = settleInvoice(t.Context(), c, &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]})
	require.NoError(t, err)
	require.Equal(t, 2000, b.balance(t, c))
}

func TestListInvoices(t *testing.T) {
	b := newInvoiceBench(t)
	c := b.call(t, b.attachment(t, "a"), policy.Limits{})
	var hashes [][]byte
	for range 5 {
		hashes = append(hashes, b.add(t, c, &lnrpc.Invoice{Value: 1}).RHash)
	}
	_, err := cancelInvoice(t.Context(), c, &invoicesrpc.CancelInvoiceMsg{PaymentHash: hashes[1]})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		req         *lnrpc.ListInvoiceRequest
		indices     []uint64
		first, last uint64
	}{
		"ok/all":            {&lnrpc.ListInvoiceRequest{}, []uint64{1, 2, 3, 4, 5}, 1, 5},
		"ok/pending":        {&lnrpc.ListInvoiceRequest{PendingOnly: true}, []uint64{1, 3, 4, 5}, 1, 5},
		"ok/page":           {&lnrpc.ListInvoiceRequest{IndexOffset: 1, NumMaxInvoices: 2}, []uint64{2, 3}, 2, 3},
		"ok/reversed":       {&lnrpc.ListInvoiceRequest{Reversed: true, NumMaxInvoices: 2}, []uint64{4, 5}, 4, 5},
		"ok/reversed on":    {&lnrpc.ListInvoiceRequest{Reversed: true, NumMaxInvoices: 2, IndexOffset: 4}, []uint64{2, 3}, 2, 3},
		"ok/beyond":         {&lnrpc.ListInvoiceRequest{IndexOffset: 5}, nil, 0, 0},
		"ok/huge":           {&lnrpc.ListInvoiceRequest{IndexOffset: 1 << 63}, nil, 0, 0},
		"ok/huge page":      {&lnrpc.ListInvoiceRequest{NumMaxInvoices: 1<<64 - 1}, []uint64{1, 2, 3, 4, 5}, 1, 5},
		"ok/before":         {&lnrpc.ListInvoiceRequest{CreationDateEnd: 1000}, nil, 0, 0},
		"ok/until for ever": {&lnrpc.ListInvoiceRequest{CreationDateEnd: 1<<64 - 1}, []uint64{1, 2, 3, 4, 5}, 1, 5},
		"ok/from later on":  {&lnrpc.ListInvoiceRequest{CreationDateStart: 1<<64 - 1}, nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := listInvoices(t.Context(), c, test.req)
			require.NoError(t, err)
			var indices []uint64
			for _, inv := range list.Invoices {
				indices = append(indices, inv.AddIndex)
			}
			require.Equal(t, test.indices, indices)
			require.Equal(t, test.first, list.FirstIndexOffset)
			require.Equal(t, test.last, list.LastIndexOffset)
		})
	}
	_, err = listInvoices(t.Context(), c, &lnrpc.ListInvoiceRequest{CreationDateStart: 2, CreationDateEnd: 1})
	requireReason(t, err, "bad_request")
}

func TestInvoicePage(t *testing.T) {
	for asked, got := range map[uint64]uint64{0: 100, 1: 1, 10_000: 10_000, 10_001: 10_000, 1<<64 - 1: 10_000} {
		page, err := invoicePage(&lnrpc.ListInvoiceRequest{NumMaxInvoices: asked})
		require.NoError(t, err)
		require.Equal(t, got, page.Max)
	}
}

// TestExpiredInvoice: lnd cancels what has expired, and may forget it.
func TestExpiredInvoice(t *testing.T) {
	b := newInvoiceBench(t)
	now := time.Now()
	b.opts.Now = func() time.Time { return now }
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	made := b.add(t, c, &lnrpc.Invoice{Value: 1, Expiry: 60})
	now = now.Add(2 * time.Minute)
	b.lnd.mu.Lock()
	delete(b.lnd.byHash, lntypes.Hash(made.RHash))
	b.lnd.mu.Unlock()
	list, err := listInvoices(t.Context(), c, new(lnrpc.ListInvoiceRequest))
	require.NoError(t, err)
	require.Equal(t, lnrpc.Invoice_CANCELED, list.Invoices[0].State)
	require.EqualValues(t, 1000, list.Invoices[0].ValueMsat)
	require.Equal(t, account.StateCanceled, b.state(t, made.RHash))
}

// TestInvoicesOfFrozenAccount: a frozen account makes no invoice; those it has
// are credited, settled and cancelled.
func TestInvoicesOfFrozenAccount(t *testing.T) {
	b := newInvoiceBench(t)
	lnd := b.attachment(t, "a")
	c := b.call(t, lnd, policy.Limits{})
	plain := b.add(t, c, &lnrpc.Invoice{Value: 1})
	preimage, hash := newPreimage()
	_, other := newPreimage()
	for _, hash := range []lntypes.Hash{hash, other} {
		_, err := addHoldInvoice(t.Context(), c, &invoicesrpc.AddHoldInvoiceRequest{Hash: hash[:], Value: 2})
		require.NoError(t, err)
	}
	frozen := true
	_, err := b.opts.Ledger.Update(t.Context(), c.by, c.account.ID, account.Change{Frozen: &frozen})
	require.NoError(t, err)

	_, err = addInvoice(t.Context(), c, &lnrpc.Invoice{Value: 1})
	requireReason(t, err, "frozen")
	b.lnd.pay(plain.RHash, 1000)
	b.lnd.pay(hash[:], 2000)
	require.NoError(t, b.reconcileInvoices(t.Context(), lnd))
	require.Equal(t, 1000, b.balance(t, c))
	_, err = settleInvoice(t.Context(), c, &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]})
	require.NoError(t, err)
	require.Equal(t, 3000, b.balance(t, c))
	_, err = cancelInvoice(t.Context(), c, &invoicesrpc.CancelInvoiceMsg{PaymentHash: other[:]})
	require.NoError(t, err)
}
