package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"time"
)

const (
	// idleLife is how long a connection to a backend is kept without a request.
	idleLife = 90 * time.Second

	// maxInterim is the most 1xx answers before the answer itself, as
	// http.Transport has it.
	maxInterim = 5
)

// past is a time that ends every wait.
var past = time.Unix(1, 0)

// leanTransport carries GET and HEAD requests without a body to one backend
// over HTTP/1.1. It writes and reads in the goroutine of the request, where
// http.Transport passes each over to two others, which costs a gate a fifth of
// its time. Requests and answers are written and read by the same code of
// net/http as there. All other requests are for http.Transport.
type leanTransport struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu       sync.Mutex
	idle     []*leanConn // the one used last is the last
	sweeping bool
}

// suits reports whether a request is one for a leanTransport.
func (t *leanTransport) suits(r *http.Request) bool {
	return r.Body == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header["Upgrade"] == nil &&
		len(r.Trailer) == 0
}

// RoundTrip implements http.RoundTripper. A connection that was kept may have
// been closed by the backend meanwhile: then the request, which nothing has
// answered and which may be repeated (RFC 9110 section 9.2.2), goes over a new
// one. Not over another kept one: a backend that closes because of the request
// itself gets it twice, and not once for each connection.
func (t *leanTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if c := t.take(); c != nil {
		resp, err := c.exchange(r)
		if err == nil {
			return resp, nil
		}
		if c.heard > 0 || r.Context().Err() != nil {
			return nil, err
		}
	}
	conn, err := t.dial(r.Context(), "tcp", r.URL.Host)
	if err != nil {
		return nil, err
	}
	c := &leanConn{Conn: conn, owner: t}
	c.in, c.out = bufio.NewReader(c), bufio.NewWriter(conn)
	return c.exchange(r)
}

// take returns a kept connection that is still good, nil for none.
func (t *leanTransport) take() *leanConn {
	for {
		t.mu.Lock()
		last := len(t.idle) - 1
		if last < 0 {
			t.mu.Unlock()
			return nil
		}
		c := t.idle[last]
		t.idle[last] = nil
		t.idle = t.idle[:last]
		t.mu.Unlock()
		if quietConn(c.Conn) {
			return c
		}
		_ = c.Close()
	}
}

// keep takes a connection back.
func (t *leanTransport) keep(c *leanConn) {
	c.since = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) >= idlePerHost {
		_ = c.Close()
		return
	}
	t.idle = append(t.idle, c)
	if !t.sweeping {
		t.sweeping = true
		time.AfterFunc(idleLife, t.sweep)
	}
}

// sweep closes what has been idle for too long, and comes again while there is
// more.
func (t *leanTransport) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	young := 0
	for young < len(t.idle) && time.Since(t.idle[young].since) >= idleLife {
		_ = t.idle[young].Close()
		young++
	}
	t.idle = append([]*leanConn(nil), t.idle[young:]...)
	if t.sweeping = len(t.idle) > 0; t.sweeping {
		time.AfterFunc(idleLife/2, t.sweep)
	}
}

// CloseIdleConnections closes what is kept.
func (t *leanTransport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.idle {
		_ = c.Close()
	}
	t.idle = nil
}

// leanConn is a connection to a backend.
type leanConn struct {
	net.Conn
	owner *leanTransport
	in    *bufio.Reader
	out   *bufio.Writer
	since time.Time // when it was kept

	// heard is how many bytes have come since the request was sent, and may
	// how many more may until the answer's header has ended.
	heard, may int64
}

var errAnswerHeader = fmt.Errorf("the answer's header is over %d bytes", maxAnswerHeader)

func (c *leanConn) Read(p []byte) (int, error) {
	if c.may <= 0 {
		return 0, errAnswerHeader
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.may)])
	c.heard += int64(n)
	c.may -= int64(n)
	return n, err
}

// exchange sends a request and reads its answer up to the body, which gives the
// connection back at its end. After an error the connection is closed.
func (c *leanConn) exchange(r *http.Request) (*http.Response, error) {
	c.heard, c.may = 0, maxAnswerHeader
	// When the client goes, every wait ends.
	stop := context.AfterFunc(r.Context(), func() { _ = c.SetDeadline(past) })
	resp, err := c.ask(r)
	if err != nil {
		stop()
		_ = c.Close()
		if gone := r.Context().Err(); gone != nil {
			return nil, gone
		}
		return nil, err
	}
	c.may = math.MaxInt64
	body := &leanBody{ReadCloser: resp.Body, conn: c, stop: stop, last: resp.Close}
	if resp.Body == http.NoBody {
		body.end(true)
		return resp, nil
	}
	resp.Body = body
	return resp, nil
}

func (c *leanConn) ask(r *http.Request) (*http.Response, error) {
	if err := errors.Join(r.Write(c.out), c.out.Flush()); err != nil {
		return nil, err
	}
	trace := httptrace.ContextClientTrace(r.Context())
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(c.in, r)
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("the backend changes the protocol unasked")
		case resp.StatusCode < 100 || resp.StatusCode >= 200:
			return resp, nil
		case trace != nil && trace.Got1xxResponse != nil:
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("the backend sends too many interim answers")
}

// leanBody is the body of an answer. Its end gives the connection back, an
// error or an early Close ends it.
type leanBody struct {
	io.ReadCloser
	conn *leanConn
	stop func() bool
	last bool // the backend wants no more requests on the connection
	over bool
}

func (b *leanBody) Read(p []byte) (int, error) {
	if b.over {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end(errors.Is(err, io.EOF))
	}
	return n, err
}

func (b *leanBody) Close() error {
	b.end(false)
	return nil
}

// end lets go of the connection: it is kept when the whole answer has been
// read, nothing came behind it, and nobody has ended its waits.
func (b *leanBody) end(whole bool) {
	if b.over {
		return
	}
	b.over = true
	if b.stop() && whole && !b.last && b.conn.in.Buffered() == 0 {
		b.conn.owner.keep(b.conn)
		return
	}
	_ = b.conn.Close()
}
