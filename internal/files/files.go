// Package files writes state and reads secrets so that a crash leaves the old
// file or the new one, never half of one, and so that other users of the
// machine cannot read what they should not. It knows nothing of formats.
package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/leydenln/leyden/internal/fault"
)

// Write replaces path with data under the mode perm: written beside it,
// synced, renamed, and the folder synced. Errors carry the code disk_full or
// write_failed.
func Write(path string, data []byte, perm fs.FileMode) error {
	err := replace(path, data, perm)
	if err == nil {
		err = SyncDir(filepath.Dir(path))
	}
	return Fault(path, err)
}

// replace is renameio.WriteFile, but the half-written file is never in TMPDIR
// and the mode of an old file is not kept.
func replace(path string, data []byte, perm fs.FileMode) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)),
		renameio.WithPermissions(perm), renameio.IgnoreUmask())
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// Leftover says whether name, of a file, is what a Write of base leaves in the folder
// when it is cut short.
func Leftover(name, base string) bool {
	digits, ok := strings.CutPrefix(name, "."+base)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// Sweep removes what writes of path that were cut short have left beside it. Nobody
// may be writing it.
func Sweep(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	for _, e := range entries {
		if Leftover(e.Name(), base) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return Fault(path, err)
}

// MkdirPrivate makes the folder and its parents. The folder itself ends with
// mode 0700, also when it was there before.
func MkdirPrivate(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return Fault(path, err)
	}
	return Fault(path, os.Chmod(path, 0o700))
}

// ReadSecret reads a file that nobody but its owner may read. A file that
// group or others can touch is refused with the code insecure_file.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fault.New("insecure_file", "chmod 600 "+path,
			"secret file %q has mode %#o: other users can read it", path, mode)
	}
	return os.ReadFile(path)
}

// SyncDir makes renames and removals in the folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Fault is the fault of err, met when path was written: disk_full or write_failed;
// nil for nil.
func Fault(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New("disk_full", "free some space, then try again",
			"write %q: %w", path, err)
	default:
		return fault.New("write_failed", "check the folder's owner and mode",
			"write %q: %w", path, err)
	}
}
