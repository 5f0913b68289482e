package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store"
	"github.com/leydenln/leyden/internal/until"
)

func schema(scripts ...string) store.Schema {
	dir := fstest.MapFS{}
	for i, s := range scripts {
		dir[fmt.Sprintf("%04d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(s)}
	}
	return store.Schema{Name: "test", ID: 0x1234, Migrations: dir}
}

const table = "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT;"

func open(t *testing.T, path string, s store.Schema) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func insert(n int) func(*sql.Tx) error {
	return func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO t VALUES (?)", n)
		return err
	}
}

func count(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM t").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a dir?", "100%#")
	path := filepath.Join(dir, "x.db")
	db := open(t, path, schema(table))
	if err := db.Write(t.Context(), insert(1)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%v, %v: want the database, its WAL and its index", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	err = db.Read(t.Context(), insert(2))
	if err == nil || count(t, db) != 1 {
		t.Errorf("a read wrote: %v", err)
	}
}

func TestWritesAreIsolatedInTheirGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path, schema(table))
	boom := errors.New("boom")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := db.Write(t.Context(), func(tx *sql.Tx) error {
				if err := insert(i)(tx); err != nil {
					return err
				}
				switch i % 4 {
				case 1:
					return boom
				case 2:
					panic("boom")
				}
				return nil
			})
			switch {
			case i%4 == 1 && !errors.Is(err, boom),
				i%4 == 2 && (err == nil || !strings.Contains(err.Error(), "boom")),
				i%4 != 1 && i%4 != 2 && err != nil:
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := count(t, db); n != 100 {
		t.Errorf("%d rows, want 100", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), insert(1000)); fault.Code(err) != store.CodeClosed {
		t.Errorf("write after close: %v", err)
	}
	if n := count(t, open(t, path, schema(table))); n != 100 {
		t.Errorf("%d rows after reopening", n)
	}
}

// TestLoneWrite: a write that shares its commit with no other is kept or undone as
// a whole as well, and its error is the caller's own.
func TestLoneWrite(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), schema(table))
	boom := errors.New("boom")
	err := db.Write(t.Context(), func(tx *sql.Tx) error { return errors.Join(insert(1)(tx), boom) })
	if !errors.Is(err, boom) {
		t.Errorf("a write that fails: %v", err)
	}
	err = db.Write(t.Context(), func(tx *sql.Tx) error { _ = insert(2)(tx); panic("boom") })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("a write that panics: %v", err)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows of writes that failed", n)
	}
	if err := db.Write(t.Context(), insert(3)); err != nil || count(t, db) != 1 {
		t.Errorf("next write: %v", err)
	}
	if err := db.Write(t.Context(), func(*sql.Tx) error { return boom }); err != boom {
		t.Errorf("error %v is not the write's own", err)
	}
}

func TestWriteGivesUpBeforeItsTurn(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), schema(table))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	entered, leave := make(chan struct{}), make(chan struct{})
	go func() {
		_ = db.Write(context.Background(), func(*sql.Tx) error { close(entered); <-leave; return nil })
	}()
	<-entered
	if err := db.Write(ctx, insert(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	close(leave)
	if err := db.Write(t.Context(), insert(2)); err != nil || count(t, db) != 1 {
		t.Errorf("next write: %v", err)
	}
}

func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	one := schema(table)
	two := schema(table, "ALTER TABLE t ADD COLUMN s TEXT; INSERT INTO t VALUES (7, 'new');")
	db := open(t, path, one)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	broken := schema(table, "ALTER TABLE t ADD COLUMN s TEXT; INSERT INTO nowhere VALUES (1);")
	if _, err := store.Open(t.Context(), path, broken); err == nil {
		t.Fatal("a broken migration passed")
	}
	for range 2 {
		db = open(t, path, two)
		if n := count(t, db); n != 1 {
			t.Errorf("%d rows, want the one of the migration", n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	before := contents(t, path)
	if _, err := store.Open(t.Context(), path, one); fault.Code(err) != store.CodeNewer || fault.Hint(err) == "" {
		t.Errorf("newer: %v", err)
	}
	other := two
	other.ID++
	if _, err := store.Open(t.Context(), path, other); fault.Code(err) != store.CodeForeign {
		t.Errorf("foreign: %v", err)
	}
	if contents(t, path) != before {
		t.Error("a refused database was changed")
	}
	for name, dir := range map[string]fs.FS{
		"gap":  fstest.MapFS{"0002_x.sql": {}},
		"name": fstest.MapFS{"first.sql": {}},
	} {
		if _, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "y.db"),
			store.Schema{Name: "test", ID: 1, Migrations: dir}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestForeignWithoutMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aperture.db")
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("CREATE TABLE schema_migrations (version INT)"); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)
	if _, err := store.Open(t.Context(), path, schema(table)); fault.Code(err) != store.CodeForeign {
		t.Errorf("got %v", err)
	}
	if contents(t, path) != before {
		t.Error("somebody else's database was changed")
	}
}

func TestCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)
	_, err := store.Open(t.Context(), path, schema(table))
	if fault.Code(err) != store.CodeCorrupt || !strings.Contains(fault.Hint(err), path) {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	if contents(t, path) != before {
		t.Error("the corrupt file was changed")
	}
}

func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"folder is a file":   filepath.Join(dir, "file", "x.db"),
		"database is folder": dir,
	} {
		_, err := store.Open(t.Context(), path, schema(table))
		if c := fault.Code(err); c != store.CodeUnwritable && c != "write_failed" {
			t.Errorf("%s: %q %v", name, c, err)
		}
	}
}

// TestFull fills the database up to a page limit, as a full disk would.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path, schema("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB) STRICT;"))
	put := func(n int) error {
		return db.Write(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.Exec("PRAGMA max_page_count = 20"); err != nil {
				return err
			}
			_, err := tx.Exec("INSERT INTO t VALUES (?, zeroblob(10000))", n)
			return err
		})
	}
	kept := 0
	var err error
	for ; err == nil && kept < 100; kept++ {
		err = put(kept)
	}
	kept--
	if fault.Code(err) != store.CodeDiskFull {
		t.Fatalf("got %v", err)
	}
	if n := count(t, db); n != kept || kept == 0 {
		t.Errorf("%d rows, %d were acknowledged", n, kept)
	}
	err = db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM t WHERE n = 0")
		return err
	})
	if err != nil {
		t.Errorf("after making space: %v", err)
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadCutShort: a reader that hangs up is no failure of the database.
func TestReadCutShort(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "t.db"), schema(table))
	for name, told := range map[string]bool{"fn has read all": false, "fn is told": true} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			err := db.Read(ctx, func(tx *sql.Tx) error {
				cancel()
				var n int
				until.True(t, "the end of the transaction", func() bool {
					return errors.Is(tx.QueryRow("SELECT count(*) FROM t").Scan(&n), sql.ErrTxDone)
				})
				if told {
					return sql.ErrTxDone
				}
				return nil
			})
			if told && !errors.Is(err, context.Canceled) || !told && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}
