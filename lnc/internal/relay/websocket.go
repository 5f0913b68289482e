package relay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
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

// socketTransport speaks with a relay over WebSockets: one for each stream.
type socketTransport struct {
	base   url.URL
	dialer websocket.Dialer
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
	if config.Dial != nil {
		t.dialer.NetDialContext, t.dialer.Proxy = config.Dial, nil
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
	conn, response, err := t.dialer.DialContext(ctx, address.String(), nil)
	if err != nil {
		if response != nil {
			return nil, fmt.Errorf("relay %q: %s", t.base.Host, response.Status)
		}
		return nil, fmt.Errorf("relay %q: %w", t.base.Host, err)
	}
	conn.SetReadLimit(maxFrame)
	stopLife := context.AfterFunc(t.life, func() { conn.Close() })
	stopCtx := context.AfterFunc(ctx, func() { conn.Close() })
	return &socket{conn, sync.OnceFunc(func() {
		stopLife()
		stopCtx()
		conn.Close()
	})}, nil
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
