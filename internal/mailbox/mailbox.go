// Package mailbox is a relay of Lightning Node Connect: boxes, each a simplex
// pipe of messages, over gRPC, REST and WebSockets on one port, as lightning
// node connect and aperture have it (specs/lnc.md section 2).
//
// It promises: messages of a box come out in the order they went in, each at
// most once, except those that were being written when a reader's connection
// broke, which its next reader gets again; no stream ends because it is old;
// what does not fit makes its writer wait; and memory is bounded, for each
// client address and in all, whatever clients do. Messages are dropped that
// nobody comes for, or that nobody takes when there is no room for others.
//
// It leaves out secrecy, which is the users' own affair, and durability:
// nothing is written down. Whoever knows the id of a box may use it, so ids are
// to be secrets of 64 bytes.
package mailbox

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ID names a box.
type ID [64]byte

// newID makes an id of what a client sent: padded with zeros, or cut.
func newID(b []byte) (id ID) {
	copy(id[:], b)
	return id
}

// Relay holds the boxes. It serves through Handler; Serve puts that on a port.
type Relay struct {
	limits  Limits
	log     *slog.Logger
	metrics *metrics
	routes  http.Handler

	// How often WebSockets are pinged, and how long after a ping the answer may
	// take.
	pingEvery, pongWithin time.Duration
	socketBuffers         sync.Pool

	// How long a client has for TLS, and for the header of a request; and for
	// the rest of a message, or the first of a stream.
	helloWithin, messageWithin time.Duration

	// How long nothing is taken of messages that are dropped for want of room.
	stuckAfter time.Duration

	all     *budget
	clients clients

	// done counts requests begun and ended and messages taken.
	done atomic.Uint64

	mu       sync.Mutex
	boxes    map[ID]*box
	relieved time.Time // when messages were last dropped for want of room

	ctx        context.Context // ends with the relay
	cancel     context.CancelFunc
	goroutines sync.WaitGroup
}

// New makes a relay without boxes. Close ends it. Code bad_limit.
func New(limits Limits, log *slog.Logger) (*Relay, error) {
	limits = limits.withDefaults()
	if err := limits.check(); err != nil {
		return nil, err
	}
	r := &Relay{
		limits: limits, log: log, boxes: map[ID]*box{},
		pingEvery: 30 * time.Second, pongWithin: 15 * time.Second,
		helloWithin: 10 * time.Second, messageWithin: 30 * time.Second,
		stuckAfter: 10 * time.Second,
	}
	r.all = newBudget(limits.QueuedBytes)
	r.clients.limits = limits
	r.metrics = newMetrics(r)
	r.routes = r.newRoutes()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.goroutines.Go(r.sweepUntilClosed)
	return r, nil
}

// Close ends every stream, with the status that the relay goes away, and
// forgets the boxes.
func (r *Relay) Close() error {
	r.cancel()
	r.goroutines.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, b := range r.boxes {
		b.close()
		delete(r.boxes, id)
	}
	return nil
}

// create makes a box that belongs to a client.
func (r *Relay) create(id ID, owner *client) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.boxes[id] != nil:
		return errExists
	case len(r.boxes) >= r.limits.Boxes:
		return r.refuse(errTooManyBoxes)
	case !owner.takeBox():
		return r.refuse(errTooManyBoxes)
	}
	r.boxes[id] = newBox(id, owner, r.limits)
	r.metrics.created.Inc()
	return nil
}

// remove deletes a box: whoever reads or fills it is told.
func (r *Relay) remove(id ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boxes[id]
	if b == nil {
		return errNotFound
	}
	delete(r.boxes, id)
	b.close()
	return nil
}

func (r *Relay) find(id ID) (*box, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.boxes[id]; b != nil {
		return b, nil
	}
	return nil, errNotFound
}

// sweepInterval is how often unused boxes are looked for.
const sweepInterval = 10 * time.Second

func (r *Relay) sweepUntilClosed() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.sweep(time.Now())
		case <-r.ctx.Done():
			return
		}
	}
}

// sweep deletes boxes that nobody has used for long, and messages that nobody
// has come for.
func (r *Relay) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, b := range r.boxes {
		unused, unread := b.idle(now)
		switch {
		case unused >= r.limits.Stale:
			delete(r.boxes, id)
			b.close()
			r.metrics.expired.Inc()
		case unread >= r.limits.Unread:
			r.metrics.dropped.Add(float64(b.clear()))
		}
	}
}

// refuse counts what is not granted.
func (r *Relay) refuse(err *refusal) error {
	r.metrics.refused.WithLabelValues(err.reason).Inc()
	return err
}
