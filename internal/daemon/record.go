package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Record is what a running process writes down about itself for our other
// commands: a JSON file, mode 0600, kept in step. It holds no secrets. Safe for
// concurrent use.
type Record[T any] struct {
	path string
	log  *slog.Logger

	mu  sync.Mutex
	now T
}

// ReadRecord returns the pid of the process that holds the pid file, and what it has
// written down: the zero value while it has yet to write, which is what a killed one
// left behind counts as. pidOf is the record's own pid, stop the command that ends the
// process, for hints. Codes: not_running, no_status.
func ReadRecord[T any](pidFile, recordFile string, pidOf func(T) int, stop string) (r T, pid int, err error) {
	var none T
	pid, ok := Running(pidFile)
	if !ok {
		return none, 0, fault.New("not_running", "", "not running (%s is free)", pidFile)
	}
	data, err := os.ReadFile(recordFile)
	if errors.Is(err, fs.ErrNotExist) {
		return none, pid, nil
	}
	if err != nil {
		return none, pid, fault.New("no_status", "check the file's owner and mode", "status: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return none, pid, fault.New("no_status", stop, "status in %q is malformed: %w", recordFile, err)
	}
	if pidOf(r) != pid {
		return none, pid, nil
	}
	return r, pid, nil
}

// NewRecord writes nothing yet.
func NewRecord[T any](path string, first T, log *slog.Logger) *Record[T] {
	return &Record[T]{path: path, log: log, now: first}
}

// Get returns what is recorded now.
func (r *Record[T]) Get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Update changes the record. A file that cannot be written only blinds our
// other commands, so it is logged and no error.
func (r *Record[T]) Update(change func(*T)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.now)
	data, err := json.MarshalIndent(r.now, "", "  ")
	if err == nil {
		err = files.Write(r.path, append(data, '\n'), 0o600)
	}
	if err != nil {
		r.log.Error("status not written down", "error", err)
	}
}

// Remove removes the file, at the end.
func (r *Record[T]) Remove() error {
	err := os.Remove(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
