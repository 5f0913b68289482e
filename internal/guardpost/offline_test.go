package guardpost

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
)

// TestOffline: the books are read while nobody guards them, and beside a guard,
// and stay as they were.
func TestOffline(t *testing.T) {
	dir := t.TempDir()
	none := func(string, *account.Ledger) error { panic("there is nothing to read") }
	if err := Offline(t.Context(), dir, none); fault.Code(err) != "no_accounts" {
		t.Errorf("without accounts: %v", err)
	}
	by := audit.Actor{Kind: "operator", Via: "api"}
	p := open(t, dir)
	made, err := p.ledger.Create(t.Context(), by, account.New{Label: "agent", Balance: 5000})
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string, l *account.Ledger) error {
		if path != filepath.Join(dir, databaseFile) {
			t.Errorf("path %q", path)
		}
		report, err := l.Check(t.Context())
		if err != nil || len(report.Faults) > 0 || report.Balances != 5000 {
			t.Errorf("check: %+v, %v", report, err)
		}
		head, faults, err := l.Journal().Verify(t.Context())
		if err != nil || len(faults) > 0 || head.Seq != 1 {
			t.Errorf("verify: %v, %v, %v", head, faults, err)
		}
		_, err = l.Credit(t.Context(), by, made.ID, 1, "")
		if fault.Code(err) != "database_unwritable" {
			t.Errorf("credit: %v", err)
		}
		return nil
	}
	if err := Offline(t.Context(), dir, read); err != nil {
		t.Errorf("beside a guard: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := Offline(t.Context(), dir, read); err != nil {
		t.Errorf("while nobody guards: %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, databaseFile)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database was changed: %v", err)
	}
}
