package account

import (
	"context"
	"database/sql"
	"time"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// step is one operation inside a transaction. Its statements never end with a
// client's context: other operations share the commit.
type step struct {
	context.Context
	*guarddb.Queries
	tx *sql.Tx

	now      int64       // the ledger's time, Unix ms
	actor    audit.Actor // of outcomes: the guard, unless an operator decides
	frozen   bool        // everything is
	balances int64       // Σ of all accounts, msat
	ticked   bool
	wiped    bool // secrets of sessions
}

// write runs fn as one durable transaction at the ledger's time: the clock, but
// never before what any earlier transaction saw.
func write[T any](ctx context.Context, l *Ledger, fn func(*step) (T, error)) (T, error) {
	return within(ctx, l, l.db.Write, context.Background(), fn)
}

// read runs fn in one consistent view. Its step must not write.
func read[T any](ctx context.Context, l *Ledger, fn func(*step) (T, error)) (T, error) {
	return within(ctx, l, l.db.Read, ctx, fn)
}

func within[T any](
	ctx context.Context, l *Ledger, run func(context.Context, func(*sql.Tx) error) error,
	inner context.Context, fn func(*step) (T, error),
) (T, error) {
	var result, none T
	var wiped bool
	err := run(ctx, func(tx *sql.Tx) error {
		s, err := l.begin(inner, tx)
		if err != nil {
			return err
		}
		result, err = fn(s)
		wiped = s.wiped
		return err
	})
	if err != nil {
		return none, err
	}
	if wiped {
		l.db.Erase()
	}
	return result, nil
}

func (l *Ledger) begin(ctx context.Context, tx *sql.Tx) (*step, error) {
	q := guarddb.New(tx)
	row, err := q.LedgerNow(ctx)
	if err != nil {
		return nil, err
	}
	return &step{
		Context: ctx, Queries: q, tx: tx,
		now:      max(1, row.LastMs, l.now().UnixMilli()),
		actor:    audit.ByGuard,
		frozen:   row.Frozen != 0,
		balances: row.BalancesMsat,
	}, nil
}

// log appends to the journal and keeps the ledger's time.
func (s *step) log(by audit.Actor, kind, account, subject string, detail any) (seq int64, err error) {
	if !s.ticked {
		if err := s.LedgerTime(s, s.now); err != nil {
			return 0, err
		}
		s.ticked = true
	}
	return audit.Append(s.tx, s.now, audit.Entry{
		Kind: kind, Actor: by, Account: account, Subject: subject, Detail: detail,
	})
}

// clock returns a time of the database: zero for 0.
func clock(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// millis is the reverse of clock. Times before 1970 count as its first ms.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, t.UnixMilli())
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
