// Package daemon runs one of our commands in the background: a pid file that
// only a live process holds, a detached start that reports readiness or the
// error, and an orderly stop. It does not supervise; systemd or internal/lnd
// do that. POSIX only.
package daemon

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// pollInterval is how often a stop looks whether the process has ended.
const pollInterval = 20 * time.Millisecond

// How often, and with which pauses, a lock is tried that somebody holds.
const (
	lockTries = 10
	lockPause = 2 * time.Millisecond
)

// Lock is a pid file held by this process. The lock, not the number in the
// file, says that the process lives: the kernel drops it whatever kills us.
type Lock struct {
	file *os.File
}

// Acquire makes the pid file (mode 0600, its folder 0700) and locks it.
// When a living process holds it the error has the code already_running.
func Acquire(path string) (*Lock, error) {
	if err := files.MkdirPrivate(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fault.New("write_failed", "check the folder's owner and mode", "pid file: %w", err)
	}
	if err := lock(f, func() { time.Sleep(lockPause) }); err != nil {
		pid := readPid(f)
		f.Close()
		return nil, fault.New("already_running", "stop it first",
			"already running with pid %d (%s is locked)", pid, path)
	}
	if err := writePid(f); err != nil {
		f.Close()
		return nil, files.Fault(path, err)
	}
	return &Lock{file: f}, nil
}

// lock locks the file. Running, in another process, holds it for a moment too,
// so one refusal says nothing.
func lock(f *os.File, pause func()) error {
	for tries := 1; ; tries++ {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || tries == lockTries {
			return err
		}
		pause()
	}
}

// Release empties the pid file and lets go of it. The file stays, so that two
// starts never lock two different files of one name. Safe to call twice.
func (l *Lock) Release() error {
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.file.Truncate(0), l.file.Close())
	l.file = nil
	return err
}

// Running returns the pid of the process that holds the pid file.
func Running(path string) (pid int, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return 0, false
	}
	return readPid(f), true
}

// Stop sends SIGTERM to the process that holds the pid file and waits until
// it has let go, or ctx ends (code stop_timeout). Nobody there: not_running.
func Stop(ctx context.Context, path string) error {
	pid, ok := Running(path)
	if !ok || pid <= 0 {
		return fault.New("not_running", "", "not running (%s is free)", path)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fault.New("stop_failed", "run this as the user who started it", "stop pid %d: %w", pid, err)
	}
	for {
		if now, ok := Running(path); !ok || now != pid {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New("stop_timeout", "see its log; kill "+strconv.Itoa(pid)+" as a last resort",
				"pid %d has not ended: %w", pid, ctx.Err())
		case <-time.After(pollInterval):
		}
	}
}

func readPid(f *os.File) int {
	buf := make([]byte, 32)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}

func writePid(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}
