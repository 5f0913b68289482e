package node

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// ChangePassword gives the wallet of a node that does not run another
// password. oldFile empty means the file that a start would use; newFile empty
// means that one is made and written to wallet-password.txt. Returns the path of
// the file that opens the wallet from now on. The new password is on disk, in
// newFile or wallet-password.txt.new, before the wallet changes. Codes:
// already_running, no_wallet, wrong_password, and those of ReadPassword.
func ChangePassword(ctx context.Context, home config.Home, oldFile, newFile string, log *slog.Logger) (string, error) {
	kept, err := loadRemembered(home)
	if errors.Is(err, fs.ErrNotExist) {
		return "", noNode(home)
	}
	if err != nil {
		return "", err
	}
	if oldFile == "" {
		oldFile = kept.passwordFile(home)
	}
	old, err := ReadPassword(oldFile)
	if err != nil {
		return "", err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return "", err
	}
	defer lock.Release()
	built, err := build(home, Options{}, kept)
	if err != nil {
		return "", err
	}
	r, err := newRunner(home, built, log)
	if err != nil {
		return "", err
	}
	if newFile != "" {
		return kept.changeTo(ctx, home, r, old, newFile)
	}
	return kept.changeToMade(ctx, home, r, old)
}

// changeTo takes the new password from a file of the operator's.
func (k remembered) changeTo(ctx context.Context, home config.Home, r lnd.Runner, old []byte, file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	changed, err := ReadPassword(path)
	if err != nil {
		return "", err
	}
	if err := lnd.ChangePassword(ctx, r, old, changed); err != nil {
		return "", err
	}
	k.PasswordFile = path
	return path, k.save(home)
}

// changeToMade makes the new password.
func (k remembered) changeToMade(ctx context.Context, home config.Home, r lnd.Runner, old []byte) (string, error) {
	path := passwordFile(home)
	changed := rand.Text()
	if err := files.Write(path+".new", []byte(changed+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := lnd.ChangePassword(ctx, r, old, []byte(changed)); err != nil {
		if fault.Code(err) == "wrong_password" {
			err = errors.Join(err, os.Remove(path+".new"))
		}
		return "", err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fault.New("write_failed", "rename it yourself", "the password is in %q: %w", path+".new", err)
	}
	if err := files.SyncDir(home.Node()); err != nil {
		return "", err
	}
	k.PasswordFile = ""
	return path, k.save(home)
}
