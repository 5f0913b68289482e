package account_test

import (
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
)

var (
	operator = audit.Actor{Kind: "operator", Via: "api"}
	agent    = audit.Actor{Kind: "account", Via: "lnd", Peer: "127.0.0.1"}
	payee    = policy.PubKey{0: 2, 32: 1}
)

// wall is a clock that tests set.
type wall struct {
	mu sync.Mutex
	at time.Time
}

func newWall() *wall { return &wall{at: time.UnixMilli(1_800_000_000_000)} }

func (w *wall) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *wall) add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

func open(t testing.TB, w *wall) *account.Ledger {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "guard.db"), w)
}

func openAt(t testing.TB, path string, w *wall) *account.Ledger {
	t.Helper()
	l, err := account.Open(t.Context(), path, w.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func hashOf(n int) lntypes.Hash {
	preimage := preimageOf(n)
	return preimage.Hash()
}

func preimageOf(n int) lntypes.Preimage {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// must ends the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if fault.Code(err) != code {
		t.Errorf("code %q (%v), want %q", fault.Code(err), err, code)
	}
}

func newAccount(t testing.TB, l *account.Ledger, balance lnwire.MilliSatoshi, limits policy.Limits) account.Account {
	t.Helper()
	a, err := l.Create(t.Context(), operator, account.New{Balance: balance, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func spend(id account.ID, n int, amount, fee lnwire.MilliSatoshi) account.Spend {
	return account.Spend{Account: id, Hash: hashOf(n), Amount: amount, MaxFee: fee, Payee: payee, Run: "run", AfterIndex: 7}
}

func wantBalance(t testing.TB, l *account.Ledger, id account.ID, balance, reserved lnwire.MilliSatoshi) {
	t.Helper()
	a, err := l.Get(t.Context(), id)
	if err != nil || a.Balance != balance || a.Reserved != reserved {
		t.Errorf("account %s: balance %d, reserved %d, %v; want %d and %d", id, a.Balance, a.Reserved, err, balance, reserved)
	}
}

// wantClean checks the books and the journal.
func wantClean(t testing.TB, l *account.Ledger) account.Report {
	t.Helper()
	report, err := l.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, faults, err := l.Journal().Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(report.Faults, faults...) {
		t.Error(f)
	}
	return report
}

func TestPaymentLife(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 50_000_000, policy.Limits{})
	p := must(l.Reserve(t.Context(), agent, spend(a.ID, 1, 1_000_000, 10_000)))(t)
	if p.Index != 1 || p.State != account.StateOpen || p.Reserved != 1_010_000 {
		t.Errorf("reserved %+v", p)
	}
	wantBalance(t, l, a.ID, 50_000_000, 1_010_000)
	if err := l.Seen(t.Context(), p.ID, 12); err != nil {
		t.Fatal(err)
	}
	_, err := l.Reserve(t.Context(), agent, spend(a.ID, 1, 1_000_000, 0))
	wantCode(t, err, account.CodeInFlight)
	outcome := account.Outcome{Paid: 1_003_000, Fee: 3_000, LndIndex: 99, Preimage: preimageOf(1), Final: []byte("final")}
	for range 2 {
		p = must(l.Settle(t.Context(), p.ID, outcome))(t)
		if p.State != account.StateSucceeded || p.Paid != 1_003_000 || p.LndIndex != 12 || p.Preimage != preimageOf(1) {
			t.Errorf("settled %+v", p)
		}
		wantBalance(t, l, a.ID, 48_997_000, 0)
	}
	p = must(l.Release(t.Context(), p.ID, account.StateFailed, account.Outcome{}))(t)
	if p.State != account.StateSucceeded {
		t.Errorf("a settled payment became %s", p.State)
	}
	_, err = l.Reserve(t.Context(), agent, spend(newAccount(t, l, 5_000, policy.Limits{}).ID, 1, 1_000, 0))
	wantCode(t, err, account.CodeAlreadyPaid)
	wantClean(t, l)
}

func TestInvoiceLife(t *testing.T) {
	l := open(t, newWall())
	a := newAccount(t, l, 0, policy.Limits{})
	preimage := preimageOf(1)
	i := must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{
		Account: a.ID, Hash: hashOf(1), Preimage: &preimage, Amount: 700_000, Memo: "tea", Run: "run",
	}))(t)
	if i.State != account.StatePending || i.Index != 0 || *i.Preimage != preimage {
		t.Errorf("owned %+v", i)
	}
	_, err := l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: a.ID, Hash: hashOf(1)})
	wantCode(t, err, account.CodeHashTaken)
	i = must(l.InvoiceMade(t.Context(), hashOf(1), 5, []byte("made")))(t)
	if i.State != account.StateOpen || i.Index != 1 || i.AddIndex != 5 {
		t.Errorf("made %+v", i)
	}
	for range 2 {
		i = must(l.InvoiceSettled(t.Context(), hashOf(1), 5, 701_000, preimage, []byte("settled")))(t)
		if i.State != account.StateSettled || i.SettleIndex != 1 || i.Received != 701_000 {
			t.Errorf("settled %+v", i)
		}
		wantBalance(t, l, a.ID, 701_000, 0)
	}
	wantClean(t, l)
}
