package mailbox

import (
	"context"
	"errors"
	"time"
)

// delay delays a call by its client's rate.
func (r *Relay) delay(c call) error {
	d := c.from.pace.take(time.Now())
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.Done():
		return r.ended(c)
	}
}

// writer fills a box; it holds its place as the only one.
type writer struct {
	relay *Relay
	box   *box
	from  *client
}

// fill opens a box for writing. Close must be called.
func (r *Relay) fill(ctx context.Context, id ID, from *client) (*writer, error) {
	b, err := r.find(id)
	if err != nil {
		return nil, r.refuse(errNotFound)
	}
	if err := b.occupy(ctx, b.writing, errWriting); err != nil {
		return nil, err
	}
	r.metrics.writers.Inc()
	return &writer{r, b, from}, nil
}

func (w *writer) close() {
	w.relay.metrics.writers.Dec()
	w.box.vacate(w.box.writing)
}

// write puts a message, which it keeps, into the box. It waits for what the
// rates and the room in the box require, and takes over cost.
func (w *writer) write(ctx context.Context, msg []byte, cost *charge) error {
	if err := w.push(ctx, entry{msg, cost}); err != nil {
		cost.release()
		return err
	}
	w.relay.done.Add(1)
	w.relay.metrics.messages.Inc()
	w.relay.metrics.bytes.Add(float64(len(msg)))
	return nil
}

func (w *writer) push(ctx context.Context, e entry) error {
	if len(e.msg) > w.relay.limits.Message {
		return w.relay.refuse(errTooLong)
	}
	now := time.Now()
	if delay := max(w.box.pace.take(now), w.from.pace.take(now)); delay > 0 {
		w.relay.metrics.delayed.Inc()
		if err := w.wait(ctx, delay); err != nil {
			return err
		}
	}
	ok, err := w.box.push(e)
	if ok || err != nil {
		return err
	}
	timer := time.NewTimer(w.relay.limits.Blocked)
	defer timer.Stop()
	for {
		select {
		case <-w.box.writable:
		case <-w.box.closed:
		case <-timer.C:
			return w.relay.refuse(errFull)
		case <-ctx.Done():
			return w.relay.ended(ctx)
		}
		if ok, err := w.box.push(e); ok || err != nil {
			return err
		}
	}
}

func (w *writer) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-w.box.closed:
		return errNotFound
	case <-ctx.Done():
		return w.relay.ended(ctx)
	}
}

// ended says why a stream's context has ended.
func (r *Relay) ended(ctx context.Context) error {
	switch {
	case r.ctx.Err() != nil:
		return errClosing
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errTimeout
	default:
		return errCancelled
	}
}

// reader empties a box; it holds its place as the only one.
type reader struct {
	relay *Relay
	box   *box
}

// empty opens a box for reading. Close must be called.
func (r *Relay) empty(ctx context.Context, id ID) (*reader, error) {
	b, err := r.find(id)
	if err != nil {
		return nil, r.refuse(errNotFound)
	}
	if err := b.occupy(ctx, b.reading, errReading); err != nil {
		return nil, err
	}
	r.metrics.readers.Inc()
	return &reader{r, b}, nil
}

func (d *reader) close() {
	d.relay.metrics.readers.Dec()
	d.box.vacate(d.box.reading)
}

// batchBytes is about how much is written to a reader at once, in bytes: one
// frame of HTTP/2, so that of what is written in part little is written again.
const batchBytes = 16 << 10

// deliver hands messages to write, some at a time, until that fails or the
// stream ends; the error is never nil. Only what was written leaves the box.
func (d *reader) deliver(ctx context.Context, write func([][]byte) error) error {
	var batch [][]byte
	for {
		batch = d.box.peek(batch[:0], batchBytes)
		if len(batch) > 0 {
			if err := write(batch); err != nil {
				return err
			}
			d.box.took(len(batch))
			clear(batch)
			continue
		}
		select {
		case <-d.box.readable:
		case <-d.box.closed:
			if d.relay.ctx.Err() != nil {
				return errClosing
			}
			return errGone
		case <-ctx.Done():
			return d.relay.ended(ctx)
		}
	}
}
