package gate

import (
	"bufio"
	"errors"
	"log/slog"
	"os"
	"sync"

	"github.com/leydenln/leyden/internal/fault"
)

const (
	accessBuffer = 64 << 10
	accessMode   = 0o600
)

// accessLog is a file with a line for each request. Lines wait in memory for a
// second at most. When the file cannot be written, lines are lost and counted,
// and requests go on.
type accessLog struct {
	log *slog.Logger

	mu     sync.Mutex
	file   *os.File      // nil for none
	buffer *bufio.Writer // nil for none
	failed bool          // the last write did
	lost   uint64        // lines, since the start
}

// openAccessLog opens the file of a configuration for appending; nil for none.
// Code bad_config.
func (c *Config) openAccessLog() (*os.File, error) {
	switch c.AccessLog {
	case "":
		return nil, nil
	case "-":
		return os.Stderr, nil
	}
	f, err := os.OpenFile(c.AccessLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, accessMode)
	if err != nil {
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
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flush()
	err := closeLog(a.file)
	a.file, a.buffer, a.failed = f, nil, false
	if f != nil {
		a.buffer = bufio.NewWriterSize(f, accessBuffer)
	}
	return err
}

// on reports whether lines are wanted.
func (a *accessLog) on() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buffer != nil
}

// write adds a line.
func (a *accessLog) write(line []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.buffer == nil {
		return
	}
	if len(line) > a.buffer.Available() {
		a.flush() // whole lines, so that none is torn when it fails
	}
	if _, err := a.buffer.Write(line); err != nil {
		a.lost++
	}
}

// flush writes what waits. After an error the lines are gone: the next ones
// are tried anew. The lock is held.
func (a *accessLog) flush() {
	if a.buffer == nil || a.buffer.Buffered() == 0 {
		return
	}
	waiting := a.buffer.Buffered()
	err := a.buffer.Flush()
	if err == nil {
		a.failed = false
		return
	}
	a.lost += uint64(max(1, waiting/typicalLine))
	a.buffer.Reset(a.file)
	if !a.failed {
		a.log.Error("access log: lines are lost", "err", err)
	}
	a.failed = true
}

// typicalLine is how long a line is taken to be when lost ones are counted.
const typicalLine = 256

func (a *accessLog) linesLost() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost
}

// flushNow writes what waits.
func (a *accessLog) flushNow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flush()
}

// close writes what waits and closes the file.
func (a *accessLog) close() error {
	err := a.use(nil)
	if a.linesLost() > 0 {
		err = errors.Join(err, errors.New("the access log lacks lines that could not be written"))
	}
	return err
}
