package node

import (
	"bytes"
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
// wallet-password.txt.new, before the wallet changes; a change that was cut short
// is undone first. Codes: already_running, no_wallet, wallet_unfinished,
// wrong_password, and those of ReadPassword.
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
	changed, newFile, err := newPassword(newFile)
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
	if err := finished(home, built.Network()); err != nil {
		return "", err
	}
	r, err := newRunner(home, built, log)
	if err != nil {
		return "", err
	}
	if err := change(ctx, r, pendingFile(home), old, changed); err != nil {
		return "", err
	}
	kept.PasswordFile = newFile
	return kept.passwordFile(home), kept.adopt(home)
}

// newPassword reads the file and makes its path absolute, or makes a password.
func newPassword(file string) (password []byte, path string, err error) {
	if file == "" {
		return []byte(rand.Text()), "", nil
	}
	if path, err = filepath.Abs(file); err != nil {
		return nil, "", err
	}
	password, err = ReadPassword(path)
	return password, path, err
}

// pendingFile holds the new password from before the wallet changes until a start
// finds it.
func pendingFile(h config.Home) string { return passwordFile(h) + ".new" }

// change changes the password, once the new one is safe in the file.
func change(ctx context.Context, r lnd.Runner, pending string, old, changed []byte) error {
	if err := undo(ctx, r, pending, old); err != nil {
		return err
	}
	if err := files.Write(pending, append(bytes.Clone(changed), '\n'), 0o600); err != nil {
		return err
	}
	err := lnd.ChangePassword(ctx, r, old, changed)
	if fault.Code(err) == "wrong_password" {
		err = errors.Join(err, os.Remove(pending))
	}
	return err
}

// undo takes back a change that was cut short. lnd changes the wallet first and
// some seconds later its store of macaroons; taking the wallet back fails at a
// store that still has the old password, and leaves both with that.
func undo(ctx context.Context, r lnd.Runner, pending string, old []byte) error {
	half, err := ReadPassword(pending)
	if fault.Code(err) == "no_password_file" {
		return nil
	}
	if err != nil {
		return err
	}
	err = lnd.ChangePassword(ctx, r, half, old)
	if halfOpen(err) {
		return nil
	}
	return err
}

// adopt remembers the password file that opens the wallet now.
func (k remembered) adopt(home config.Home) error {
	if k.PasswordFile != "" {
		if err := k.save(home); err != nil {
			return err
		}
		if err := os.Remove(pendingFile(home)); err != nil {
			return fault.New("write_failed", "remove it", "superfluous password file: %w", err)
		}
		return nil
	}
	if err := os.Rename(pendingFile(home), passwordFile(home)); err != nil {
		return fault.New("write_failed", "rename it yourself", "the password is in %q: %w", pendingFile(home), err)
	}
	if err := files.SyncDir(home.Node()); err != nil {
		return err
	}
	return k.save(home)
}

// cutShort explains why a wallet does not open after a change of its password
// was cut short.
func cutShort(home config.Home, err error) error {
	if !halfOpen(err) || !exists(pendingFile(home)) {
		return err
	}
	return fault.New("wrong_password", "leyden node change-password",
		"a change of the wallet's password was cut short; the new one is in %q: %w", pendingFile(home), err)
}

// halfOpen says whether the wallet or the store of macaroons has another password.
func halfOpen(err error) bool {
	code := fault.Code(err)
	return code == "wrong_password" || code == "macaroon_password"
}
