package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// maxGroup bounds how many writes share one commit.
const maxGroup = 128

// job is one write that waits for its turn.
type job struct {
	fn  func(*sql.Tx) error
	err chan error
}

// Write runs fn in a transaction and returns when it is durable, or fn's error
// when fn failed and nothing of it was kept. Writes that arrive together share
// one commit, each then inside a savepoint of its own, so fn must do nothing but
// use tx, and may be called while others wait. When ctx ends before the turn
// came, nothing was written; after that Write waits for the outcome.
func (db *DB) Write(ctx context.Context, fn func(*sql.Tx) error) error {
	if db.write == nil {
		return fault.New(CodeUnwritable, "", "database %q is open for reading only", db.path)
	}
	j := &job{fn: fn, err: make(chan error, 1)}
	select {
	case db.queue <- j:
		return db.explain(<-j.err)
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closed:
		return fault.New(CodeClosed, "", "database %q is closed", db.path)
	}
}

// commitLoop is the only writer. It ends when the database is closed.
func (db *DB) commitLoop() {
	defer close(db.done)
	var last time.Time
	var again <-chan time.Time
	for {
		select {
		case <-db.closed:
			return
		case <-db.erase:
			again = db.tryErase()
		case <-again:
			again = db.tryErase()
		case first := <-db.queue:
			time.Sleep(db.pace - time.Since(last))
			last = time.Now()
			db.commit(db.gather(first))
		}
	}
}

// gather takes what else is waiting, without waiting for more.
func (db *DB) gather(first *job) []*job {
	group := []*job{first}
	for len(group) < maxGroup {
		select {
		case j := <-db.queue:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction and tells each its own outcome.
func (db *DB) commit(group []*job) {
	if len(group) == 1 { // the transaction is its own: no savepoint to pay for
		group[0].err <- inTx(context.Background(), db.write, func(tx *sql.Tx) error {
			return protect(tx, group[0].fn)
		})
		return
	}
	own := make([]error, len(group))
	err := inTx(context.Background(), db.write, func(tx *sql.Tx) error {
		for i, j := range group {
			var broken error
			if own[i], broken = inSavepoint(tx, j.fn); broken != nil {
				return broken
			}
		}
		return nil
	})
	for i, j := range group {
		if err != nil {
			j.err <- err
		} else {
			j.err <- own[i]
		}
	}
}

// inSavepoint keeps what fn did or undoes it alone. broken says that the
// transaction as a whole cannot go on.
func inSavepoint(tx *sql.Tx, fn func(*sql.Tx) error) (own, broken error) {
	if _, err := tx.Exec("SAVEPOINT one"); err != nil {
		return nil, err
	}
	if own = protect(tx, fn); own != nil {
		if _, err := tx.Exec("ROLLBACK TO one"); err != nil {
			return own, errors.Join(own, err)
		}
	}
	_, broken = tx.Exec("RELEASE one")
	return own, broken
}

// protect makes a panic in fn an error, so that it cannot end the writer.
func protect(tx *sql.Tx, fn func(*sql.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write panicked: %v", p)
		}
	}()
	return fn(tx)
}

func inTx(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		if undo := tx.Rollback(); undo != nil {
			return errors.Join(err, undo)
		}
		return err
	}
	return tx.Commit()
}
