package guardpost

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
)

// Files in Options.Dir.
const (
	databaseFile = "guard.db"
	lockFile     = "guard.lock"
	nodeFile     = "node-id"
)

// Offline calls read with the ledger in a folder, open for reading only, and
// with its path. Codes: no_accounts, and those of account.View.
func Offline(ctx context.Context, dir string, read func(path string, l *account.Ledger) error) (err error) {
	path := filepath.Join(dir, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fault.New("no_accounts", "leyden node start --detach", "there are no accounts in %q", dir)
	}
	ledger, err := account.View(ctx, path, nil)
	if err != nil {
		return err
	}
	return errors.Join(read(path, ledger), ledger.Close())
}

// acquire makes this the one process that uses the folder's accounts.
func acquire(dir string) (*daemon.Lock, error) {
	lock, err := daemon.Acquire(filepath.Join(dir, lockFile))
	if fault.Code(err) == "already_running" {
		return nil, fault.New("guard_running", "stop it first, or choose another folder with --home",
			"another process guards the accounts in %q: %w", dir, err)
	}
	return lock, err
}
