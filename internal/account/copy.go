package account

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// CopyTo writes the ledger, as it is at one moment, to a new file. The secrets of
// sessions stay behind: in the copy, no session is open. Errors are store's.
func (l *Ledger) CopyTo(ctx context.Context, path string) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "copy-")
	if err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "copy the ledger: %w", err)
	}
	defer os.RemoveAll(dir)
	whole := filepath.Join(dir, "whole.db")
	if err := l.db.CopyTo(ctx, whole); err != nil {
		return err
	}
	db, err := guarddb.Open(ctx, whole)
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(tx *sql.Tx) error {
		return guarddb.New(tx).SessionsForget(ctx, guarddb.SessionsForgetParams{
			Reason: "this is a copy of the ledger", EndedMs: l.now().UnixMilli(),
		})
	})
	if err == nil { // anew, since what was deleted is still in the pages
		err = db.CopyTo(ctx, path)
	}
	return errors.Join(err, db.Close())
}
