// Package relaytest is a relay of Lightning Node Connect for tests, over gRPC,
// WebSockets and in memory, that can be restarted, shut, made to cut its
// streams as public relays do, and made to spoil what it carries. It promises
// nothing to anybody but tests.
package relaytest

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/leydenln/leyden/lnc/internal/relay"
)

// capacity is how many messages a box holds before its writer waits, unless the
// relay says otherwise.
const capacity = 256

var (
	errNotFound = errors.New("stream not found")
	errDown     = errors.New("the relay is down")
	errEOF      = errors.New("EOF")
)

// Relay is a relay. Its zero value is not ready for use.
type Relay struct {
	// StreamLife is how long a stream lives; 0: for ever. It is set before use.
	StreamLife time.Duration

	// Capacity is how many messages a box holds before its writer waits; 0: 256.
	// It is set before use.
	Capacity int

	// Spoil gets each message on its way into a box, and hands on what is to be
	// in it, now or later; nil hands on the message. It is set before use.
	Spoil func(id relay.ID, msg []byte, deliver func([]byte))

	mu         sync.Mutex
	boxes      map[relay.ID]*box
	down       bool
	streams    context.Context // of the relay's life between two restarts
	end        context.CancelFunc
	transports []*memory
}

type box struct {
	messages chan []byte
	gone     chan struct{}
	readers  chan struct{} // the one place of a reader
	writers  chan struct{}
}

// New returns a relay.
func New() *Relay {
	r := &Relay{boxes: map[relay.ID]*box{}}
	r.streams, r.end = context.WithCancel(context.Background())
	return r
}

// Restart ends all streams and forgets all boxes.
func (r *Relay) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
	r.streams, r.end = context.WithCancel(context.Background())
	for id, b := range r.boxes {
		close(b.gone)
		delete(r.boxes, id)
	}
}

// Cut ends all streams; boxes stay.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
	r.streams, r.end = context.WithCancel(context.Background())
}

// Shut restarts the relay and has it refuse everything, until Open.
func (r *Relay) Shut() {
	r.Restart()
	r.Hide()
}

// Hide ends all streams and has the relay refuse everything, until Open. Boxes
// stay.
func (r *Relay) Hide() {
	r.Cut()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = true
}

// Open ends a Shut or Hide.
func (r *Relay) Open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = false
}

// Boxes returns how many boxes there are.
func (r *Relay) Boxes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.boxes)
}

// Has reports whether there is a box.
func (r *Relay) Has(id relay.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.boxes[id] != nil
}

// Put delivers a forged message, as soon as its box has room for it.
func (r *Relay) Put(ctx context.Context, id relay.ID, msg []byte) error {
	b, err := r.find(id)
	if err != nil {
		return err
	}
	b.put(ctx, msg)
	return ctx.Err()
}

// Offer delivers a forged message if there is such a box with room for it, and
// reports whether it did.
func (r *Relay) Offer(id relay.ID, msg []byte) bool {
	b, err := r.find(id)
	if err != nil {
		return false
	}
	select {
	case b.messages <- msg:
		return true
	default:
		return false
	}
}

// create reports whether the box was made, and not found made.
func (r *Relay) create(id relay.ID) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.down:
		return false, errDown
	case r.boxes[id] != nil:
		return false, nil
	}
	r.boxes[id] = &box{
		messages: make(chan []byte, cmp.Or(r.Capacity, capacity)),
		gone:     make(chan struct{}),
		readers:  make(chan struct{}, 1),
		writers:  make(chan struct{}, 1),
	}
	return true, nil
}

func (r *Relay) remove(id relay.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boxes[id]
	if b == nil {
		return errNotFound
	}
	close(b.gone)
	delete(r.boxes, id)
	return nil
}

func (r *Relay) find(id relay.ID) (*box, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch b := r.boxes[id]; {
	case r.down:
		return nil, errDown
	case b == nil:
		return nil, errNotFound
	default:
		return b, nil
	}
}

// stream returns the life of a stream that begins now.
func (r *Relay) stream(ctx context.Context) (context.Context, context.CancelFunc) {
	r.mu.Lock()
	life := r.streams
	r.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(life, func() { cancel(errDown) })
	timeout := func() {}
	if r.StreamLife > 0 {
		ctx, timeout = context.WithTimeoutCause(ctx, r.StreamLife, errors.New("i/o timeout"))
	}
	return ctx, func() {
		stop()
		timeout()
		cancel(nil)
	}
}

// occupy takes one of the two places of a box.
func occupy(ctx context.Context, place chan struct{}, taken error) error {
	timer := time.NewTimer(250 * time.Millisecond)
	defer timer.Stop()
	select {
	case place <- struct{}{}:
		return nil
	case <-timer.C:
		return taken
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fill puts what next returns into the box.
func (r *Relay) fill(ctx context.Context, id relay.ID, next func() ([]byte, error)) error {
	b, err := r.find(id)
	if err != nil {
		return err
	}
	if err := occupy(ctx, b.writers, errors.New("write stream occupied")); err != nil {
		return err
	}
	defer func() { <-b.writers }()
	for {
		msg, err := next()
		if err != nil {
			return err
		}
		if r.Spoil != nil {
			r.Spoil(id, msg, func(msg []byte) { b.put(context.Background(), msg) })
		} else {
			b.put(ctx, msg)
		}
		select {
		case <-b.gone:
			return errNotFound
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
	}
}

func (b *box) put(ctx context.Context, msg []byte) {
	select {
	case b.messages <- msg:
	case <-b.gone:
	case <-ctx.Done():
	}
}

// empty hands the messages of the box to deliver.
func (r *Relay) empty(ctx context.Context, id relay.ID, deliver func([]byte) error) error {
	b, err := r.find(id)
	if err != nil {
		return err
	}
	if err := occupy(ctx, b.readers, errors.New("read stream occupied")); err != nil {
		return err
	}
	defer func() { <-b.readers }()
	for {
		select {
		case msg := <-b.messages:
			if err := deliver(msg); err != nil {
				return err
			}
		case <-b.gone:
			return errEOF
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
