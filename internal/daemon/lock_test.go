package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestLookingDoesNotLock: who asks whether something runs, which holds the lock
// for a moment, does not keep it from starting.
func TestLookingDoesNotLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pid")
	open := func() *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	starts, looks := open(), open()
	defer starts.Close()
	if err := syscall.Flock(int(looks.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	pauses := 0
	if err := lock(starts, func() { pauses++ }); !errors.Is(err, syscall.EWOULDBLOCK) || pauses != lockTries-1 {
		t.Errorf("who stays: %v after %d pauses", err, pauses)
	}
	if err := lock(starts, func() { _ = looks.Close() }); err != nil {
		t.Errorf("who leaves: %v", err)
	}
}
