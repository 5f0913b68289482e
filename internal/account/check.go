package account

import (
	"context"
	"database/sql"
	_ "embed" // for the statements
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
)

// checks are statements, divided by blank lines, that return sentences.
//
//go:embed check.sql
var checks string

// maxFaults is how many sentences of one kind a report has.
const maxFaults = 20

// triggers keep the append-only tables what they are.
var triggers = []string{
	"journal_no_update", "journal_no_delete", "journal_at_the_end",
	"ledger_no_way_back", "ledger_no_delete", "accounts_no_delete",
	"payments_no_delete", "payments_stay_settled", "payments_keep_invoice", "invoices_no_delete", "invoices_stay_settled",
	"transactions_no_update", "transactions_no_delete", "entries_no_update", "entries_no_delete",
	"sessions_end_once",
}

// Report is what Check found.
type Report struct {
	Accounts, Payments, Invoices, Entries uint64
	OpenPayments                          uint64

	// Balances is the sum of all accounts' balances in msat.
	Balances lnwire.MilliSatoshi

	// Faults are sentences, empty when all is well; Warnings are about what the
	// operator should put right, though the books are.
	Faults, Warnings []string
}

// clockAhead is how far the ledger's time may be ahead of the clock unsaid.
const clockAhead = time.Minute

// Check recomputes everything from the entries, in one view of a database that
// may be in use: sums, running totals, reservations, windows, journal
// references, and the file itself. It reads every row. Whether the journal is
// whole is said by Journal().Verify.
func (l *Ledger) Check(ctx context.Context) (Report, error) {
	return read(ctx, l, func(s *step) (Report, error) {
		report := Report{Balances: msat(s.balances), Warnings: s.warnings(l.now())}
		for what, into := range map[string]*uint64{
			"accounts": &report.Accounts, "payments": &report.Payments, "invoices": &report.Invoices,
			"entries": &report.Entries, "payments WHERE state = 'open'": &report.OpenPayments,
		} {
			if err := s.tx.QueryRowContext(ctx, "SELECT count(*) FROM "+what).Scan(into); err != nil {
				return report, err
			}
		}
		var err error
		report.Faults, err = s.faults()
		return report, err
	})
}

func (s *step) warnings(now time.Time) (list []string) {
	if ahead := clock(s.now).Sub(now); ahead > clockAhead {
		list = append(list, fmt.Sprintf("the ledger's time is %s, %s ahead of the clock: until the clock has come there, "+
			"no limit's span goes on, and accounts expire by that time", clock(s.now).UTC().Format(time.RFC3339), ahead.Round(time.Second)))
	}
	return list
}

func (s *step) faults() ([]string, error) {
	faults, err := s.fileFaults()
	if err != nil {
		return nil, err
	}
	for statement := range strings.SplitSeq(checks, "\n\n") {
		more, err := s.sentences(statement)
		if err != nil {
			return nil, err
		}
		faults = append(faults, more...)
	}
	for _, name := range triggers {
		var there bool
		const query = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ?)"
		if err := s.tx.QueryRowContext(s, query, name).Scan(&there); err != nil {
			return nil, err
		}
		if !there {
			faults = append(faults, fmt.Sprintf("the trigger %s is gone", name))
		}
	}
	return faults, nil
}

// fileFaults has SQLite check its pages, indexes, constraints and references.
func (s *step) fileFaults() (faults []string, err error) {
	pages, err := s.sentences("PRAGMA integrity_check(20)")
	if err != nil {
		return nil, err
	}
	for _, sentence := range pages {
		if sentence != "ok" {
			faults = append(faults, "database: "+sentence)
		}
	}
	const query = `SELECT printf('%s: row %d refers to a row of %s that is not there', "table", rowid, parent)
		FROM pragma_foreign_key_check`
	references, err := s.sentences(query)
	return append(faults, references...), err
}

// sentences returns the rows of a statement that has one column of text.
func (s *step) sentences(query string) (list []string, err error) {
	rows, err := s.tx.QueryContext(s, query)
	if err != nil {
		return nil, fmt.Errorf("check %.60q: %w", query, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() && len(list) < maxFaults {
		var sentence sql.NullString
		if err := rows.Scan(&sentence); err != nil {
			return nil, err
		}
		list = append(list, sentence.String)
	}
	return list, rows.Err()
}
