package store_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestPace: writes that come while the pace holds them back share a commit.
func TestPace(t *testing.T) {
	s := schema(table)
	s.Pace = 500 * time.Millisecond
	db := open(t, filepath.Join(t.TempDir(), "x.db"), s)
	commits := make(map[*sql.Tx]int)
	write := func(n int) error {
		return db.Write(t.Context(), func(tx *sql.Tx) error {
			commits[tx]++ // writes run one at a time
			return insert(n)(tx)
		})
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for n := range 16 {
		g.Go(func() error { return write(1 + n) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(commits) > 3 || count(t, db) != 17 {
		t.Errorf("%d commits of %d rows, want that they share one", len(commits), count(t, db))
	}
}
