// Package account is the ledger of spending accounts: what each owns, what is
// reserved for payments in flight, what limits it has. It promises: double
// entry, append-only, in msat; every operation is one durable transaction with
// its journal entry; each may be repeated and takes effect once; the sum of the
// open reservations never exceeds a balance, however many requests race; at
// most one open payment per payment hash. It knows no lnd: the guard tells it
// outcomes, in wire form where they are kept for the account to read again.
package account

import (
	"context"
	"errors"
	"time"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// Codes of this package's errors (fault.Error). Denials by limits are
// *policy.Denied.
const (
	CodeUnknown     = "account_unknown"
	CodeExpired     = "account_expired"
	CodeFrozen      = "frozen"
	CodeLabel       = "bad_label"
	CodeLimits      = "bad_limits"
	CodeInFlight    = "payment_in_flight"
	CodeAlreadyPaid = "already_paid"
	CodeHashTaken   = "hash_taken"
	CodeBadAmount   = "bad_amount"
	CodeReserved    = "balance_reserved"
	CodeKeyReused   = "key_reused"
	CodeNotFound    = "not_found"
	CodeSameNode    = "same_node"
	CodeCanceled    = "invoice_canceled"
)

// Ledger is an open ledger. Safe for concurrent use.
type Ledger struct {
	db      *guarddb.DB
	now     func() time.Time
	journal *audit.Journal
	denials denials
}

// Open opens or makes the database file. Errors are store.Open's. now is the
// clock; nil means time.Now.
func Open(ctx context.Context, path string, now func() time.Time) (*Ledger, error) {
	return open(ctx, path, now, guarddb.Open)
}

// View opens a database file that is there for reading only, perhaps beside the
// process that writes to it. What would write fails. Errors are store.View's.
func View(ctx context.Context, path string, now func() time.Time) (*Ledger, error) {
	return open(ctx, path, now, guarddb.View)
}

func open(ctx context.Context, path string, now func() time.Time, how func(context.Context, string) (*guarddb.DB, error)) (*Ledger, error) {
	db, err := how(ctx, path)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Ledger{db: db, now: now, journal: audit.NewJournal(db, now)}, nil
}

// Close journals the denials that were only counted so far, waits for writes
// under way and closes the file. Safe to call twice.
func (l *Ledger) Close() error {
	return errors.Join(l.flushDenials(context.Background()), l.db.Close())
}

// Journal is the audit journal in the same database.
func (l *Ledger) Journal() *audit.Journal { return l.journal }
