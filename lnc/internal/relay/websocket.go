package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	hashmailPath = "/v1/lightning-node-connect/hashmail/"

	// maxFrame is the longest frame in bytes: a message in base64 and JSON.
	maxFrame = maxMessage*4/3 + 1024

	writeTimeout = 10 * time.Second
)

var errNoBoxes = errors.New("boxes are made and deleted over gRPC only")

// maxUpgrade is how much a relay may send until there is a WebSocket, in bytes:
// its part of the TLS handshake and one response.
const maxUpgrade = 256 << 10

// rawConn is the connection under a WebSocket and TLS. It is what is closed:
// TLS would say goodbye first, for which a relay that does not read could have
// it wait.
type rawConn struct {
	net.Conn
	left     int         // until upgraded, may still be read
	upgraded atomic.Bool // no limit any more
}

func (c *rawConn) Read(p []byte) (int, error) {
	if c.upgraded.Load() {
		return c.Conn.Read(p)
	}
	if c.left <= 0 {
		return 0, errors.New("the relay's response is too long")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// socketTransport speaks with a relay over WebSockets: one for each stream.
type socketTransport struct {
	base   url.URL
	dialer websocket.Dialer
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	life   context.Context
	end    context.CancelFunc
}

// NewWebSocket returns a transport over WebSockets, for a client: it cannot
// make boxes.
func NewWebSocket(config Config) Transport {
	t := &socketTransport{
		base:   url.URL{Scheme: "wss", Host: config.Addr, RawQuery: "method=POST"},
		dialer: websocket.Dialer{HandshakeTimeout: writeTimeout, Proxy: http.ProxyFromEnvironment},
	}
	if config.Plaintext {
		t.base.Scheme = "ws"
	} else {
		t.dialer.TLSClientConfig = config.tls()
	}
	t.dial = new(net.Dialer).DialContext
	if config.Dial != nil {
		t.dial, t.dialer.Proxy = config.Dial, nil
	}
	t.life, t.end = context.WithCancel(context.Background())
	return t
}

func (t *socketTransport) Create(context.Context, ID) error { return errNoBoxes }

func (t *socketTransport) Delete(context.Context, ID) error { return errNoBoxes }

func (t *socketTransport) Close() error {
	t.end()
	return nil
}

// socket is a WebSocket that closes with a context.
type socket struct {
	*websocket.Conn
	close func()
}

func (t *socketTransport) open(ctx context.Context, stream string) (*socket, error) {
	address := t.base
	address.Path = hashmailPath + stream
	ctx, end := context.WithCancel(ctx)
	stop := context.AfterFunc(t.life, end)
	closed := func() {
		stop()
		end()
	}
	raw, dialer := new(rawConn), t.dialer
	dialer.NetDialContext = func(dialing context.Context, network, addr string) (net.Conn, error) {
		conn, err := t.dial(dialing, network, addr)
		if err != nil {
			return nil, err
		}
		raw.Conn, raw.left = conn, maxUpgrade
		context.AfterFunc(ctx, func() { raw.Close() })
		return raw, nil
	}
	conn, response, err := dialer.DialContext(ctx, address.String(), nil)
	switch {
	case err != nil && response != nil:
		err = fmt.Errorf("relay %q: %s", t.base.Host, shorten(response.Status))
	case err != nil:
		err = fmt.Errorf("relay %q: %w", t.base.Host, err)
	case len(response.Header.Values("Sec-Websocket-Extensions")) > 0:
		// Compression, which was not offered: what is sent then has no bound.
		err = fmt.Errorf("relay %q: the WebSocket has extensions", t.base.Host)
	}
	if err != nil {
		closed()
		return nil, err
	}
	raw.upgraded.Store(true)
	conn.SetReadLimit(maxFrame)
	return &socket{conn, closed}, nil
}

func (s *socket) write(frame []byte) error {
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return s.WriteMessage(websocket.TextMessage, frame)
}

type socketSender struct {
	socket *socket
	id     ID
	frame  []byte
	wrote  time.Time
	done   chan struct{}
	err    error // set before done is closed
}

func (t *socketTransport) Send(ctx context.Context, id ID) (Sender, error) {
	socket, err := t.open(ctx, "send")
	if err != nil {
		return nil, err
	}
	s := &socketSender{socket: socket, id: id, done: make(chan struct{})}
	go s.watch()
	return s, nil
}

// watch reads, which answers the relay's pings, until the relay reports an
// error or hangs up.
func (s *socketSender) watch() {
	defer s.socket.close()
	_, frame, err := s.socket.ReadMessage()
	if err == nil {
		err = parseSendFrame(frame)
	}
	s.err = err
	close(s.done)
}

func (s *socketSender) Send(msg []byte) error {
	s.frame = appendBoxFrame(s.frame[:0], s.id, msg)
	s.wrote = time.Now()
	return s.socket.write(s.frame)
}

// taken is how long a relay has for a message before its socket is closed:
// it does not say that it has taken it, and may drop what it is about to
// take.
const taken = 300 * time.Millisecond

func (s *socketSender) Finish(ctx context.Context) {
	defer s.socket.close()
	wait := time.NewTimer(time.Until(s.wrote.Add(taken)))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-s.done:
	case <-ctx.Done():
	}
}

func (s *socketSender) Done() <-chan struct{} { return s.done }

func (s *socketSender) Err() error { return s.err }

func (s *socketSender) Abort() { s.socket.close() }

type socketReceiver struct{ socket *socket }

func (t *socketTransport) Recv(ctx context.Context, id ID) (Receiver, error) {
	socket, err := t.open(ctx, "receive")
	if err != nil {
		return nil, err
	}
	if err := socket.write(descFrame(id)); err != nil {
		socket.close()
		return nil, err
	}
	return &socketReceiver{socket}, nil
}

func (r *socketReceiver) Recv() ([]byte, error) {
	_, frame, err := r.socket.ReadMessage()
	if err != nil {
		return nil, err
	}
	return parseBoxFrame(frame)
}

func (r *socketReceiver) Abort() { r.socket.close() }
