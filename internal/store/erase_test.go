package store_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/leydenln/leyden/internal/store"
	"github.com/leydenln/leyden/internal/until"
)

// secret is looked for by a part of it.
var secret = bytes.Repeat([]byte{0xa7}, 400)

func hasSecret(t *testing.T, dir string) bool {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, secret[:40]) {
			return true
		}
	}
	return false
}

func exec(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestErase: what was replaced is in no file any more, once nobody reads there;
// writers do not wait for that.
func TestErase(t *testing.T) {
	dir := t.TempDir()
	s := schema("CREATE TABLE t (n INTEGER PRIMARY KEY, secret BLOB) STRICT;")
	s.Secrets = true
	db := open(t, filepath.Join(dir, "x.db"), s)
	exec(t, db, "INSERT INTO t VALUES (1, ?)", secret)
	if !hasSecret(t, dir) {
		t.Fatal("the secret is not where it is looked for")
	}
	err := db.Read(t.Context(), func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil {
			return err
		}
		exec(t, db, "UPDATE t SET secret = x''")
		db.Erase()
		for n := range 20 {
			exec(t, db, "INSERT INTO t VALUES (?, x'')", 2+n)
		}
		if !hasSecret(t, dir) {
			t.Error("the reader's view is gone")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	until.True(t, "the end of the secret", func() bool { return !hasSecret(t, dir) })
}

// TestEraseAfterKill: what was to be erased when the process was killed is erased
// by the next one.
func TestEraseAfterKill(t *testing.T) {
	dir, next := t.TempDir(), t.TempDir()
	s := schema("CREATE TABLE t (n INTEGER PRIMARY KEY, secret BLOB) STRICT;")
	s.Secrets = true
	db := open(t, filepath.Join(dir, "x.db"), s)
	exec(t, db, "INSERT INTO t VALUES (1, ?)", secret)
	exec(t, db, "UPDATE t SET secret = x''")
	if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if !hasSecret(t, next) {
		t.Fatal("nothing was left to erase")
	}
	open(t, filepath.Join(next, "x.db"), s)
	until.True(t, "the end of the secret", func() bool { return !hasSecret(t, next) })
}
