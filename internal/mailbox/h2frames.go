package mailbox

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/net/http2"
)

// take does what a frame is for.
func (c *h2Conn) take(frame http2.Frame) error {
	id := frame.Header().StreamID
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return c.write(func(w *http2.Framer) error { return w.WritePing(true, f.Data) })
	case *http2.WindowUpdateFrame:
		return c.widen(id, int64(f.Increment))
	case *http2.MetaHeadersFrame:
		return c.headers(f)
	case *http2.DataFrame:
		return c.data(f)
	case *http2.RSTStreamFrame:
		if id > c.last {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if s := c.stream(id); s != nil {
			s.fail()
		}
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

func (c *h2Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if initial, ok := f.Value(http2.SettingInitialWindowSize); ok {
		c.mu.Lock()
		more := int64(initial) - c.initial
		c.initial = int64(initial)
		for _, s := range c.streams {
			if s.window += more; s.window > h2MaxWindow {
				c.mu.Unlock()
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
		}
		c.widened.Broadcast()
		c.mu.Unlock()
	}
	return c.write(func(w *http2.Framer) error { return w.WriteSettingsAck() })
}

func (c *h2Conn) widen(id uint32, more int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.widened.Broadcast()
	if id == 0 {
		if c.window += more; c.window > h2MaxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		return nil
	}
	if id > c.last {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if s := c.streams[id]; s != nil {
		if s.window += more; s.window > h2MaxWindow {
			return http2.StreamError{StreamID: id, Code: http2.ErrCodeFlowControl}
		}
	}
	return nil
}

func (c *h2Conn) stream(id uint32) *h2Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[id]
}

// headers begins a stream, or ends what a client sends in one.
func (c *h2Conn) headers(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if s := c.stream(id); s != nil {
		if !f.StreamEnded() {
			return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
		}
		s.close(io.EOF)
		return nil
	}
	switch {
	case id%2 == 0:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case id <= c.last: // trailers of a stream that has ended
		return nil
	}
	method, gRPC := strings.CutPrefix(f.PseudoValue("path"), grpcPrefix)
	kind, timeout := "", ""
	for _, h := range f.RegularFields() {
		switch h.Name {
		case "content-type":
			kind = h.Value
		case "grpc-timeout":
			timeout = h.Value
		}
	}
	c.mu.Lock()
	c.last = id
	refused := c.active >= connectionStreams
	if !refused {
		c.active++
	}
	c.mu.Unlock()
	if refused {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeRefusedStream}
	}
	s := c.newStream(id, timeout)
	switch {
	case f.Truncated:
		s.remove()
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeEnhanceYourCalm}
	case !gRPC || f.PseudoValue("method") != "POST" || !isGRPC(kind):
		s.remove()
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeHTTP11Required}
	}
	if f.StreamEnded() {
		s.close(io.EOF)
	}
	go s.serve(method)
	return nil
}

// data hands bytes to a stream. Those of streams that have ended count as well.
func (c *h2Conn) data(f *http2.DataFrame) error {
	id, length := f.StreamID, int(f.Length)
	c.mu.Lock()
	if !c.grant.use(length) {
		c.mu.Unlock()
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	s := c.streams[id]
	within := s != nil && s.grant.use(length)
	c.mu.Unlock()
	switch {
	case id > c.last:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case s == nil:
		return c.consumed(nil, length)
	case !within:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeFlowControl}
	}
	padding := length - len(f.Data())
	unread := s.put(f.Data())
	if f.StreamEnded() {
		s.close(io.EOF)
	}
	return c.consumed(s, padding+unread)
}

// consumed gives windows back.
func (c *h2Conn) consumed(s *h2Stream, n int) error {
	if n == 0 {
		return nil
	}
	c.mu.Lock()
	more, ofStream := c.grant.giveBack(n), 0
	if s != nil && s.ended == nil {
		ofStream = s.grant.giveBack(n)
	}
	c.mu.Unlock()
	if more+ofStream == 0 {
		return nil
	}
	return c.write(func(f *http2.Framer) (err error) {
		if more > 0 {
			err = f.WriteWindowUpdate(0, uint32(more))
		}
		if ofStream > 0 {
			err = errors.Join(err, f.WriteWindowUpdate(s.id, uint32(ofStream)))
		}
		return err
	})
}

// reset ends a stream by which a client has done wrong.
func (c *h2Conn) reset(id uint32, code http2.ErrCode) error {
	if s := c.stream(id); s != nil {
		s.fail()
	}
	return c.write(func(f *http2.Framer) error { return f.WriteRSTStream(id, code) })
}

// h2Grant is the window that a client was given.
type h2Grant struct{ left, owed int }

func (g *h2Grant) use(n int) bool {
	g.left -= n
	return g.left >= 0
}

// giveBack returns by how much the client is to be told that it has grown.
func (g *h2Grant) giveBack(n int) (more int) {
	if g.owed += n; g.owed < streamBuffer/4 {
		return 0
	}
	more, g.owed = g.owed, 0
	g.left += more
	return more
}
