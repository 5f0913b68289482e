package gate

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// sampled is how many connections are looked at to find one that may go.
const sampled = 64

// fullAnswer is what a client gets for whom there is no room.
const fullAnswer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// boundListener bounds how many connections there are, and how long each may
// leave unread what was sent to it. When there are as many as may be, a new
// one takes the place of one that has no request, or a request for whose body
// nobody waits; when all have one, it is turned away.
type boundListener struct {
	net.Listener
	max     int
	silence time.Duration
	plain   bool // clients understand an answer without TLS

	mu    sync.Mutex
	conns []*boundConn
}

func (l *boundListener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &boundConn{Conn: inner, owner: l}
		c.idle()
		if l.admit(c) {
			return c, nil
		}
		if l.plain && inner.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			_, _ = inner.Write([]byte(fullAnswer))
		}
		_ = inner.Close()
	}
}

// admit finds room for a connection.
func (l *boundListener) admit(c *boundConn) bool {
	if l.insert(c) {
		return true
	}
	victim := l.idlest()
	if victim == nil {
		return false
	}
	_ = victim.Close()
	return l.insert(c)
}

func (l *boundListener) insert(c *boundConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.max {
		return false
	}
	c.place = len(l.conns)
	l.conns = append(l.conns, c)
	return true
}

// idlest returns the one that has been idle longest of a sample, nil when none
// is idle.
func (l *boundListener) idlest() *boundConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found *boundConn
	var since int64
	for range sampled {
		if len(l.conns) == 0 {
			break
		}
		c := l.conns[rand.IntN(len(l.conns))]
		if at := c.idleSince.Load(); at != 0 && (found == nil || at < since) {
			found, since = c, at
		}
	}
	return found
}

func (l *boundListener) remove(c *boundConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.conns) - 1
	l.conns[c.place] = l.conns[last]
	l.conns[c.place].place = c.place
	l.conns[last] = nil
	l.conns = l.conns[:last]
}

// observe is the server's ConnState: it says which connections have a request.
func observe(conn net.Conn, state http.ConnState) {
	c := boundOf(conn)
	switch state {
	case http.StateActive, http.StateHijacked:
		c.busy()
	case http.StateIdle:
		c.drained()
		c.idle()
	}
}

// boundOf returns what the server's connection is underneath, nil for one of
// another listener.
func boundOf(conn net.Conn) *boundConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, _ := conn.(*boundConn)
	return c
}

// connKey is the key of a context's *boundConn.
type connKey struct{}

// withConn is the server's ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, boundOf(conn))
}

// boundConn gives up when nothing of a write is taken for the silence. Its
// owner counts it.
type boundConn struct {
	net.Conn
	owner *boundListener
	place int // among owner's, under its lock

	idleSince atomic.Int64 // 0 while it has a request
	armed     atomic.Int64 // how long a write may take now
	explicit  atomic.Int64 // what the server has set, 0 for nothing
	draining  atomic.Bool
	closed    sync.Once
}

// idle says that nothing is under way on the connection that the gate would be
// sorry for. c may be nil.
func (c *boundConn) idle() {
	if c != nil {
		c.idleSince.Store(time.Now().UnixNano())
	}
}

// busy says the opposite. c may be nil.
func (c *boundConn) busy() {
	if c != nil {
		c.idleSince.Store(0)
	}
}

func (c *boundConn) Write(p []byte) (int, error) {
	now := time.Now()
	if armed := c.armed.Load(); armed-now.UnixNano() < int64(c.owner.silence) {
		deadline := now.Add(c.owner.silence + c.owner.silence/4)
		if set := c.explicit.Load(); set != 0 && set < deadline.UnixNano() {
			deadline = time.Unix(0, set)
		}
		if err := c.Conn.SetWriteDeadline(deadline); err != nil {
			return 0, err
		}
		c.armed.Store(deadline.UnixNano())
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline holds beside the silence.
func (c *boundConn) SetWriteDeadline(t time.Time) error {
	c.note(t)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline holds beside the silence.
func (c *boundConn) SetDeadline(t time.Time) error {
	c.note(t)
	return c.Conn.SetDeadline(t)
}

func (c *boundConn) note(t time.Time) {
	c.armed.Store(0)
	if t.IsZero() {
		c.explicit.Store(0)
		return
	}
	c.explicit.Store(t.UnixNano())
}

// drain says that the server reads what is left of a body, which may take no
// longer than the silence. c may be nil.
func (c *boundConn) drain() {
	if c != nil {
		c.draining.Store(true)
	}
}

// drained says that it has done so. c may be nil.
func (c *boundConn) drained() {
	if c != nil {
		c.draining.Store(false)
	}
}

// SetReadDeadline is called without a time when the server ends somebody else's
// read before it drains.
func (c *boundConn) SetReadDeadline(t time.Time) error {
	if t.IsZero() && c.draining.Load() {
		t = time.Now().Add(c.owner.silence)
	}
	return c.Conn.SetReadDeadline(t)
}

// CloseWrite says that nothing more comes, while what the client still sends
// is read.
func (c *boundConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *boundConn) Close() error {
	c.closed.Do(func() { c.owner.remove(c) })
	return c.Conn.Close()
}
