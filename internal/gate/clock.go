package gate

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// watch looks whether what it is told of takes too long.
type watch struct {
	silence time.Duration
	overdue func(now time.Time)
	began   atomic.Int64 // when what is under way began, 0 for nothing

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// newWatch calls overdue when something has been under way for the silence, or
// twice that at most, and never after stop.
func newWatch(silence time.Duration, overdue func(now time.Time)) *watch {
	w := &watch{silence: silence, overdue: overdue}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(silence, w.look)
	return w
}

func (w *watch) begin() { w.began.Store(time.Now().UnixNano()) }
func (w *watch) end()   { w.began.Store(0) }

// look runs each time that the silence has passed.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	now := time.Now()
	if began := w.began.Load(); began != 0 && now.UnixNano()-began >= int64(w.silence) {
		w.overdue(now)
		return
	}
	w.timer.Reset(w.silence)
}

// stop waits for an overdue that is running.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

// streamClock bounds the reads of a body that comes over HTTP/2. There a
// deadline ends the body also when nobody waits for it, because the backend
// takes its time: so none is set before it has passed.
type streamClock struct {
	*watch
	silent atomic.Bool
}

func newStreamClock(control *http.ResponseController, silence time.Duration) *streamClock {
	c := &streamClock{}
	c.watch = newWatch(silence, func(now time.Time) {
		c.silent.Store(true)
		// A stream without deadlines is one of a test.
		_ = control.SetReadDeadline(now)
	})
	return c
}

func (c *streamClock) end(bool)     { c.watch.end() }
func (c *streamClock) ranOut() bool { return c.silent.Load() }

// noClock bounds nothing: a gRPC call is open for as long as either side may
// have something to say, and has deadlines of its own.
type noClock struct{}

func (noClock) begin()       {}
func (noClock) end(bool)     {}
func (noClock) ranOut() bool { return false }
func (noClock) stop()        {}

// connClock bounds the reads of a body that comes over HTTP/1, by the deadline
// of the connection. The deadline must go as the body ends: from then on a read
// on the connection waits for the client to go away.
//
// As long as nobody has asked for the body, and when the handler has returned
// without its end, the connection may go when there is no room for another: it
// costs a stranger nothing to send an unpaid request without its body.
type connClock struct {
	control *http.ResponseController
	conn    *boundConn // nil in a test
	silence time.Duration

	asked bool // for the body, by its reader

	// until is when everything must have been read, zero for no such time.
	until time.Time
	// armed is when the connection gives up, in nanoseconds since 1970, 0 once
	// the body has been read.
	armed atomic.Int64

	mu      sync.Mutex
	stopped bool
}

func newConnClock(control *http.ResponseController, conn *boundConn, silence, readTimeout time.Duration) *connClock {
	c := &connClock{control: control, conn: conn, silence: silence}
	if readTimeout > 0 {
		c.until = time.Now().Add(readTimeout)
	}
	c.arm()
	c.conn.idle()
	return c
}

func (c *connClock) begin() {
	if !c.asked {
		c.asked = true
		c.conn.busy()
	}
	c.arm()
}

// arm makes sure that the next read waits for no less than the silence, and
// for no more than a quarter longer.
func (c *connClock) arm() {
	now := time.Now()
	if c.armed.Load()-now.UnixNano() >= int64(c.silence) {
		return
	}
	deadline := now.Add(c.silence + c.silence/4)
	c.armed.Store(deadline.UnixNano())
	c.set(deadline)
}

func (c *connClock) end(last bool) {
	if last {
		c.armed.Store(0)
		c.set(time.Time{})
	}
}

func (c *connClock) ranOut() bool {
	armed := c.armed.Load()
	return armed != 0 && time.Now().UnixNano() >= armed
}

func (c *connClock) set(deadline time.Time) {
	if !c.until.IsZero() && (deadline.IsZero() || deadline.After(c.until)) {
		deadline = c.until
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		// A connection without deadlines is one of a test.
		_ = c.control.SetReadDeadline(deadline)
	}
}

func (c *connClock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.armed.Load() != 0 {
		c.conn.idle()
		c.conn.drain()
	}
}
