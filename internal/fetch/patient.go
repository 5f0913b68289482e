package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// patient gives a request up when the server neither takes more of its body
// nor answers for limit; http.Transport begins to count only once the body has
// gone.
type patient struct {
	base  http.RoundTripper
	limit time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (p patient) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return p.base.RoundTrip(req)
	}
	silent := fmt.Errorf("the server took nothing for %s", p.limit)
	ctx, cancel := context.WithCancelCause(req.Context())
	up := &upload{ReadCloser: req.Body, limit: p.limit, late: func() { cancel(silent) }}
	req = req.WithContext(ctx)
	req.Body = up
	resp, err := p.base.RoundTrip(req)
	up.stop()
	if err != nil {
		if context.Cause(ctx) == silent {
			err = silent
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &download{resp.Body, cancel}
	return resp, nil
}

// upload is a body that calls late when it is not read on for limit.
type upload struct {
	io.ReadCloser
	limit time.Duration
	late  func()

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// Read implements [io.Reader].
func (u *upload) Read(b []byte) (int, error) {
	n, err := u.ReadCloser.Read(b)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.over:
	case u.timer == nil:
		u.timer = time.AfterFunc(u.limit, u.late)
	default:
		u.timer.Reset(u.limit)
	}
	return n, err
}

func (u *upload) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	if u.timer != nil {
		u.timer.Stop()
	}
}

// download ends the request's context with the answer's body.
type download struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

// Close implements [io.Closer].
func (d *download) Close() error {
	defer d.cancel(nil)
	return d.ReadCloser.Close()
}
