package guarddb

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/leydenln/leyden/internal/store"
)

// TestUpgrade: a database of the time before transfers becomes one with them,
// and what is in it stays.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.db")
	old := fstest.MapFS{}
	for _, name := range []string{"0001_journal.sql", "0002_ledger.sql"} {
		script, err := schema.ReadFile("schema/" + name)
		if err != nil {
			t.Fatal(err)
		}
		old[name] = &fstest.MapFile{Data: script}
	}
	before, err := store.Open(t.Context(), path, store.Schema{Name: "guard", ID: applicationID, Migrations: old})
	if err != nil {
		t.Fatal(err)
	}
	err = before.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO journal VALUES (1, 1, 'account.create', '', '', '', '', '', '', '', zeroblob(32));
			INSERT INTO books (name) VALUES ('aa');
			INSERT INTO accounts VALUES (3, x'aaaaaaaaaaaaaaaa', '', 0, '{}', 0, 0, 10, 0, 0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1);
			INSERT INTO payments VALUES (1, 3, 1, zeroblob(32), 'open', 10, 0, 10, 0, 0, 0, 0, 'run', 0, 0, 1, 0, 1, NULL,
				zeroblob(33), 0, 0, '', '', '', x'', x'')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Read(t.Context(), func(tx *sql.Tx) error {
		open, err := New(tx).PaymentsOpen(context.Background())
		if err == nil && (len(open) != 1 || open[0].Payment.Invoice.Valid) {
			t.Errorf("open payments: %+v", open)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
