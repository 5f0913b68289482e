package account_test

import (
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
)

// sold makes an open invoice of the account's; amount 0 leaves it to the payer.
func sold(t testing.TB, l *account.Ledger, of account.ID, n int, amount lnwire.MilliSatoshi) lntypes.Hash {
	t.Helper()
	preimage := preimageOf(n)
	must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: of, Hash: hashOf(n), Preimage: &preimage, Amount: amount}))(t)
	must(l.InvoiceMade(t.Context(), hashOf(n), uint64(n), []byte("made")))(t)
	return hashOf(n)
}

func TestTransferLife(t *testing.T) {
	l := open(t, newWall())
	payer := newAccount(t, l, 10_000, policy.Limits{Day: 5_000})
	seller := newAccount(t, l, 0, policy.Limits{})
	hash := sold(t, l, seller.ID, 1, 4_000)
	p := must(l.Transfer(t.Context(), agent, spend(payer.ID, 1, 4_000, 500)))(t)
	if !p.Transfer || p.State != account.StateOpen || p.Reserved != 4_000 || p.MaxFee != 0 {
		t.Errorf("reserved %+v", p)
	}
	wantBalance(t, l, payer.ID, 10_000, 4_000)

	// lnd says by now that it is canceled; that is the transfer's doing.
	i := must(l.InvoiceCanceled(t.Context(), hash, []byte("canceled")))(t)
	if i.State != account.StateOpen || string(i.Last) != "made" {
		t.Errorf("a pending transfer's invoice became %+v", i)
	}
	_, err := l.Remove(t.Context(), operator, seller.ID)
	wantCode(t, err, account.CodeInFlight)
	_, err = l.Settle(t.Context(), p.ID, account.Outcome{Paid: 4_000})
	wantCode(t, err, account.CodeNotFound)
	_, err = l.Raise(t.Context(), agent, p.ID, 1, 0)
	wantCode(t, err, account.CodeNotFound)
	wantClean(t, l)

	for range 2 {
		p, i, err := l.SettleTransfer(t.Context(), p.ID, account.Transferred{Final: []byte("final"), Last: []byte("last")})
		if err != nil || p.State != account.StateSucceeded || p.Paid != 4_000 || p.Fee != 0 || p.Preimage != preimageOf(1) || string(p.Final) != "final" {
			t.Errorf("paid %+v, %v", p, err)
		}
		if i.State != account.StateSettled || i.Received != 4_000 || i.SettleIndex != 1 || string(i.Last) != "last" {
			t.Errorf("received %+v", i)
		}
		wantBalance(t, l, payer.ID, 6_000, 0)
		wantBalance(t, l, seller.ID, 4_000, 0)
	}
	must(l.InvoiceCanceled(t.Context(), hash, nil))(t)
	must(l.Release(t.Context(), p.ID, account.StateFailed, account.Outcome{}))(t)
	wantBalance(t, l, seller.ID, 4_000, 0)

	// It counts in the windows, as any payment does.
	sold(t, l, seller.ID, 2, 1_001)
	_, err = l.Transfer(t.Context(), agent, spend(payer.ID, 2, 1_001, 0))
	if reasonOf(err) != string(policy.LimitDay) {
		t.Errorf("got %v", err)
	}
	wantClean(t, l)
}

func TestTransferRefused(t *testing.T) {
	w := newWall()
	l := open(t, w)
	payer := newAccount(t, l, 10_000, policy.Limits{MaxPayment: 9_000})
	picky := newAccount(t, l, 10_000, policy.Limits{DenyPayees: []policy.PubKey{payee}})
	frozen := newAccount(t, l, 10_000, policy.Limits{})
	yes := true
	must(l.Update(t.Context(), operator, frozen.ID, account.Change{Frozen: &yes}))(t)
	seller := newAccount(t, l, 0, policy.Limits{})
	poor := newAccount(t, l, 999, policy.Limits{})
	gone := newAccount(t, l, 0, policy.Limits{})
	sold(t, l, seller.ID, 1, 1_000)
	sold(t, l, seller.ID, 2, 0)
	sold(t, l, payer.ID, 3, 1_000)
	sold(t, l, seller.ID, 4, 1_000)
	must(l.InvoiceCanceled(t.Context(), hashOf(4), nil))(t)
	sold(t, l, seller.ID, 5, 1_000)
	must(l.InvoiceSettled(t.Context(), hashOf(5), 5, 1_000, preimageOf(5), nil))(t)
	must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: seller.ID, Hash: hashOf(6), Amount: 1_000}))(t)
	must(l.InvoiceMade(t.Context(), hashOf(6), 6, nil))(t)
	preimage := preimageOf(7)
	must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: seller.ID, Hash: hashOf(7), Preimage: &preimage, Amount: 1_000}))(t)
	sold(t, l, gone.ID, 8, 1_000)
	must(l.Remove(t.Context(), operator, gone.ID))(t)
	sold(t, l, seller.ID, 9, 20_000)
	sold(t, l, seller.ID, 10, 1_000)
	must(l.Reserve(t.Context(), agent, spend(payer.ID, 10, 1_000, 0)))(t)

	for name, c := range map[string]struct {
		by     account.ID
		n      int
		amount lnwire.MilliSatoshi
		reason string
	}{
		"ok/amount":             {payer.ID, 1, 1_000, ""},
		"ok/amount left open":   {payer.ID, 2, 1_234, ""},
		"fail/too little":       {payer.ID, 1, 999, account.CodeBadAmount},
		"fail/too much":         {payer.ID, 1, 1_001, account.CodeBadAmount},
		"fail/nothing":          {payer.ID, 2, 0, account.CodeBadAmount},
		"fail/more than exists": {payer.ID, 2, policy.MaxAmount + 1, account.CodeBadAmount},
		"fail/its own":          {payer.ID, 3, 1_000, account.CodeSameNode},
		"fail/canceled":         {payer.ID, 4, 1_000, account.CodeCanceled},
		"fail/settled":          {payer.ID, 5, 1_000, account.CodeAlreadyPaid},
		"fail/hold invoice":     {payer.ID, 6, 1_000, account.CodeSameNode},
		"fail/not made yet":     {payer.ID, 7, 1_000, account.CodeCanceled},
		"fail/removed payee":    {payer.ID, 8, 1_000, account.CodeCanceled},
		"fail/limit":            {payer.ID, 9, 20_000, string(policy.LimitPayment)},
		"fail/balance":          {poor.ID, 1, 1_000, string(policy.Balance)},
		"fail/payee denied":     {picky.ID, 1, 1_000, string(policy.PayeeDenied)},
		"fail/frozen":           {frozen.ID, 1, 1_000, account.CodeFrozen},
		"fail/in flight":        {payer.ID, 10, 1_000, account.CodeInFlight},
		"fail/nobody's":         {payer.ID, 99, 1_000, account.CodeSameNode},
		"fail/removed payer":    {gone.ID, 1, 1_000, account.CodeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := l.Transfer(t.Context(), agent, spend(c.by, c.n, c.amount, 0))
			if reasonOf(err) != c.reason {
				t.Fatalf("got %v, want %q", err, c.reason)
			}
			if err == nil {
				must(l.Release(t.Context(), p.ID, account.StateVoid, account.Outcome{}))(t)
				_, _, err := l.SettleTransfer(t.Context(), p.ID, account.Transferred{})
				wantCode(t, err, account.CodeNotFound)
			}
		})
	}
	wantClean(t, l)
}

// TestTransferOvertaken: the invoice is paid over Lightning while a transfer to
// it is pending. It is credited once.
func TestTransferOvertaken(t *testing.T) {
	l := open(t, newWall())
	payer, seller := newAccount(t, l, 10_000, policy.Limits{}), newAccount(t, l, 0, policy.Limits{})
	hash := sold(t, l, seller.ID, 1, 1_000)
	p := must(l.Transfer(t.Context(), agent, spend(payer.ID, 1, 1_000, 0)))(t)
	must(l.InvoiceSettled(t.Context(), hash, 1, 1_000, preimageOf(1), nil))(t)
	_, _, err := l.SettleTransfer(t.Context(), p.ID, account.Transferred{})
	wantCode(t, err, account.CodeAlreadyPaid)
	must(l.Release(t.Context(), p.ID, account.StateFailed, account.Outcome{}))(t)
	wantBalance(t, l, payer.ID, 10_000, 0)
	wantBalance(t, l, seller.ID, 1_000, 0)
	wantClean(t, l)
}

// TestTransfersRace: of many who pay one invoice at once, one does.
func TestTransfersRace(t *testing.T) {
	l := open(t, newWall())
	seller := newAccount(t, l, 0, policy.Limits{})
	sold(t, l, seller.ID, 1, 1_000)
	var paid atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		payer := newAccount(t, l, 1_000, policy.Limits{})
		all.Go(func() {
			p, err := l.Transfer(t.Context(), agent, spend(payer.ID, 1, 1_000, 0))
			if err == nil {
				_, _, err = l.SettleTransfer(t.Context(), p.ID, account.Transferred{})
				paid.Add(1)
			}
			if code := fault.Code(err); err != nil && code != account.CodeInFlight && code != account.CodeAlreadyPaid {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if paid.Load() != 1 {
		t.Errorf("%d paid", paid.Load())
	}
	wantBalance(t, l, seller.ID, 1_000, 0)
	wantClean(t, l)
}

// TestCheckFindsFalseTransfers writes past the program.
func TestCheckFindsFalseTransfers(t *testing.T) {
	for name, c := range map[string]struct{ statement, want string }{
		"ok/nothing":            {"SELECT 1", ""},
		"fail/own invoice":      {"UPDATE invoices SET account = 3 WHERE settle_n > 0", "the payer's own"},
		"fail/other invoice":    {"UPDATE payments SET invoice = 2 WHERE state = 'succeeded'", "another hash"},
		"fail/not received":     {"UPDATE invoices SET received_msat = 7 WHERE settle_n > 0", "received 7 msat"},
		"fail/with a fee":       {"UPDATE payments SET amount_msat = 1999, fee_limit_msat = 1 WHERE state = 'open'", "of 1999 msat, open"},
		"fail/no transfer":      {"UPDATE payments SET invoice = NULL WHERE state = 'succeeded'", "not against the book of the node"},
		"fail/canceled":         {"UPDATE invoices SET state = 'canceled', resolved_ms = 1, resolve_seq = 1 WHERE state = 'open'", "is canceled"},
		"fail/from nowhere":     {"UPDATE entries SET amount_msat = -9 WHERE book = 0 AND amount_msat < 0", "the book of transfers holds"},
		"fail/from the node":    {"UPDATE entries SET book = 1 WHERE book = 0", "not against the book of transfers"},
		"fail/no invoice there": {"UPDATE payments SET invoice = 77 WHERE state = 'open'", "row of invoices that is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "guard.db")
			l := openAt(t, path, newWall())
			payer, seller := newAccount(t, l, 10_000, policy.Limits{}), newAccount(t, l, 0, policy.Limits{})
			sold(t, l, seller.ID, 1, 1_000)
			sold(t, l, seller.ID, 2, 2_000)
			p := must(l.Transfer(t.Context(), agent, spend(payer.ID, 1, 1_000, 0)))(t)
			if _, _, err := l.SettleTransfer(t.Context(), p.ID, account.Transferred{}); err != nil {
				t.Fatal(err)
			}
			must(l.Transfer(t.Context(), agent, spend(payer.ID, 2, 2_000, 0)))(t)
			wantClean(t, l)
			db := raw(t, path)
			kept := triggersOf(t, path)
			for trigger := range kept {
				run(t, db, "DROP TRIGGER "+trigger)
			}
			run(t, db, c.statement)
			for _, statement := range kept {
				run(t, db, statement)
			}
			faults := strings.Join(must(l.Check(t.Context()))(t).Faults, "\n")
			if !strings.Contains(faults, c.want) || (c.want == "") != (faults == "") {
				t.Errorf("faults:\n%s\nwant %q", faults, c.want)
			}
		})
	}
}

// TestTransferOutlivesReopening: what is pending stays so, reserved and not
// canceled.
func TestTransferOutlivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.db")
	w := newWall()
	l := openAt(t, path, w)
	payer, seller := newAccount(t, l, 10_000, policy.Limits{}), newAccount(t, l, 0, policy.Limits{})
	hash := sold(t, l, seller.ID, 1, 1_000)
	must(l.Transfer(t.Context(), agent, spend(payer.ID, 1, 1_000, 0)))(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w.add(time.Hour)
	l = openAt(t, path, w)
	must(l.InvoiceCanceled(t.Context(), hash, nil))(t)
	open := must(l.OpenPayments(t.Context(), nil))(t)
	if len(open) != 1 || !open[0].Transfer {
		t.Fatalf("open: %+v", open)
	}
	if _, _, err := l.SettleTransfer(t.Context(), open[0].ID, account.Transferred{}); err != nil {
		t.Fatal(err)
	}
	wantBalance(t, l, payer.ID, 9_000, 0)
	wantBalance(t, l, seller.ID, 1_000, 0)
	wantClean(t, l)
}
