package account_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// busy makes a ledger with one of everything.
func busy(t *testing.T, path string) *account.Ledger {
	l := openAt(t, path, newWall())
	a := newAccount(t, l, 100_000, policy.Limits{})
	b := newAccount(t, l, 50_000, policy.Limits{})
	for n := range 3 {
		p := must(l.Reserve(t.Context(), agent, spend(a.ID, n, 1000, 10)))(t)
		must(l.Settle(t.Context(), p.ID, account.Outcome{Paid: 1005, Fee: 5}))(t)
	}
	must(l.Reserve(t.Context(), agent, spend(a.ID, 3, 1000, 10)))(t)
	p := must(l.Reserve(t.Context(), agent, spend(b.ID, 4, 1000, 10)))(t)
	must(l.Release(t.Context(), p.ID, account.StateVoid, account.Outcome{}))(t)
	for n := 10; n < 12; n++ {
		must(l.OwnInvoice(t.Context(), agent, account.NewInvoice{Account: b.ID, Hash: hashOf(n), Amount: 5}))(t)
	}
	must(l.InvoiceSettled(t.Context(), hashOf(10), 1, 500, preimageOf(10), nil))(t)
	must(l.Credit(t.Context(), operator, b.ID, 77, ""))(t)
	return l
}

// TestCheckFindsTampering writes past the program, after dropping the triggers.
func TestCheckFindsTampering(t *testing.T) {
	for name, c := range map[string]struct{ statement, want string }{
		"ok/nothing":                 {"SELECT 1", ""},
		"fail/entry":                 {"UPDATE entries SET amount_msat = -1 WHERE tx = 3 AND book > 2", "sum up to"},
		"fail/both entries":          {"UPDATE entries SET amount_msat = iif(book > 2, -1, 1) WHERE tx = 3", "msat were paid, but the entry is of -1"},
		"fail/entry gone":            {"DELETE FROM entries WHERE tx = 3", "0 entries"},
		"fail/transaction gone":      {"DELETE FROM transactions WHERE id = 3", "transactions"},
		"fail/balance":               {"UPDATE accounts SET balance_msat = balance_msat + 1 WHERE id = 3", "but the entries sum up to"},
		"fail/total":                 {"UPDATE ledger SET balances_msat = 1", "the accounts' balances are noted as 1 msat"},
		"fail/reserved":              {"UPDATE accounts SET reserved_msat = 0 WHERE id = 3", "payments reserve 0 msat, but 1 are open over 1010"},
		"fail/open count":            {"UPDATE accounts SET payments_open = 0 WHERE id = 3", "0 payments reserve"},
		"fail/reservation":           {"UPDATE payments SET amount_msat = 1, fee_limit_msat = 0, reserved_msat = 1 WHERE state = 'open'", "are open over 1 msat"},
		"fail/reserved over balance": {"UPDATE payments SET amount_msat = 900000, reserved_msat = 900010 WHERE state = 'open'", "are open over 900010"},
		"fail/window":                {"UPDATE payments SET cum_msat = 2000 WHERE cum_count = 2", "is number 2 of 2010 msat"},
		"fail/window count":          {"UPDATE payments SET cum_count = 7 WHERE cum_count = 3", "stands for 7 payments"},
		"fail/spent":                 {"UPDATE accounts SET spent_msat = 0 WHERE id = 3", "3 succeeded for 3015 msat"},
		"fail/paid":                  {"UPDATE payments SET paid_msat = 6, cum_msat = 6 WHERE cum_count = 1", "6 msat were paid, but the entry is of -1005"},
		"fail/payment gone":          {"DELETE FROM payments WHERE state = 'open'", "the journal has 5"},
		"fail/payment of another":    {"UPDATE payments SET account = 4, n = 2 WHERE state = 'open'", "of kinds none and none"},
		"fail/void":                  {"UPDATE accounts SET payments_void = 0 WHERE id = 4", "1 of them void"},
		"fail/constraint":            {"PRAGMA ignore_check_constraints = 1; UPDATE payments SET state = 'lost' WHERE state = 'void'", "CHECK constraint failed"},
		"fail/received":              {"UPDATE invoices SET received_msat = 5 WHERE state = 'settled'", "5 msat were received, but the entry is of 500"},
		"fail/invoice resettled":     {"UPDATE invoices SET state = 'canceled', settle_n = 0, received_msat = 0 WHERE state = 'settled'", "0 settled; noted are 1, 1 and 1"},
		"fail/invoice count":         {"UPDATE accounts SET invoices_open = 0 WHERE id = 4", "1 open, 1 settled; noted are 1, 0 and 1"},
		"fail/invoice hash":          {"UPDATE invoices SET hash = randomblob(32) WHERE state = 'pending'", "of kinds none and none"},
		"fail/initial":               {"UPDATE accounts SET initial_msat = 1 WHERE id = 3", "made with 1 msat, but the entry is of 100000"},
		"fail/journal reference":     {"UPDATE transactions SET seq = 1 WHERE kind = 'credit'", "the journal's entry 1 is of kind account.create"},
		"fail/account's entry":       {"UPDATE accounts SET created_seq = 2 WHERE id = 3", "the journal's entry 2 is of kind none"},
		"fail/made up account":       {"INSERT INTO books VALUES (9, 'x'); INSERT INTO accounts SELECT 9, randomblob(8), '', 0, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1", "3 accounts, but the journal has"},
		"fail/reference":             {"UPDATE payments SET account = 99 WHERE state = 'void'", "payments: row"},
		"fail/time":                  {"UPDATE ledger SET last_ms = 5", "the ledger's time is 5"},
		"fail/account gone":          {"DELETE FROM accounts WHERE id = 4", "row of accounts that is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "guard.db")
			l := busy(t, path)
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

func triggersOf(t *testing.T, path string) map[string]string {
	t.Helper()
	rows, err := raw(t, path).Query("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := make(map[string]string)
	for rows.Next() {
		var name, statement string
		if err := rows.Scan(&name, &statement); err != nil {
			t.Fatal(err)
		}
		all[name] = statement
	}
	return all
}

func TestTablesAreAppendOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.db")
	l := busy(t, path)
	db := raw(t, path)
	for _, statement := range []string{
		"UPDATE entries SET amount_msat = 5", "DELETE FROM entries", "UPDATE transactions SET at_ms = 5",
		"DELETE FROM transactions", "DELETE FROM payments", "DELETE FROM invoices", "DELETE FROM accounts",
		"DELETE FROM ledger", "UPDATE ledger SET last_ms = 1",
		"UPDATE payments SET state = 'failed' WHERE state = 'succeeded'",
		"UPDATE invoices SET state = 'open' WHERE state = 'settled'",
	} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("%s: allowed", statement)
		}
	}
	wantClean(t, l)
	for trigger := range triggersOf(t, path) {
		run(t, db, "DROP TRIGGER "+trigger)
		faults := strings.Join(must(l.Check(t.Context()))(t).Faults, "\n")
		if !strings.Contains(faults, "the trigger "+trigger+" is gone") {
			t.Errorf("%s is gone: %s", trigger, faults)
		}
	}
}
