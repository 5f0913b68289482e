package wallet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// PendingFile holds the new password from before the wallet changes until a start
// finds it; passwordFile is where a password that was made lies.
func PendingFile(passwordFile string) string { return passwordFile + ".new" }

// NewPassword reads the file and makes its path absolute, or makes a password.
func NewPassword(file string) (password []byte, path string, err error) {
	if file == "" {
		return []byte(rand.Text()), "", nil
	}
	if path, err = filepath.Abs(file); err != nil {
		return nil, "", err
	}
	password, err = ReadPassword(path)
	return password, path, err
}

// Change changes the password, once the new one is safe in the file pending. A
// change that was cut short is undone first. The caller then adopts the new one:
// see Adopt. Code: wrong_password.
func Change(ctx context.Context, r lnd.Runner, pending string, old, changed []byte) error {
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

// Adopt makes the password that Change set the one that a start uses, and
// remembers it: given is the file it came from, empty for one that was made, which
// becomes passwordFile.
func Adopt(passwordFile, given string, remember func() error) error {
	pending := PendingFile(passwordFile)
	if given != "" {
		if err := remember(); err != nil {
			return err
		}
		if err := os.Remove(pending); err != nil {
			return fault.New("write_failed", "remove it", "superfluous password file: %w", err)
		}
		return nil
	}
	if err := os.Rename(pending, passwordFile); err != nil {
		return fault.New("write_failed", "rename it yourself", "the password is in %q: %w", pending, err)
	}
	if err := files.SyncDir(filepath.Dir(passwordFile)); err != nil {
		return err
	}
	return remember()
}

// CutShort explains why a wallet does not open after a change of its password was
// cut short; other errors it returns as they are. command changes the password.
func CutShort(passwordFile, command string, err error) error {
	pending := PendingFile(passwordFile)
	if !halfOpen(err) || !exists(pending) {
		return err
	}
	return fault.New("wrong_password", command,
		"a change of the wallet's password was cut short; the new one is in %q: %w", pending, err)
}

// halfOpen says whether the wallet or the store of macaroons has another password.
func halfOpen(err error) bool {
	code := fault.Code(err)
	return code == "wrong_password" || code == "macaroon_password"
}
