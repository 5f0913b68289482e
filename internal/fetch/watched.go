package fetch

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// progressEvery is how often progress is told.
const progressEvery = 200 * time.Millisecond

// watched is a body of which some has come before; it tells its progress, and
// fails when it is waited for too long. Who takes what has come may take as long
// as they like.
type watched struct {
	body  io.ReadCloser
	limit time.Duration
	timer *time.Timer
	late  atomic.Bool

	progress    func(done, total int64)
	done, total int64
	told        time.Time
}

func newWatched(resp *http.Response, limit time.Duration, before int64, progress func(done, total int64)) *watched {
	w := &watched{body: resp.Body, limit: limit, progress: progress, done: before, total: -1, told: time.Now()}
	if resp.ContentLength >= 0 {
		w.total = before + resp.ContentLength
	}
	w.timer = time.AfterFunc(limit, func() {
		w.late.Store(true)
		resp.Body.Close()
	})
	w.timer.Stop()
	return w
}

// Read implements [io.Reader].
func (w *watched) Read(b []byte) (int, error) {
	w.timer.Reset(w.limit)
	n, err := w.body.Read(b)
	w.timer.Stop()
	w.done += int64(n)
	if w.progress != nil && time.Since(w.told) > progressEvery {
		w.progress(w.done, w.total)
		w.told = time.Now()
	}
	return n, err
}

func (w *watched) err(err error) error {
	if w.late.Load() {
		return fmt.Errorf("nothing came for %s", w.limit)
	}
	return err
}
