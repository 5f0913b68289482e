package gate

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

const (
	accessMode = 0o600

	// enoughLines is how many bytes of lines are worth writing at once, and
	// mostLines how many may wait.
	enoughLines = 64 << 10
	mostLines   = 4 << 20

	// writePatience is how long a pipe that nobody empties is waited for.
	writePatience = time.Second
)

// accessLog is a file with a line for each request. Lines wait in memory until
// they are flushed. No request waits for the file: when it cannot be written,
// or not as fast as requests come, lines are lost and counted.
type accessLog struct {
	log    *slog.Logger
	wanted atomic.Bool
	lost   atomic.Uint64 // lines, since the start
	enough chan struct{} // has one when enough lines wait

	mu      sync.Mutex
	waiting []byte

	writing sync.Mutex // held around mu, not within
	file    *os.File   // nil for none
	spare   []byte
	failed  bool // the last write did
	torn    bool // and ended amid a line
}

func newAccessLog(log *slog.Logger) *accessLog {
	return &accessLog{log: log, enough: make(chan struct{}, 1)}
}

// openAccessLog opens the file of a configuration for appending; nil for none.
// It waits for nobody: a named pipe must have its reader. Code bad_config.
func (c *Config) openAccessLog() (*os.File, error) {
	switch c.AccessLog {
	case "":
		return nil, nil
	case "-":
		return os.Stderr, nil
	}
	f, err := os.OpenFile(c.AccessLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, accessMode)
	switch {
	case errors.Is(err, syscall.ENXIO):
		return nil, fault.New(CodeBadConfig, "start what reads it first", "accesslog: nobody reads the pipe %s", c.AccessLog)
	case err != nil:
		return nil, fault.New(CodeBadConfig, "correct gate.yaml", "accesslog: %w", err)
	}
	return f, nil
}

// closeLog closes a file of openAccessLog.
func closeLog(f *os.File) error {
	if f == nil || f == os.Stderr {
		return nil
	}
	return f.Close()
}

// use writes to another file from now on, nil for none, and closes the one
// before.
func (a *accessLog) use(f *os.File) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.flush()
	last := a.file
	a.file, a.failed, a.torn = f, false, false
	a.wanted.Store(f != nil)
	return closeLog(last)
}

// write adds a line.
func (a *accessLog) write(line []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting)+len(line) > mostLines {
		a.lost.Add(1)
		return
	}
	a.waiting = append(a.waiting, line...)
	if len(a.waiting) >= enoughLines {
		select {
		case a.enough <- struct{}{}:
		default:
		}
	}
}

// flushNow writes what waits.
func (a *accessLog) flushNow() {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.flush()
}

func (a *accessLog) flush() {
	a.mu.Lock()
	lines := a.waiting
	a.waiting, a.spare = a.spare[:0], lines
	a.mu.Unlock()
	if len(lines) == 0 || a.file == nil {
		return
	}
	_ = a.file.SetWriteDeadline(time.Now().Add(writePatience)) // only a pipe has one
	if a.torn {
		if _, err := a.file.WriteString("\n"); err != nil {
			a.fail(lines, err)
			return
		}
		a.torn = false
	}
	n, err := a.file.Write(lines)
	if err == nil {
		a.failed = false
		return
	}
	a.torn = n > 0 && lines[n-1] != '\n'
	a.fail(lines[n:], err)
}

// fail gives up lines that could not be written.
func (a *accessLog) fail(lines []byte, err error) {
	a.lost.Add(uint64(bytes.Count(lines, []byte("\n"))))
	if !a.failed {
		a.log.Error("access log: lines are lost", "err", err)
	}
	a.failed = true
}

// close writes what waits and closes the file.
func (a *accessLog) close() error {
	err := a.use(nil)
	if n := a.lost.Load(); n > 0 && err == nil {
		err = fmt.Errorf("the access log lacks %d lines that could not be written", n)
	}
	return err
}
