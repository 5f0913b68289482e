package account_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store"
)

func wantReason(t testing.TB, err error, reason string) {
	t.Helper()
	if got := reasonOf(err); got != reason {
		t.Errorf("reason %q (%v), want %q", got, err, reason)
	}
}

func TestAmounts(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 1_000_000, policy.Limits{})
	most := policy.MaxAmount
	for name, c := range map[string]struct{ amount, fee lnwire.MilliSatoshi }{
		"fail/nothing":        {0, 10},
		"fail/too much":       {most + 1, 0},
		"fail/fee":            {1, most + 1},
		"fail/together":       {most, 1},
		"fail/overflow":       {1, ^lnwire.MilliSatoshi(0)},
		"fail/both overflow":  {1 << 63, 1 << 63},
		"fail/negative as 64": {^lnwire.MilliSatoshi(0) - 999, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.Reserve(t.Context(), agent, spend(a.ID, 1, c.amount, c.fee))
			wantCode(t, err, account.CodeBadAmount)
			p := must(l.Reserve(t.Context(), agent, spend(a.ID, 2, 1000, 0)))(t)
			_, err = l.Raise(t.Context(), agent, p.ID, c.amount, c.fee)
			wantCode(t, err, account.CodeBadAmount)
			must(l.Release(t.Context(), p.ID, account.StateVoid, account.Outcome{}))(t)
		})
	}
	_, err := l.Reserve(t.Context(), agent, spend(a.ID, 1, most, 0))
	wantReason(t, err, string(policy.Balance))
	_, err = l.Create(t.Context(), operator, account.New{Balance: most})
	wantCode(t, err, account.CodeBadAmount)
	_, err = l.Credit(t.Context(), operator, a.ID, most, "")
	wantCode(t, err, account.CodeBadAmount)
	_, err = l.Credit(t.Context(), operator, a.ID, 0, "")
	wantCode(t, err, account.CodeBadAmount)
	wantBalance(t, l, a.ID, 1_000_000, 0)
	wantClean(t, l)
}

func TestLabels(t *testing.T) {
	l := open(t, newWall())
	first := must(l.Create(t.Context(), operator, account.New{Label: "till 1"}))(t)
	for name, label := range map[string]string{
		"fail/taken":       "till 1",
		"fail/an id":       "0123456789abcdef",
		"fail/an id, caps": "0123456789ABCDEF",
		"fail/long":        strings.Repeat("ü", 65),
		"fail/newline":     "a\nb",
		"fail/no text":     "a\xffb",
		"fail/direction":   "a\u202eb",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.Create(t.Context(), operator, account.New{Label: label})
			wantCode(t, err, account.CodeLabel)
		})
	}
	must(l.Create(t.Context(), operator, account.New{Label: strings.Repeat("ü", 64)}))(t)
	if found := must(l.Find(t.Context(), "till 1"))(t); found.ID != first.ID {
		t.Errorf("found %s", found.ID)
	}
	if found := must(l.Find(t.Context(), first.ID.String()))(t); found.Label != "till 1" {
		t.Errorf("found %q", found.Label)
	}
	must(l.Remove(t.Context(), operator, first.ID))(t)
	_, err := l.Find(t.Context(), first.ID.String())
	wantCode(t, err, account.CodeUnknown)
	_, err = l.Find(t.Context(), "")
	wantCode(t, err, account.CodeUnknown)
	must(l.Create(t.Context(), operator, account.New{Label: "till 1"}))(t)
	if gone := must(l.Get(t.Context(), first.ID))(t); !gone.Removed {
		t.Error("a removed account is not marked")
	}
	if retired := must(l.Retired(t.Context()))(t); len(retired) != 1 || retired[0].ID != first.ID {
		t.Errorf("retired: %+v", retired)
	}
}

func TestKeysCountOnce(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 0, policy.Limits{})
	for range 3 {
		must(l.Credit(t.Context(), operator, a.ID, 500, "monday"))(t)
		must(l.Debit(t.Context(), operator, a.ID, 200, "monday"))(t)
	}
	wantBalance(t, l, a.ID, 300, 0)
	_, err := l.Credit(t.Context(), operator, a.ID, 501, "monday")
	wantCode(t, err, account.CodeKeyReused)
	wantBalance(t, l, a.ID, 300, 0)
	wantClean(t, l)
}

func TestBalanceOfUpdate(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 10_000, policy.Limits{})
	must(l.Reserve(t.Context(), agent, spend(a.ID, 1, 4000, 0)))(t)
	low, enough := lnwire.MilliSatoshi(3999), lnwire.MilliSatoshi(4000)
	_, err := l.Update(t.Context(), operator, a.ID, account.Change{Balance: &low})
	wantCode(t, err, account.CodeReserved)
	a = must(l.Update(t.Context(), operator, a.ID, account.Change{Balance: &enough}))(t)
	if a.Balance != 4000 || a.Available() != 0 {
		t.Errorf("account %+v", a)
	}
	_, err = l.Debit(t.Context(), operator, a.ID, 1, "")
	wantCode(t, err, account.CodeReserved)
	_, err = l.Remove(t.Context(), operator, a.ID)
	wantCode(t, err, account.CodeInFlight)
	wantClean(t, l)
}

func TestRaiseIsJudgedAsOnePayment(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 10_000, policy.Limits{MaxPayment: 9_000, Day: 9_500, InFlight: 1, MaxPayments: 1, Per: time.Hour})
	p := must(l.Reserve(t.Context(), agent, spend(a.ID, 1, 4000, 0)))(t)
	p = must(l.Raise(t.Context(), agent, p.ID, 4000, 100))(t)
	if p.Amount != 8000 || p.MaxFee != 100 || p.Reserved != 8100 {
		t.Errorf("raised to %+v", p)
	}
	_, err := l.Raise(t.Context(), agent, p.ID, 1001, 0)
	wantReason(t, err, string(policy.LimitPayment))
	_, err = l.Raise(t.Context(), agent, p.ID, 900, 501)
	wantReason(t, err, string(policy.LimitDay))
	wantBalance(t, l, a.ID, 10_000, 8100)
	must(l.Settle(t.Context(), p.ID, account.Outcome{Paid: 8050, Fee: 50}))(t)
	_, err = l.Raise(t.Context(), agent, p.ID, 1, 0)
	wantCode(t, err, account.CodeNotFound)
	wantClean(t, l)
}

func TestFees(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 1_000_000, policy.Limits{MaxFee: 50})
	if p := must(l.Reserve(t.Context(), agent, spend(a.ID, 1, 1000, 400)))(t); p.MaxFee != 50 {
		t.Errorf("fee limit %d, want 50", p.MaxFee)
	}
	exact := spend(a.ID, 2, 1000, 400)
	exact.ExactFee = true
	_, err := l.Reserve(t.Context(), agent, exact)
	wantReason(t, err, string(policy.LimitFee))
}

func TestWindows(t *testing.T) {
	w := newWall()
	l := open(t, w)
	a := newAccount(t, l, 1_000_000, policy.Limits{Hour: 1000})
	pay := func(n int, amount lnwire.MilliSatoshi) error {
		p, err := l.Reserve(t.Context(), agent, spend(a.ID, n, amount, 0))
		if err == nil {
			_, err = l.Settle(t.Context(), p.ID, account.Outcome{Paid: amount})
		}
		return err
	}
	for n := range 10 { // all in one millisecond
		wantReason(t, pay(n, 100), "")
	}
	wantReason(t, pay(10, 1), string(policy.LimitHour))
	w.add(time.Hour - time.Millisecond)
	wantReason(t, pay(11, 1), string(policy.LimitHour))
	w.add(time.Millisecond)
	wantReason(t, pay(12, 1000), "")
	w.add(-30 * 24 * time.Hour)
	wantReason(t, pay(13, 1), string(policy.LimitHour))
	w.add(30*24*time.Hour + time.Hour)
	wantReason(t, pay(14, 1000), "")
	wantClean(t, l)
}

func TestExpiryAndFreeze(t *testing.T) {
	w := newWall()
	l := open(t, w)
	a := must(l.Create(t.Context(), operator, account.New{Balance: 10_000, Expires: w.now().Add(time.Hour)}))(t)
	try := func(n int, want string) {
		t.Helper()
		_, err := l.Reserve(t.Context(), agent, spend(a.ID, n, 10, 0))
		wantCode(t, err, want)
		_, err = l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: a.ID, Hash: hashOf(n), Amount: 1})
		wantCode(t, err, want)
	}
	yes, no := true, false
	try(1, "")
	must(l.Update(t.Context(), operator, a.ID, account.Change{Frozen: &yes}))(t)
	try(2, account.CodeFrozen)
	must(l.Update(t.Context(), operator, a.ID, account.Change{Frozen: &no}))(t)
	if err := l.SetFrozenAll(t.Context(), operator, true); err != nil {
		t.Fatal(err)
	}
	try(3, account.CodeFrozen)
	if frozen := must(l.FrozenAll(t.Context()))(t); !frozen {
		t.Error("not frozen")
	}
	must(l.InvoiceSettled(t.Context(), hashOf(1), 1, 5, preimageOf(1), nil))(t)
	if err := l.SetFrozenAll(t.Context(), operator, false); err != nil {
		t.Fatal(err)
	}
	w.add(time.Hour - time.Millisecond)
	try(4, "")
	w.add(time.Millisecond)
	try(5, account.CodeExpired)
	w.add(-2 * time.Hour)
	try(6, account.CodeExpired)
	wantClean(t, l)
}

// TestMoneyTruth has lnd say what it must not: the books follow.
func TestMoneyTruth(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 10_000, policy.Limits{})
	for n, state := range []account.State{account.StateFailed, account.StateVoid} {
		p := must(l.Reserve(t.Context(), agent, spend(a.ID, n, 1000, 0)))(t)
		must(l.Release(t.Context(), p.ID, state, account.Outcome{}))(t)
		again := must(l.Reserve(t.Context(), agent, spend(a.ID, n, 1000, 0)))(t)
		p = must(l.Settle(t.Context(), p.ID, account.Outcome{Paid: 1000}))(t)
		if p.State != account.StateSucceeded {
			t.Errorf("payment %+v", p)
		}
		must(l.Settle(t.Context(), again.ID, account.Outcome{Paid: 1000}))(t)
	}
	wantBalance(t, l, a.ID, 6_000, 0)
	more := must(l.Reserve(t.Context(), agent, spend(a.ID, 9, 1000, 0)))(t)
	must(l.Settle(t.Context(), more.ID, account.Outcome{Paid: 1500, Fee: 500}))(t)
	wantBalance(t, l, a.ID, 4_500, 0)

	for n, end := range []func(n int) error{
		func(n int) error { _, err := l.InvoiceCanceled(t.Context(), hashOf(n), nil); return err },
		func(n int) error { return l.InvoiceVoid(t.Context(), hashOf(n), "no") },
	} {
		must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: a.ID, Hash: hashOf(n), Amount: 700}))(t)
		if err := end(n); err != nil {
			t.Fatal(err)
		}
		i := must(l.InvoiceSettled(t.Context(), hashOf(n), 3, 700, preimageOf(n), nil))(t)
		if i.State != account.StateSettled || i.Index == 0 {
			t.Errorf("invoice %+v", i)
		}
	}
	wantBalance(t, l, a.ID, 5_900, 0)
	must(l.Remove(t.Context(), operator, a.ID))(t)
	wantClean(t, l)
	if faults := strings.Count(journalText(t, l), `"fault"`); faults != 5 {
		t.Errorf("%d faults in the journal, want 5", faults)
	}
}

// TestOverspent: a balance below zero is nothing to spend, and a fault.
func TestOverspent(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 1_000, policy.Limits{})
	p := must(l.Reserve(t.Context(), agent, spend(a.ID, 1, 1000, 0)))(t)
	must(l.Release(t.Context(), p.ID, account.StateFailed, account.Outcome{}))(t)
	must(l.Debit(t.Context(), operator, a.ID, 1000, ""))(t)
	must(l.Settle(t.Context(), p.ID, account.Outcome{Paid: 1000}))(t)
	wantBalance(t, l, a.ID, 0, 0)
	report := must(l.Check(t.Context()))(t)
	if len(report.Faults) != 1 || !strings.Contains(report.Faults[0], "-1000") {
		t.Errorf("faults %q", report.Faults)
	}
	must(l.Credit(t.Context(), operator, a.ID, 1500, ""))(t)
	wantBalance(t, l, a.ID, 500, 0)
	wantClean(t, l)
}

func TestRemovedAccountIsStillCredited(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 1_000, policy.Limits{})
	must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: a.ID, Hash: hashOf(1), Amount: 700}))(t)
	if gone := must(l.Remove(t.Context(), operator, a.ID))(t); gone.Balance != 0 || !gone.Removed {
		t.Errorf("removed: %+v", gone)
	}
	must(l.InvoiceSettled(t.Context(), hashOf(1), 1, 700, preimageOf(1), nil))(t)
	wantBalance(t, l, a.ID, 700, 0)
	wantClean(t, l)
}

func journalText(t *testing.T, l *account.Ledger) string {
	t.Helper()
	records, err := l.Journal().List(t.Context(), audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, r := range records {
		fmt.Fprintf(&all, "%s %s\n", r.Kind, r.Detail)
	}
	return all.String()
}

func TestDenialsAreCounted(t *testing.T) {
	w := newWall()
	path := filepath.Join(t.TempDir(), "guard.db")
	l := openAt(t, path, w)
	a := newAccount(t, l, 1_000, policy.Limits{MaxPayment: 900})
	try := func(n, amount int) {
		_, err := l.Reserve(t.Context(), agent, spend(a.ID, n, lnwire.MilliSatoshi(amount), 200))
		if err == nil {
			t.Error("not denied")
		}
	}
	count := func() int { return strings.Count(journalText(t, l), "payment.deny") }
	for n := range 50 {
		try(n, 901)
		try(n, 890)
		w.add(time.Second)
	}
	if n := count(); n != 2 {
		t.Errorf("%d entries, want one for each reason", n)
	}
	w.add(time.Minute)
	try(50, 901)
	if text := journalText(t, l); count() != 3 || !strings.Contains(text, `"repeated":49`) {
		t.Errorf("after the minute:\n%s", text)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openAt(t, path, w)
	if text := journalText(t, l); count() != 4 || strings.Count(text, `"repeated":48`) != 1 {
		t.Errorf("after closing:\n%s", text)
	}
	wantClean(t, l)
}

// race runs fn 64 times at once and returns how often it gave nil.
func race(fn func(n int) error) int {
	var ok atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for n := range 64 {
		wg.Go(func() {
			<-start
			if fn(n) == nil {
				ok.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(ok.Load())
}

func TestRaces(t *testing.T) {
	for name, c := range map[string]struct {
		balance lnwire.MilliSatoshi
		limits  policy.Limits
		hash    func(n int) int
		want    int
	}{
		"ok/balance":   {10_099, policy.Limits{}, func(n int) int { return n }, 10},
		"ok/day":       {1_000_000, policy.Limits{Day: 7_500}, func(n int) int { return n }, 7},
		"ok/count":     {1_000_000, policy.Limits{MaxPayments: 5, Per: time.Hour}, func(n int) int { return n }, 5},
		"ok/in flight": {1_000_000, policy.Limits{InFlight: 3}, func(n int) int { return n }, 3},
		"ok/one hash":  {1_000_000, policy.Limits{}, func(int) int { return 0 }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, newWall())
			a := newAccount(t, l, c.balance, c.limits)
			ids := make([]int64, 64)
			got := race(func(n int) error {
				p, err := l.Reserve(t.Context(), agent, spend(a.ID, c.hash(n), 1000, 9))
				ids[n] = p.ID
				return err
			})
			if got != c.want {
				t.Errorf("%d of 64 were allowed, want %d", got, c.want)
			}
			for _, id := range ids {
				if id != 0 {
					race(func(int) error { _, err := l.Settle(t.Context(), id, account.Outcome{Paid: 1009, Fee: 9}); return err })
				}
			}
			wantBalance(t, l, a.ID, c.balance-lnwire.MilliSatoshi(1009*c.want), 0)
			wantClean(t, l)
		})
	}
	t.Run("ok/hash of two accounts", func(t *testing.T) {
		l := open(t, newWall())
		ids := []account.ID{newAccount(t, l, 99_000, policy.Limits{}).ID, newAccount(t, l, 99_000, policy.Limits{}).ID}
		if got := race(func(n int) error {
			_, err := l.Reserve(t.Context(), agent, spend(ids[n%2], 1, 1000, 0))
			return err
		}); got != 1 {
			t.Errorf("%d payments of one hash", got)
		}
		if got := race(func(n int) error {
			_, err := l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: ids[n%2], Hash: hashOf(2)})
			return err
		}); got != 1 {
			t.Errorf("%d invoices of one hash", got)
		}
		race(func(int) error {
			_, err := l.InvoiceSettled(t.Context(), hashOf(2), 1, 5000, preimageOf(2), nil)
			return err
		})
		if report := wantClean(t, l); report.Balances != 203_000 {
			t.Errorf("balances %d", report.Balances)
		}
	})
}

func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

// TestNoRoom fills the disk, as far as SQLite is told, under a running ledger.
func TestNoRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.db")
	l := openAt(t, path, newWall())
	a := newAccount(t, l, 100_000_000, policy.Limits{})
	p := must(l.Reserve(t.Context(), agent, spend(a.ID, 0, 1000, 0)))(t)
	big := spend(a.ID, 1, 1000, 0)
	big.PaymentRequest = strings.Repeat("x", 1<<20)
	limitFile(t, 1<<20, func() {
		_, err := l.Reserve(t.Context(), agent, big)
		if err == nil {
			t.Error("a megabyte fit")
		}
	})
	wantBalance(t, l, a.ID, 100_000_000, 1000)
	must(l.Settle(t.Context(), p.ID, account.Outcome{Paid: 1000}))(t)
	must(l.Reserve(t.Context(), agent, big))(t)
	wantClean(t, l)
}

// limitFile runs fn while this process may write no file longer than size: a
// write past it fails, as on a full disk.
func limitFile(t *testing.T, size uint64, fn func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	fn()
}

// TestRefusedWrites: what the database refuses is an error and leaves nothing.
func TestRefusedWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.db")
	l := openAt(t, path, newWall())
	a := newAccount(t, l, 100_000, policy.Limits{})
	p := must(l.Reserve(t.Context(), agent, spend(a.ID, 1, 1000, 0)))(t)
	db := raw(t, path)
	for _, table := range []string{"journal", "entries", "transactions"} {
		run(t, db, "CREATE TRIGGER refuse BEFORE INSERT ON "+table+" BEGIN SELECT RAISE(ABORT, 'no room'); END")
		if _, err := l.Settle(t.Context(), p.ID, account.Outcome{Paid: 1000}); err == nil {
			t.Error("settled without " + table)
		}
		run(t, db, "DROP TRIGGER refuse")
		wantBalance(t, l, a.ID, 100_000, 1000)
	}
	run(t, db, "CREATE TRIGGER refuse BEFORE UPDATE ON accounts BEGIN SELECT RAISE(ABORT, 'no room'); END")
	if _, err := l.Reserve(t.Context(), agent, spend(a.ID, 2, 1000, 0)); err == nil {
		t.Error("reserved without the account")
	}
	if _, err := l.OpenByHash(t.Context(), hashOf(2)); err == nil {
		t.Error("half a reservation was kept")
	}
	run(t, db, "DROP TRIGGER refuse")
	must(l.Settle(t.Context(), p.ID, account.Outcome{Paid: 1000}))(t)
	wantClean(t, l)
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestClosed(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 1000, policy.Limits{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := l.Reserve(t.Context(), agent, spend(a.ID, 1, 10, 0))
	wantCode(t, err, store.CodeClosed)
}

func TestGivesUpBeforeItsTurn(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 1000, policy.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, err := l.Reserve(ctx, agent, spend(a.ID, 1, 10, 0))
	if err == nil { // its turn had come
		wantBalance(t, l, a.ID, 1000, p.Reserved)
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
