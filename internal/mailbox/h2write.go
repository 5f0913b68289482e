package mailbox

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// h2Output collects what is written at once.
type h2Output struct {
	bytes.Buffer
	framer *http2.Framer
}

var h2Outputs = sync.Pool{New: func() any {
	o := new(h2Output)
	o.framer = http2.NewFramer(&o.Buffer, nil)
	return o
}}

// write writes frames at once. Any error ends the connection.
func (c *h2Conn) write(frames func(*http2.Framer) error) error {
	o := h2Outputs.Get().(*h2Output)
	defer h2Outputs.Put(o)
	o.Reset()
	err := frames(o.framer)
	if err == nil {
		c.writing.Lock()
		_ = c.conn.SetWriteDeadline(time.Now().Add(h2WriteWithin))
		_, err = c.conn.Write(o.Bytes())
		c.writing.Unlock()
	}
	if err != nil {
		c.cancel()
		c.conn.Close()
	}
	return err
}

func (s *h2Stream) open() error {
	if s.opened {
		return nil
	}
	s.opened = true
	return s.conn.write(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, EndHeaders: true, BlockFragment: headers()})
	})
}

// h2Burst is how much is written at once, in bytes.
const h2Burst = 4 * h2Frame

func (s *h2Stream) send(b []byte) error {
	late := time.AfterFunc(s.conn.relay.limits.Blocked, func() { _ = s.conn.reset(s.id, http2.ErrCodeCancel) }) // closes what fails
	defer late.Stop()
	for len(b) > 0 {
		n, err := s.reserve(min(len(b), h2Burst))
		if err != nil {
			return err
		}
		now := b[:n]
		b = b[n:]
		err = s.conn.write(func(f *http2.Framer) error {
			if !s.opened {
				s.opened = true
				if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, EndHeaders: true, BlockFragment: headers()}); err != nil {
					return err
				}
			}
			for len(now) > 0 {
				n := min(len(now), h2Frame)
				if err := f.WriteData(s.id, false, now[:n]); err != nil {
					return err
				}
				now = now[n:]
			}
			return nil
		})
		if err != nil {
			return errCancelled
		}
	}
	return nil
}

// reserve takes what of n bytes the windows allow, for which it waits.
func (s *h2Stream) reserve(n int) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if s.call.Err() != nil {
			return 0, c.relay.ended(s.call)
		}
		if n := min(int64(n), s.window, c.window); n > 0 {
			s.window -= n
			c.window -= n
			return int(n), nil
		}
		c.widened.Wait()
	}
}

// Header blocks begin with the news that no table is used (RFC 7541 section
// 6.3), which makes a client's limit for it no matter; then come the indexed
// ":status: 200" and literals that are not to be indexed.
const (
	hpackNoTable   = 0x20
	hpackStatus200 = 0x80 | 8
	hpackLiteral   = 0x00
)

func headers() []byte {
	return appendHeader([]byte{hpackNoTable, hpackStatus200}, "content-type", "application/grpc")
}

func trailers(opened bool, status *refusal) []byte {
	block := []byte{hpackNoTable}
	if !opened {
		block = headers()
	}
	block = appendHeader(block, "grpc-status", strconv.Itoa(int(status.code)))
	if status.message == "" {
		return block
	}
	return appendHeader(block, "grpc-message", status.message)
}

// appendHeader appends a header whose name and value have less than 127 bytes.
func appendHeader(block []byte, name, value string) []byte {
	value = value[:min(len(value), 126)]
	block = append(block, hpackLiteral, byte(len(name)))
	block = append(append(block, name...), byte(len(value)))
	return append(block, value...)
}
