package wallet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// PendingFile holds the new password from before the wallet changes until a start
// finds it; passwordFile is where a password that was made lies.
func PendingFile(passwordFile string) string { return passwordFile + ".new" }

// Change is a change of the password of a wallet whose lnd does not run.
type Change struct {
	// PIDFile is held while the wallet changes.
	PIDFile string

	// Old holds the present password. New holds the next; empty: one is made, and
	// lies in Made from then on.
	Old, New, Made string

	// Used is the file that a start reads now.
	Used string

	// Runner makes what runs the wallet's lnd.
	Runner func() (lnd.Runner, error)

	// Remember makes a start read the file; empty means Made.
	Remember func(file string) error
}

// Do changes the password, once the new one is safe in PendingFile(Made), and
// returns the path of the file that opens the wallet from now on. A change that was
// cut short is undone first. Codes: already_running, wrong_password, those of
// ReadPassword, and those of a start.
func (c Change) Do(ctx context.Context) (file string, err error) {
	old, err := ReadPassword(c.Old)
	if err != nil {
		return "", err
	}
	changed := []byte(rand.Text())
	if c.New != "" {
		if c.New, err = filepath.Abs(c.New); err != nil {
			return "", err
		}
		if changed, err = ReadPassword(c.New); err != nil {
			return "", err
		}
	}
	lock, err := daemon.Acquire(c.PIDFile)
	if err != nil {
		return "", err
	}
	defer lock.Release()
	r, err := c.Runner()
	if err != nil {
		return "", err
	}
	if err := change(ctx, r, PendingFile(c.Made), old, changed); err != nil {
		return "", err
	}
	return c.adopt(changed)
}

// change undoes what was cut short, and has lnd change the password.
func change(ctx context.Context, r lnd.Runner, pending string, old, changed []byte) error {
	if err := undo(ctx, r, pending, old); err != nil {
		return err
	}
	if err := write(pending, changed); err != nil {
		return err
	}
	err := lnd.ChangePassword(ctx, r, old, changed)
	if fault.Code(err) == "wrong_password" {
		err = errors.Join(err, os.Remove(pending))
	}
	return err
}

func write(file string, password []byte) error {
	return files.Write(file, append(bytes.Clone(password), '\n'), 0o600)
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

// adopt makes the password that the wallet now has the one that a start uses. The
// pending file goes last: while it is there, CutShort can explain a start that uses
// the old one.
func (c Change) adopt(changed []byte) (file string, err error) {
	pending := PendingFile(c.Made)
	if c.New == "" && c.Used == c.Made {
		if err := os.Rename(pending, c.Made); err != nil {
			return "", fault.New("write_failed", "rename it yourself", "the password is in %q: %w", pending, err)
		}
		return c.Made, errors.Join(files.SyncDir(filepath.Dir(c.Made)), c.Remember(""))
	}
	if file = c.New; file == "" {
		file = c.Made
		if err := write(file, changed); err != nil {
			return "", err
		}
	}
	if err := c.Remember(c.New); err != nil {
		return "", err
	}
	if err := os.Remove(pending); err != nil {
		return "", fault.New("write_failed", "remove it", "superfluous password file: %w", err)
	}
	return file, nil
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
