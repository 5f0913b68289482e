package account_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// TestCountedOnce: however often, and beside whatever else, a payment's end is
// told, what its account has spent grows by one payment and its amount.
func TestCountedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.db")
	l := openAt(t, path, newWall())
	run(t, raw(t, path), `CREATE TRIGGER one_at_a_time BEFORE UPDATE ON accounts
		WHEN NEW.spent_count NOT IN (OLD.spent_count, OLD.spent_count + 1) OR
			(NEW.spent_count = OLD.spent_count) <> (NEW.spent_msat = OLD.spent_msat) OR
			NEW.spent_msat - OLD.spent_msat NOT IN (0, 1005)
		BEGIN SELECT RAISE(ABORT, 'counted wrongly'); END`)
	const payments, tellers = 60, 4
	a := newAccount(t, l, payments*2000, policy.Limits{MaxPayments: payments, Per: policy.Hour, Day: payments * 2000, InFlight: payments})
	outcome := account.Outcome{Paid: 1005, Fee: 5}
	var all sync.WaitGroup
	for n := range payments {
		p := must(l.Reserve(t.Context(), agent, spend(a.ID, n, 1000, 10)))(t)
		for teller := range tellers {
			all.Go(func() {
				var err error
				switch {
				case n%3 == 0 && teller == 0: // a payment that lnd had called failed
					_, err = l.Release(t.Context(), p.ID, account.StateFailed, account.Outcome{})
				case teller == 1:
					err = l.Seen(t.Context(), p.ID, uint64(n+1))
				default:
					_, err = l.Settle(t.Context(), p.ID, outcome)
				}
				if err != nil {
					t.Error(n, err)
				}
			})
		}
	}
	all.Wait()
	wantBalance(t, l, a.ID, payments*(2000-1005), 0)
	used := must(l.Usage(t.Context(), a.ID))(t)
	if used.Payments != payments || used.Day != payments*1005 {
		t.Errorf("used %+v", used)
	}
	run(t, raw(t, path), `DROP TRIGGER one_at_a_time`)
	wantClean(t, l)
}
