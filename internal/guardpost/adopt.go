package guardpost

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// byRestore is who freezes a ledger that was restored.
var byRestore = audit.Actor{Kind: "operator", Via: "restore"}

// Unused refuses a folder whose ledger has accounts. Code: accounts_exist.
func Unused(ctx context.Context, dir string) error {
	err := Offline(ctx, dir, func(path string, l *account.Ledger) error {
		there, err := l.Check(ctx)
		if err == nil && there.Accounts > 0 {
			err = fault.New("accounts_exist", "move the folder away, or leave the accounts as they are with --channels-only",
				"there are %d accounts in %q already", there.Accounts, path)
		}
		return err
	})
	if fault.Code(err) == "no_accounts" {
		return nil
	}
	return err
}

// Adopt makes a copy of the ledger of a node (identity key, hex; empty: of any) the
// ledger of a folder that has no accounts. Everything in it is frozen: what was
// spent after the copy was made, it does not know. Codes: accounts_exist,
// guard_running, and those of store.Open.
func Adopt(ctx context.Context, dir string, ledger []byte, node string) error {
	if err := files.MkdirPrivate(dir); err != nil {
		return err
	}
	lock, err := acquire(dir)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := Unused(ctx, dir); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, "restore-")
	if err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "restore the accounts: %w", err)
	}
	defer os.RemoveAll(temp)
	path := filepath.Join(temp, databaseFile)
	if err := files.Write(path, ledger, 0o600); err != nil {
		return err
	}
	if err := freeze(ctx, path); err != nil {
		return err
	}
	if node != "" {
		if err := files.Write(filepath.Join(dir, nodeFile), []byte(node+"\n"), 0o600); err != nil {
			return err
		}
	}
	return replaceLedger(dir, path)
}

// freeze freezes everything in a ledger that nobody uses.
func freeze(ctx context.Context, path string) error {
	l, err := account.Open(ctx, path, nil)
	if err != nil {
		return err
	}
	return errors.Join(l.SetFrozenAll(ctx, byRestore, true), l.Close())
}

// replaceLedger puts a closed ledger in the place of one without accounts.
func replaceLedger(dir, path string) error {
	old := filepath.Join(dir, databaseFile)
	var err error
	for _, end := range []string{"-wal", "-shm"} {
		if gone := os.Remove(old + end); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if err = errors.Join(err, os.Rename(path, old)); err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "restore the accounts: %w", err)
	}
	return files.SyncDir(dir)
}
