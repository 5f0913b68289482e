package mailbox

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// h2Buffers holds what has come in streams and is not read.
var h2Buffers = sync.Pool{New: func() any { return new([]byte) }}

// h2Stream is a gRPC call on an h2Conn.
type h2Stream struct {
	conn   *h2Conn
	id     uint32
	call   call
	cancel context.CancelFunc

	// Guarded by conn.mu.
	arrived sync.Cond
	in      *[]byte // not yet read, from begin on; nil: nothing
	begin   int
	ended   error // why nothing comes after in; nil: it may
	reset   bool  // nothing is to be written
	late    bool  // the time to read is up
	window  int64 // how much may be sent
	grant   h2Grant

	opened bool // headers are out; belongs to the one who serves
}

func (c *h2Conn) newStream(id uint32, timeout string) *h2Stream {
	s := &h2Stream{conn: c, id: id, grant: h2Grant{left: streamBuffer}}
	s.arrived.L = &c.mu
	if limit, ok := grpcTimeout(timeout); ok {
		s.call.Context, s.cancel = context.WithTimeout(c.ctx, limit)
	} else {
		s.call.Context, s.cancel = context.WithCancel(c.ctx)
	}
	s.call.from = c.from
	c.from.use()
	c.mu.Lock()
	s.window = c.initial
	c.streams[id] = s
	c.mu.Unlock()
	context.AfterFunc(s.call.Context, func() { s.close(errCancelled) })
	return s
}

// fail ends a stream that is reset.
func (s *h2Stream) fail() {
	s.conn.mu.Lock()
	s.reset = true
	s.conn.mu.Unlock()
	s.cancel()
}

// close says that nothing comes any more, and why.
func (s *h2Stream) close(why error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.ended == nil {
		s.ended = why
	}
	s.arrived.Broadcast()
	s.conn.widened.Broadcast()
}

// remove forgets a stream.
func (s *h2Stream) remove() {
	s.cancel()
	c := s.conn
	c.mu.Lock()
	left := s.drop()
	delete(c.streams, s.id)
	c.active--
	c.used = time.Now()
	through := c.closing && c.active == 0
	c.mu.Unlock()
	c.from.drop()
	_ = c.consumed(nil, left) // closes what fails
	if through {
		c.conn.Close()
	}
}

// drop throws away what has come and returns how much that was.
func (s *h2Stream) drop() (bytes int) {
	if s.in == nil {
		return 0
	}
	bytes = len(*s.in) - s.begin
	*s.in = (*s.in)[:0]
	h2Buffers.Put(s.in)
	s.in, s.begin = nil, 0
	return bytes
}

// put takes what has come, and returns how much of it nobody will read.
func (s *h2Stream) put(data []byte) (unread int) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.ended != nil {
		return len(data)
	}
	if len(data) == 0 {
		return 0
	}
	if s.in == nil {
		s.in = h2Buffers.Get().(*[]byte)
	}
	*s.in = append(*s.in, data...)
	s.arrived.Signal()
	return 0
}

// Read implements io.Reader.
func (s *h2Stream) Read(p []byte) (int, error) {
	s.conn.mu.Lock()
	for s.in == nil && s.ended == nil && !s.late {
		s.arrived.Wait()
	}
	if s.in == nil {
		defer s.conn.mu.Unlock()
		if s.ended != nil {
			return 0, s.ended
		}
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, (*s.in)[s.begin:])
	if s.begin += n; s.begin == len(*s.in) {
		s.drop()
	}
	s.conn.mu.Unlock()
	return n, s.conn.consumed(s, n)
}

// SetReadDeadline ends reading now: no other time is asked for.
func (s *h2Stream) SetReadDeadline(time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.late = true
	s.arrived.Broadcast()
	return nil
}

// serve does what the call asks for.
func (s *h2Stream) serve(method string) {
	r := s.conn.relay
	r.done.Add(1)
	if !s.call.from.takeStream() {
		s.answer(r.refuse(errTooManyStreams))
		return
	}
	err := r.newGRPCCall(s.call, s).serve(method)
	if !errors.Is(err, errParked) {
		s.finish(err)
	}
}

// finish ends a call that was served.
func (s *h2Stream) finish(err error) {
	s.answer(err)
	s.call.from.giveStream()
	s.conn.relay.done.Add(1)
}

// answer tells a client how its call has ended.
func (s *h2Stream) answer(err error) {
	status := &refusal{code: codes.OK}
	if err != nil {
		status = refusalOf(err)
	}
	s.conn.mu.Lock()
	ended, reset := s.ended, s.reset
	s.conn.mu.Unlock()
	if !reset {
		_ = s.conn.write(func(f *http2.Framer) error { // closes what fails
			err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, EndHeaders: true, EndStream: true,
				BlockFragment: trailers(s.opened, status)})
			if !errors.Is(ended, io.EOF) {
				err = errors.Join(err, f.WriteRSTStream(s.id, http2.ErrCodeNo))
			}
			return err
		})
	}
	s.remove()
}

func (s *h2Stream) deliver(c call, d *reader, write func([][]byte) error) error {
	v := &delivery{reader: d, ctx: c, write: write, end: func(err error) {
		d.close()
		s.finish(err)
	}}
	v.begin()
	return errParked
}
