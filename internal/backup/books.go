package backup

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Books are what the copy of a ledger holds.
type Books struct {
	Accounts uint64    `json:"accounts"`
	Time     time.Time `json:"time"`
}

// CheckLedger recomputes the folder's copy of the ledger. Nil without one. Codes:
// backup_damaged, backup_unusable.
func (f Folder) CheckLedger(ctx context.Context, b *Backup) (books *Books, err error) {
	if b.Ledger == nil {
		return nil, b.LedgerFault
	}
	temp, err := os.MkdirTemp("", "leyden-trial-")
	if err != nil {
		return nil, fault.New("write_failed", "check TMPDIR", "folder for a copy of the ledger: %w", err)
	}
	defer os.RemoveAll(temp)
	data, _, err := f.intact(LedgerFile, []Copy{*b.Ledger})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(temp, LedgerFile)
	if err := files.Write(path, data, 0o600); err != nil {
		return nil, err
	}
	l, err := account.View(ctx, path, nil)
	if err != nil {
		return nil, fault.New(CodeFailed, hintDamaged, "the copy of the ledger: %w", err)
	}
	defer l.Close()
	found, err := l.Check(ctx)
	if err == nil && len(found.Faults) > 0 {
		err = fault.New(CodeFailed, "leyden accounts check", "the copy of the ledger is not consistent: %s", found.Faults[0])
	}
	return &Books{Accounts: found.Accounts, Time: b.Ledger.Time}, err
}
