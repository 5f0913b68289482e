package lnd

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/leydenln/leyden/internal/fault"
)

// maxRuntimeBase keeps a socket's path below the 104 bytes that some systems
// allow: base + "/leyden-4294967295" + "/" + 16 hex digits + "/lnd.sock".
const maxRuntimeBase = 104 - 18 - 1 - 16 - 9 - 1

// RuntimeDir makes and returns a private folder (0700, ours) with a short path
// that belongs to the given lnddir, for the child's socket. It is in
// XDG_RUNTIME_DIR, else in the folder for temporary files, and in /tmp when
// those are too deep. A folder that somebody else prepared is refused with the
// code insecure_runtime_dir.
func RuntimeDir(lndDir string) (string, error) {
	base := runtimeBase()
	if err := ownedDir(base); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(filepath.Clean(lndDir)))
	dir := filepath.Join(base, hex.EncodeToString(sum[:8]))
	return dir, ownedDir(dir)
}

func runtimeBase() string {
	uid := strconv.Itoa(os.Getuid())
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && len(dir) <= maxRuntimeBase && checkOwned(dir) == nil {
		return filepath.Join(dir, "leyden")
	}
	if dir := os.TempDir(); filepath.IsAbs(dir) && len(dir) <= maxRuntimeBase {
		return filepath.Join(dir, "leyden-"+uid)
	}
	return filepath.Join("/tmp", "leyden-"+uid)
}

// ownedDir makes the folder if need be and verifies that only we can use it.
func ownedDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fault.New("write_failed", "check TMPDIR and XDG_RUNTIME_DIR", "make the socket's folder: %w", err)
	}
	err := checkOwned(dir)
	if err == nil {
		return nil
	}
	hint := "set XDG_RUNTIME_DIR to a folder of yours, mode 0700"
	if errors.Is(err, errOpen) { // it is ours, and sockets of running nodes may be in it
		hint = "chmod 700 " + dir
	}
	return fault.New("insecure_runtime_dir", hint, "folder %q for the socket: %w", dir, err)
}

// errOpen is in the chain of a folder's error that is ours, and open to others.
var errOpen = errors.New("lets others in")

func checkOwned(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return errors.New("not a folder")
	case !ok || int(stat.Uid) != os.Getuid():
		return errors.New("belongs to another user")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("mode %#o %w", info.Mode().Perm(), errOpen)
	}
	return nil
}
