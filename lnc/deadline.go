package lnc

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

var errMoved = errors.New("the deadline was moved")

// deadline bounds the waiting of one direction of a connection. It may be
// moved while somebody waits.
type deadline struct {
	life context.Context // of the connection; its cause says why it ended

	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc
}

func newDeadline(life context.Context) *deadline {
	d := &deadline{life: life}
	d.set(time.Time{})
	return d
}

// set moves the deadline. The zero time is none.
func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		d.cancel(errMoved)
		d.stop()
	}
	d.ctx, d.cancel = context.WithCancelCause(d.life)
	d.stop = func() {}
	if !at.IsZero() {
		d.ctx, d.stop = context.WithDeadlineCause(d.ctx, at, os.ErrDeadlineExceeded)
	}
}

func (d *deadline) current() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx
}

// do runs op, which returns its context's error if that ends and has then done
// nothing. The error is os.ErrDeadlineExceeded, why the connection ended, or
// op's own.
func (d *deadline) do(op func(ctx context.Context) error) error {
	for {
		ctx := d.current()
		err := ctx.Err()
		if err == nil {
			err = op(ctx)
		}
		if err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			return err
		}
		if cause := context.Cause(ctx); !errors.Is(cause, errMoved) {
			return cause
		}
	}
}

// passed returns the error of a deadline that has passed, or of the connection
// that has ended: such fail even what need not wait.
func (d *deadline) passed() error {
	return d.do(func(context.Context) error { return nil })
}
