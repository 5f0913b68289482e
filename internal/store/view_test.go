package store_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store"
)

// TestView: what is in the log of a process that was killed is seen, and neither
// file is changed.
func TestView(t *testing.T) {
	live := filepath.Join(t.TempDir(), "live.db")
	db := open(t, live, schema(table))
	for n := range 5 {
		if err := db.Write(t.Context(), insert(n)); err != nil {
			t.Fatal(err)
		}
	}
	files := make(map[string][]byte) // as a kill would leave them
	for _, end := range []string{"", "-wal"} {
		raw, err := os.ReadFile(live + end)
		if err != nil {
			t.Fatal(err)
		}
		files[end] = raw
	}
	path := filepath.Join(t.TempDir(), "left.db")
	for end, raw := range files {
		if err := os.WriteFile(path+end, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []string{path, live} { // the second is in use
		view, err := store.View(t.Context(), at, schema(table))
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, view); n != 5 {
			t.Errorf("%s: %d rows, want 5", at, n)
		}
		if err := view.Write(t.Context(), insert(9)); fault.Code(err) != store.CodeUnwritable {
			t.Errorf("write: %v", err)
		}
		if err := errors.Join(view.Close(), view.Close()); err != nil {
			t.Error(err)
		}
	}
	for end, before := range files {
		after, err := os.ReadFile(path + end)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("left.db%s was changed: %v", end, err)
		}
	}
	if err := db.Write(t.Context(), insert(9)); err != nil {
		t.Errorf("the process that writes: %v", err)
	}
}

func TestViewRefuses(t *testing.T) {
	dir := t.TempDir()
	made := func(name string, s store.Schema) string {
		path := filepath.Join(dir, name)
		if err := open(t, path, s).Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	two := schema(table, "CREATE TABLE u (n INTEGER) STRICT;")
	other := schema(table)
	other.ID++
	for name, c := range map[string]struct{ path, code string }{
		"older":   {made("older", schema(table)), store.CodeOlder},
		"newer":   {made("newer", schema(table, "SELECT 1;", "SELECT 1;")), store.CodeNewer},
		"foreign": {made("foreign", other), store.CodeForeign},
		"none":    {filepath.Join(dir, "none"), store.CodeUnwritable},
	} {
		before, _ := os.ReadFile(c.path)
		db, err := store.View(t.Context(), c.path, two)
		if fault.Code(err) != c.code || db != nil {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
		if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
}
