package guarddb

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// TestQueriesNeedNoScan: what is asked for one account or hash reads no rows of
// others, however many there are.
func TestQueriesNeedNoScan(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "guard.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{
		accountByID, accountByLabel, accountByName, transactionByKey, entryOf,
		accountPost, accountReserve, accountRelease, accountInvoices, accountSet, givenUpSince,
		invoiceByHash, invoiceFirstSince, invoiceSet, invoiceVoidByHash,
		invoicesAll, invoicesAllReversed, invoicesOpen, invoicesOpenReversed, invoicesSettledAfter, invoicesUnfinishedOf,
		paymentByID, paymentFirstSince, paymentHashUse, paymentLatestOfHash, paymentOpenByHash, paymentRaise,
		paymentResolve, paymentSeen, paymentSpentBefore,
		paymentsAll, paymentsAllReversed, paymentsOpenOf, paymentsPaid, paymentsPaidReversed,
		transferPending, transfersPendingTo, invoiceByTransferAddress,
		sessionByID, sessionByKey, sessionsOpenOf, sessionBegin, sessionPair, sessionEnd,
		journalNewest, journalNewestOf, journalPage, journalPageOf, journalSince,
	} {
		name, _, _ := strings.Cut(strings.TrimPrefix(query, "-- name: "), " ")
		t.Run(name, func(t *testing.T) {
			for _, step := range plan(t, db, query) {
				constant := strings.Contains(step, "CONSTANT ROW")
				if strings.Contains(step, "SCAN") && !constant || strings.Contains(step, "TEMP B-TREE") {
					t.Error(step)
				}
			}
		})
	}
	// Of all accounts: only what is open is read.
	for _, query := range []string{paymentsOpen, invoicesUnfinished} {
		if steps := strings.Join(plan(t, db, query), "\n"); !strings.Contains(steps, "USING INDEX payments_open") &&
			!strings.Contains(steps, "USING INDEX invoices_open") {
			t.Error(steps)
		}
	}
}

func plan(t *testing.T, db *DB, query string) (steps []string) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *sql.Tx) error {
		args := make([]any, strings.Count(query, "?"))
		rows, err := tx.Query("EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				return err
			}
			steps = append(steps, step)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}
