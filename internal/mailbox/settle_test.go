package mailbox

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(Limits{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		settled, failed, ended := 0, make(chan error), make(chan error)
		go func() { ended <- r.settleUntil(ctx, failed, func() { settled++ }) }()
		for i, step := range []struct {
			work uint64
			want int // times settled when the interval ends
		}{
			{0, 0}, {restWork - 1, 0}, {0, 0}, // too little to settle for
			{restWork, 0}, {restWork, 0}, // busy
			{0, 1}, {0, 1}, {1, 1}, // at rest, once
			{10 * restWork, 1}, {restWork - 1, 2}, {restWork - 1, 2}, {restWork - 1, 3},
		} {
			r.done.Add(step.work)
			time.Sleep(restInterval)
			synctest.Wait()
			if settled != step.want {
				t.Errorf("step %d: settled %d times, want %d", i, settled, step.want)
			}
		}
		broken := errors.New("broken")
		failed <- broken
		if err := <-ended; err != broken {
			t.Errorf("after a failure: %v", err)
		}
		go func() { ended <- r.settleUntil(ctx, failed, func() {}) }()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("at the end: %v", err)
		}
	})
}
