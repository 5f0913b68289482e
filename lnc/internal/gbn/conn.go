package gbn

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Conn is one side of a connection. Its methods may be called by several
// goroutines at once; several Sends, or Recvs, take turns.
type Conn struct {
	pipe Pipe

	mu    sync.Mutex
	m     *machine
	timer *time.Timer
	armed time.Time // when timer fires, zero: it does not

	sending, receiving chan struct{} // held by the one that sends, receives
	writable, readable chan struct{} // there may be room, a message
	work               chan struct{} // the writer may have something to do

	opened     chan struct{}
	done       chan struct{}
	ended      bool
	stopRead   context.CancelFunc
	stopWrite  context.CancelFunc
	goroutines sync.WaitGroup
}

// Dial begins a connection as the client and returns when the server has
// answered: it asks again until ctx ends. The error wraps ErrProtocol, or is
// the context's or the pipe's.
func Dial(ctx context.Context, pipe Pipe, opts Options) (*Conn, error) {
	if opts.Window < 0 || opts.Window > maxWindow {
		return nil, fmt.Errorf("a window of %d packets: it must be 1 to %d", opts.Window, maxWindow)
	}
	return start(ctx, pipe, newMachine(time.Now(), true, opts.withDefaults(true)))
}

// Accept waits, without limit, for a client and returns when the connection
// with it is open. The error is the context's or the pipe's.
func Accept(ctx context.Context, pipe Pipe, opts Options) (*Conn, error) {
	m := newMachine(time.Now(), false, opts.withDefaults(false))
	if opts.SYN != nil {
		m.receive(time.Now(), opts.SYN)
	}
	return start(ctx, pipe, m)
}

func start(ctx context.Context, pipe Pipe, m *machine) (*Conn, error) {
	c := &Conn{
		pipe:      pipe,
		m:         m,
		sending:   make(chan struct{}, 1),
		receiving: make(chan struct{}, 1),
		writable:  make(chan struct{}, 1),
		readable:  make(chan struct{}, 1),
		work:      make(chan struct{}, 1),
		opened:    make(chan struct{}),
		done:      make(chan struct{}),
	}
	var reads, writes context.Context
	reads, c.stopRead = context.WithCancel(context.WithoutCancel(ctx))
	writes, c.stopWrite = context.WithCancel(context.WithoutCancel(ctx))
	c.timer = time.AfterFunc(time.Hour, c.tick)
	c.timer.Stop()
	c.goroutines.Go(func() { c.read(reads) })
	c.goroutines.Go(func() { c.write(writes) })

	var err error
	select {
	case <-c.opened:
		return c, nil
	case <-c.done:
		err = c.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.update(func(time.Time) { c.m.end(err, true) })
	c.Close()
	return nil, err
}

// update changes the machine and has everybody concerned look at it.
func (c *Conn) update(change func(now time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(time.Now())
	c.settle()
}

// settle is called with mu held after each change.
func (c *Conn) settle() {
	if c.m.state == stateEnded {
		c.settleEnd()
		return
	}
	if c.m.state == stateOpen {
		select {
		case <-c.opened:
		default:
			close(c.opened)
		}
		if len(c.m.recv.queue) > 0 {
			poke(c.readable)
		}
		if c.m.send.free() {
			poke(c.writable)
		}
	}
	if c.m.ready() {
		poke(c.work)
	}
	if at := c.m.wakeAt(); !at.IsZero() && (c.armed.IsZero() || at.Before(c.armed)) {
		c.armed = at
		c.timer.Reset(time.Until(at))
	}
}

// settleEnd stops reading at once, and writing when the FIN is out or its time
// is up.
func (c *Conn) settleEnd() {
	if c.ended {
		return
	}
	c.ended = true
	c.timer.Stop()
	c.timer = time.AfterFunc(c.m.opts.FIN, c.stopWrite)
	c.stopRead()
	poke(c.work)
	close(c.done)
}

func (c *Conn) tick() {
	c.update(func(now time.Time) {
		c.armed = time.Time{}
		c.m.tick(now)
	})
}

func (c *Conn) read(ctx context.Context) {
	for {
		raw, err := c.pipe.Recv(ctx)
		if err != nil {
			c.update(func(time.Time) { c.m.end(fmt.Errorf("receive a packet: %w", err), false) })
			return
		}
		c.update(func(now time.Time) { c.m.receive(now, raw) })
		if ctx.Err() != nil {
			return
		}
	}
}

func (c *Conn) write(ctx context.Context) {
	defer c.stopWrite()
	for {
		var packet []byte
		var ok, ended bool
		c.update(func(now time.Time) {
			packet, ok = c.m.next(now)
			ended = c.m.state == stateEnded
		})
		if !ok {
			if ended {
				return
			}
			<-c.work
			continue
		}
		err := c.pipe.Send(ctx, packet)
		c.update(func(now time.Time) {
			if c.m.written(now); err != nil {
				c.m.end(fmt.Errorf("send a packet: %w", err), false)
			}
		})
		if err != nil {
			return
		}
	}
}

// Send has a message delivered to the peer. It waits while the window is full,
// and returns when the message is in it, not when it has arrived. The error
// says why the connection ended, or wraps ErrTooLong, or is the context's.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	if len(msg) > c.m.opts.MaxMessage {
		return fmt.Errorf("%w: %d bytes of at most %d", ErrTooLong, len(msg), c.m.opts.MaxMessage)
	}
	if err := c.turn(ctx, c.sending); err != nil {
		return err
	}
	defer func() { <-c.sending }()
	for {
		var taken bool
		var err error
		c.update(func(now time.Time) {
			taken, err = c.m.submit(now, msg), c.m.err
		})
		if taken || err != nil {
			return err
		}
		select {
		case <-c.writable:
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Recv returns the next message, which the caller may keep. What arrived
// before the peer ended the connection can still be read; after Close nothing
// can. The error says why the connection ended, or is the context's.
func (c *Conn) Recv(ctx context.Context) ([]byte, error) {
	if err := c.turn(ctx, c.receiving); err != nil {
		return nil, err
	}
	defer func() { <-c.receiving }()
	for {
		var msg []byte
		var ok bool
		var err error
		c.update(func(time.Time) {
			msg, ok = c.m.recv.pop()
			err = c.m.err
		})
		if ok {
			return msg, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-c.readable:
		case <-c.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Conn) turn(ctx context.Context, slot chan struct{}) error {
	select {
	case slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the connection. What Send accepted is written, then the peer is
// told; neither is certain to arrive, and both together take no longer than
// Options.FIN. When Close returns the pipe is not used any more. It returns
// nil, and may be called again.
func (c *Conn) Close() error {
	c.update(func(time.Time) {
		c.m.end(net.ErrClosed, true)
		c.m.recv.forget()
	})
	c.goroutines.Wait()
	c.timer.Stop()
	return nil
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended, nil while it goes on.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.err
}

// SYN returns the packet with which the client has begun its next connection,
// nil if none has come: for Options.SYN of the next Accept on the same pipe.
// It is to be called after Close.
func (c *Conn) SYN() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.syn
}

// poke leaves a sign in a channel of one place, unless there is one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
