package relay

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// patience is how long a packet waits for a stream. The layer above sends
	// again what got lost, not before two seconds where it matters: a packet
	// kept longer would arrive besides its own repetition.
	patience = 1500 * time.Millisecond

	// farewell is how long the last packets have to leave when a pipe closes.
	farewell = 500 * time.Millisecond

	// answer is how long a relay has to make a box. One that takes longer may
	// have lost the request, and is asked again.
	answer = 10 * time.Second

	// settled is after how long a stream that has not failed is in order:
	// relays take 250 ms to say that somebody else reads the box.
	settled = 400 * time.Millisecond
)

// Event is what a pipe tells of itself.
type Event int

const (
	// Listening: the box to be read is there, and is being read.
	Listening Event = iota
	// Received: a packet came.
	Received
	// Missing: there is no such box (ErrNotFound).
	Missing
	// Occupied: somebody else uses the box (ErrOccupied).
	Occupied
	// Unreachable: any other trouble with the relay.
	Unreachable
)

// Ends are the two boxes of a pipe.
type Ends struct{ Send, Recv ID }

// Options of a pipe.
type Options struct {
	// Create makes boxes, where the relay has none: the node's side.
	Create bool
	// OnEvent is told what happens, an event at a time and no faster than it
	// returns.
	OnEvent func(Event)
}

// Pipe carries packets through a relay. It loses those that are under way
// when a stream breaks, and may repeat one. Streams that break are opened again
// for ever.
type Pipe struct {
	transport Transport
	ends      Ends
	options   Options

	life    context.Context
	end     context.CancelFunc
	closing chan struct{}
	close   sync.Once
	writing sync.WaitGroup
	reading sync.WaitGroup
	out, in chan []byte

	// missing is closed when the box to be filled was not there.
	missing     chan struct{}
	missingOnce sync.Once

	mu  sync.Mutex // held while OnEvent runs
	err error
}

// NewPipe returns a pipe and begins to open its streams.
func NewPipe(transport Transport, ends Ends, options Options) *Pipe {
	p := &Pipe{
		transport: transport,
		ends:      ends,
		options:   options,
		closing:   make(chan struct{}),
		out:       make(chan []byte),
		in:        make(chan []byte),
		missing:   make(chan struct{}),
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.writing.Go((&writer{pipe: p}).run)
	p.reading.Go(p.read)
	return p
}

// Send hands over a packet, which must not change any more, and waits while the
// one before cannot be written. The error is net.ErrClosed or the context's.
func (p *Pipe) Send(ctx context.Context, packet []byte) error {
	select {
	case <-p.closing:
		return net.ErrClosed
	default:
	}
	select {
	case p.out <- packet:
		return nil
	case <-p.closing:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Recv returns the next packet. The error is net.ErrClosed or the context's.
func (p *Pipe) Recv(ctx context.Context) ([]byte, error) {
	select {
	case packet := <-p.in:
		return packet, nil
	case <-p.closing:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close lets the last packets leave, half a second at most, and closes both
// streams.
func (p *Pipe) Close() {
	p.close.Do(func() {
		close(p.closing)
		late := time.AfterFunc(farewell, p.end)
		defer late.Stop()
		p.writing.Wait()
		p.end()
	})
	p.reading.Wait()
}

// Missing is closed when the relay has said that there is no box to be filled:
// the other side is not there.
func (p *Pipe) Missing() <-chan struct{} { return p.missing }

// Err returns the last trouble with the relay, nil if none was since a packet
// came.
func (p *Pipe) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// listening reports that the box is being read, unless what it returns is
// called soon: the relay says nothing when a stream begins well.
func (p *Pipe) listening() func() {
	ctx, cancel := context.WithCancel(p.life)
	timer := time.AfterFunc(settled, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if ctx.Err() == nil {
			p.tellLocked(Listening, nil)
		}
	})
	return func() {
		timer.Stop()
		cancel()
	}
}

// failed reports trouble.
func (p *Pipe) failed(err error) {
	if p.life.Err() != nil {
		return
	}
	event := Unreachable
	switch {
	case errors.Is(err, ErrNotFound):
		event = Missing
	case errors.Is(err, ErrOccupied):
		event = Occupied
	}
	p.tell(event, err)
}

func (p *Pipe) tell(event Event, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tellLocked(event, err)
}

func (p *Pipe) tellLocked(event Event, err error) {
	p.err = err
	if p.options.OnEvent != nil {
		p.options.OnEvent(event)
	}
}

// pause waits, and reports whether the pipe goes on.
func (p *Pipe) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.closing:
		return false
	}
}

func (p *Pipe) create(id ID, within time.Duration) error {
	ctx, cancel := context.WithTimeout(p.life, within)
	defer cancel()
	return p.transport.Create(ctx, id)
}

// read fills in from one stream after the other.
func (p *Pipe) read() {
	var pauses pauses
	for {
		opened := time.Now()
		p.failed(p.readStream())
		if !p.pause(pauses.after(time.Since(opened))) {
			return
		}
	}
}

func (p *Pipe) readStream() error {
	if p.options.Create {
		if err := p.create(p.ends.Recv, answer); err != nil {
			return err
		}
	}
	stream, err := p.transport.Recv(p.life, p.ends.Recv)
	if err != nil {
		return err
	}
	defer stream.Abort()
	if p.options.Create {
		defer p.listening()()
	}
	for {
		packet, err := stream.Recv()
		if err != nil {
			return err
		}
		p.tell(Received, nil)
		select {
		case p.in <- packet:
		case <-p.life.Done():
			return p.life.Err()
		}
	}
}
