package gatedb

import (
	"database/sql"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/leydenln/leyden/internal/store"
)

// TestUpgrade: a database of the time before the Payment scheme becomes one
// with it, and what is in it stays.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	script, err := schema.ReadFile("schema/0001_gate.sql")
	if err != nil {
		t.Fatal(err)
	}
	old := fstest.MapFS{"0001_gate.sql": {Data: script}}
	before, err := store.Open(t.Context(), path, store.Schema{Name: "gate", ID: applicationID, Migrations: old})
	if err != nil {
		t.Fatal(err)
	}
	err = before.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO transactions (payment_hash, token_id, token, service, price_msat, client,
			client_prefix, state, created_ms, expires_ms, settled_ms, paid_msat)
			VALUES (zeroblob(32), zeroblob(32), '', 's', 1000, x'', '', 'settled', 1, 2, 3, 1000)`)
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
	if totals, err := db.Totals(t.Context()); err != nil || totals.Settled != 1 {
		t.Errorf("totals %+v, %v", totals, err)
	}
	if n, err := db.RestoreUnanswered(t.Context()); err != nil || n != 0 {
		t.Errorf("restored %d, %v", n, err)
	}
}
