package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"

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
