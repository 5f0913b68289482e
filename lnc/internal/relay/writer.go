package relay

import (
	"errors"
	"time"
)

// writer is the half of a pipe that fills a box, from one stream after the
// other.
type writer struct {
	pipe   *Pipe
	pauses pauses

	stream Sender // nil: not open
	opened time.Time
	made   bool // the box was made, and no stream to it has failed since

	packet []byte    // to be written, nil: none
	last   []byte    // written last
	since  time.Time // when packet, or last, was taken
}

func (w *writer) run() {
	defer func() {
		if w.stream != nil {
			w.stream.Finish(w.pipe.life)
		}
	}()
	if w.pipe.options.Create {
		// The other side finds its box before the first packet. If that fails
		// now the packet makes it.
		w.made = w.pipe.create(w.pipe.ends.Send, patience) == nil
	}
	for on := true; on; {
		switch {
		case w.packet == nil:
			on = w.next()
		case time.Since(w.since) > patience:
			w.packet = nil
		default:
			if err := w.write(); err != nil {
				on = w.failed(err)
			}
		}
	}
}

// next waits for a packet, or for the stream to break, and reports whether the
// pipe goes on. So do failed and missing.
func (w *writer) next() bool {
	var broken <-chan struct{}
	if w.stream != nil {
		broken = w.stream.Done()
	}
	select {
	case w.packet = <-w.pipe.out:
		w.since = time.Now()
	case <-broken:
		return w.failed(w.stream.Err())
	case <-w.pipe.closing:
		return false
	}
	return true
}

func (w *writer) write() error {
	if w.stream == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	if err := w.stream.Send(w.packet); err != nil {
		return err
	}
	w.last, w.packet = w.packet, nil
	return nil
}

func (w *writer) open() error {
	w.opened = time.Now()
	if w.pipe.options.Create && !w.made {
		if err := w.pipe.create(w.pipe.ends.Send, patience); err != nil {
			return err
		}
		w.made = true
	}
	var err error
	w.stream, err = w.pipe.transport.Send(w.pipe.life, w.pipe.ends.Send)
	return err
}

// failed drops the stream and waits.
func (w *writer) failed(err error) bool {
	if w.stream != nil {
		w.stream.Abort()
		w.stream = nil
	}
	w.made = false
	w.pipe.failed(err)
	pause := w.pauses.after(time.Since(w.opened))
	if errors.Is(err, ErrNotFound) {
		return w.missing(pause)
	}
	return w.pipe.pause(pause)
}

// missing waits when there is no box. What was written just now has certainly
// not arrived, and is written again, unless the layer above has something newer
// to say: it must not find both.
func (w *writer) missing(pause time.Duration) bool {
	w.pipe.missingOnce.Do(func() { close(w.pipe.missing) })
	if w.packet == nil && time.Since(w.since) < patience {
		w.packet = w.last
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case w.packet = <-w.pipe.out:
		case <-timer.C:
			w.since = time.Now()
			return true
		case <-w.pipe.closing:
			return false
		}
	}
}
