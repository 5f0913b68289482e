package files

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// Lock makes the caller the only one, of all processes, that holds the lock of
// that file, which is made, empty, where it is missing. It waits for its turn
// until ctx ends. The lock is lost with the process.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, f); err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// flock takes the lock on f, and closes f when it fails. The kernel's wait
// cannot be interrupted, so it is left behind when ctx ends first.
func flock(ctx context.Context, f *os.File) error {
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- lockWait(f) }()
	select {
	case err := <-done:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		go func() { <-done; f.Close() }()
		return ctx.Err()
	}
}

func lockWait(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
