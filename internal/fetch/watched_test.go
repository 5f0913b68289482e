package fetch

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// drip is a body that sends one byte after each pause.
type drip struct {
	pauses []time.Duration
	ctx    context.Context
	cancel context.CancelFunc
}

func newDrip(pauses ...time.Duration) *drip {
	d := &drip{pauses: pauses}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

func (d *drip) Read(b []byte) (int, error) {
	if len(d.pauses) == 0 {
		return 0, io.EOF
	}
	pause := d.pauses[0]
	d.pauses = d.pauses[1:]
	select {
	case <-time.After(pause):
		b[0] = 'x'
		return 1, nil
	case <-d.ctx.Done():
		return 0, io.ErrClosedPipe
	}
}

func (d *drip) Close() error { d.cancel(); return nil }

func TestSilenceIsBounded(t *testing.T) {
	cases := map[string]struct {
		pauses []time.Duration
		want   string
	}{
		"ok/slow but never silent": {[]time.Duration{9 * time.Second, 9 * time.Second, 9 * time.Second}, ""},
		"fail/silent":              {[]time.Duration{time.Second, 11 * time.Second}, "nothing came for 10s"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []int64
				resp := &http.Response{Body: newDrip(c.pauses...), ContentLength: 3}
				w := newWatched(resp, 10*time.Second, 0, func(done, total int64) { told = append(told, done, total) })
				_, err := io.Copy(io.Discard, w)
				if c.want == "" {
					if err != nil || len(told) != 6 || told[4] != 3 || told[5] != 3 {
						t.Errorf("%v, told %v", err, told)
					}
					return
				}
				if err == nil || !strings.Contains(w.err(err).Error(), c.want) {
					t.Errorf("got %v", w.err(err))
				}
			})
		})
	}
}

// pager takes its time with everything.
type pager struct{}

func (pager) Write(b []byte) (int, error) { time.Sleep(time.Hour); return len(b), nil }

// TestSlowReader: a pager that is looked at for an hour is not the server's
// silence.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp := &http.Response{Body: newDrip(time.Second, time.Second), ContentLength: 2}
		w := newWatched(resp, 10*time.Second, 0, nil)
		if n, err := io.Copy(pager{}, w); err != nil || n != 2 {
			t.Errorf("%d bytes, %v", n, w.err(err))
		}
	})
}
