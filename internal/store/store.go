// Package store opens a SQLite database for one program: made with mode 0600,
// in WAL mode, one writer, its schema brought up to date by embedded
// migrations. It promises that what Write returned nil for is on the disk, and
// that a database that is newer than the program, somebody else's, corrupt or
// unwritable is one clear error and is left as it was. It knows no tables: the
// packages below it do.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// busyTimeout is how long a statement waits for another process's lock.
const busyTimeout = 5 * time.Second

// readers is how many reads may run beside the writer.
const readers = 4

// Schema is what a database must look like.
type Schema struct {
	// Name is the database's purpose, for errors: "gate".
	Name string

	// ID marks the file as ours (SQLite's application_id): not zero,
	// different for each purpose, never changed.
	ID int32

	// Migrations holds files "NNNN_what.sql", numbered from 0001 without
	// gaps. Each is applied once, in a transaction of its own.
	Migrations fs.FS

	// Pace is the least time from one commit to the next, zero for none. A
	// write after a pause goes at once; many at a time share commits.
	Pace time.Duration

	// Secrets means that what is deleted or replaced is overwritten: see Erase.
	Secrets bool
}

// DB is an open database. Safe for concurrent use.
type DB struct {
	path   string
	write  *sql.DB // nil: of View
	read   *sql.DB
	pace   time.Duration
	queue  chan *job
	erase  chan struct{} // nil: nothing is secret
	closed chan struct{}
	done   chan struct{}
	once   sync.Once
}

// Open opens the database file, makes it (and its folder, 0700) when it is
// missing, and applies the migrations it lacks. Errors: database_newer,
// database_foreign, database_corrupt, database_busy, database_unwritable,
// disk_full.
func Open(ctx context.Context, path string, schema Schema) (*DB, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	db := &DB{path: path, pace: schema.Pace, queue: make(chan *job), closed: make(chan struct{}), done: make(chan struct{})}
	var err error
	if db.read, err = dial(path, "rw", readers, "query_only(1)"); err != nil {
		return nil, db.explain(err)
	}
	pragmas := []string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}
	if schema.Secrets {
		pragmas = append(pragmas, "secure_delete(1)")
		db.erase = make(chan struct{}, 1)
	}
	if db.write, err = dial(path, "rw", 1, pragmas...); err != nil {
		return nil, errors.Join(db.explain(err), db.read.Close())
	}
	if err := db.migrate(ctx, schema); err != nil {
		return nil, errors.Join(db.explain(err), db.read.Close(), db.write.Close())
	}
	if schema.Secrets && !db.emptyLog(ctx) { // of a process that was killed
		db.Erase()
	}
	go db.commitLoop()
	return db, nil
}

// View opens a database file that is there for reading only: it is not made,
// migrated, checkpointed or given another mode, and Write refuses. Another
// process may use it meanwhile. Errors: Open's, and database_older for one that
// lacks migrations.
func View(ctx context.Context, path string, schema Schema) (*DB, error) {
	db := &DB{path: path, closed: make(chan struct{}), done: make(chan struct{})}
	close(db.done)
	var err error
	if db.read, err = dial(path, "ro", readers, "query_only(1)"); err != nil {
		return nil, db.explain(err)
	}
	steps, err := migrations(schema.Migrations)
	if err == nil {
		err = db.isCurrent(ctx, schema, len(steps))
	}
	if err != nil {
		return nil, errors.Join(db.explain(err), db.read.Close())
	}
	return db, nil
}

// Close waits for the writes under way and closes the file. Further writes are
// refused. Safe to call twice.
func (db *DB) Close() error {
	var err error
	db.once.Do(func() {
		close(db.closed)
		<-db.done
		err = db.read.Close()
		if db.write != nil {
			err = errors.Join(err, db.write.Close())
		}
	})
	return err
}

// Path returns the database file's path.
func (db *DB) Path() string { return db.path }

// Read runs fn in one consistent, read-only view of the database. What fn has read
// by the time ctx ends is as good.
func (db *DB) Read(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := db.read.BeginTx(ctx, nil)
	if err != nil {
		return db.explain(err)
	}
	err = fn(tx)
	if undo := tx.Rollback(); !errors.Is(undo, sql.ErrTxDone) {
		err = errors.Join(err, undo)
	}
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil { // whose end has ended the transaction
		err = ctx.Err()
	}
	return db.explain(err)
}

// create makes the file with mode 0600, and tightens one that is there: it
// says who bought what.
func create(path string) error {
	if _, err := os.Stat(path); err == nil {
		return os.Chmod(path, 0o600)
	}
	if err := files.MkdirPrivate(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fault.New(CodeUnwritable, "check the folder's owner and mode", "make database: %w", err)
	}
	return f.Close()
}

// dial connects to a file that is there; mode is ro or rw.
func dial(path, mode string, conns int, pragmas ...string) (*sql.DB, error) {
	query := url.Values{"_txlock": {"deferred"}, "mode": {mode}}
	if conns == 1 {
		query.Set("_txlock", "immediate")
	}
	busy := fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())
	// What a savepoint needs to be undone would otherwise go to a temporary file.
	query["_pragma"] = append([]string{busy, "temp_store(MEMORY)"}, pragmas...)
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}
	db, err := sql.Open(driverName, name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}
