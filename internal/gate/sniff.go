package gate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// tlsRecord is the first byte of a TLS connection (RFC 8446 section 5.1,
// "handshake").
const tlsRecord = 0x16

// How long and how much of what a misled client still sends is read.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

var errWrongScheme = errors.New("the client speaks the other of http and https")

// schemeListener answers clients that speak TLS to a plain port, or HTTP to a
// TLS port, in words.
type schemeListener struct {
	net.Listener
	tls bool
	// answer may answer plain HTTP on a TLS port otherwise; it returns false
	// when it does not. nil: never.
	answer func(http.ResponseWriter, *http.Request) bool
}

func (l schemeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &schemeConn{Conn: c, tls: l.tls, answer: l.answer}, nil
}

// schemeConn looks at the first byte that is read from it.
type schemeConn struct {
	net.Conn
	tls    bool
	answer func(http.ResponseWriter, *http.Request) bool
	once   sync.Once
}

func (c *schemeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.once.Do(func() {
			if (p[0] == tlsRecord) != c.tls {
				if !c.tls || !c.answered(p[:n]) {
					c.explain()
				}
				n, err = 0, errWrongScheme
			}
		})
	}
	return n, err
}

// CloseWrite is for a server that still reads what comes after its last answer.
func (c *schemeConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// explain says which scheme the port speaks. A TLS client shows it as an HTTP
// answer to its handshake.
func (c *schemeConn) explain() {
	right, wrong := "http", "https"
	if c.tls {
		right, wrong = wrong, right
	}
	text := fmt.Sprintf("this port speaks %s, not %s: use %s://%s\n", right, wrong, right, c.LocalAddr())
	// Nothing can be done for a client that does not listen.
	_, _ = fmt.Fprintf(c.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
	c.linger()
}

// answered lets answer have a look at the request that begins so.
func (c *schemeConn) answered(first []byte) bool {
	if c.answer == nil || !bytes.HasPrefix(first, []byte("GET ")) {
		return false
	}
	rest := io.LimitReader(io.MultiReader(bytes.NewReader(first), c.Conn), maxPlainRequest)
	r, err := http.ReadRequest(bufio.NewReader(rest))
	if err != nil {
		return false
	}
	r.RemoteAddr = c.RemoteAddr().String()
	w := &plainAnswer{header: http.Header{}, status: http.StatusOK}
	if !c.answer(w, r) {
		return false
	}
	w.header.Set("Connection", "close")
	resp := &http.Response{ProtoMajor: 1, ProtoMinor: 1, StatusCode: w.status, Header: w.header,
		ContentLength: int64(w.body.Len()), Body: io.NopCloser(&w.body)}
	_ = resp.Write(c.Conn) // nothing can be done for a client that does not listen
	c.linger()
	return true
}

// maxPlainRequest bounds what is read of a plain request on a TLS port.
const maxPlainRequest = 8 << 10

// plainAnswer gathers an answer.
type plainAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter, as do the other methods.
func (a *plainAnswer) Header() http.Header { return a.header }

// WriteHeader sets the status.
func (a *plainAnswer) WriteHeader(status int) { a.status = status }

// Write adds to the body.
func (a *plainAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// linger closes so that the client still reads what was written: a close with
// unread bytes resets the connection.
func (c *schemeConn) linger() {
	defer c.Close()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
}
