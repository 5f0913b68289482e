package mailbox

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

const (
	socketBuffer = 1024
	socketWrite  = 30 * time.Second
)

// pingText is what other relays write into a ping.
const pingText = "are you there?"

// filler is a stream that fills a box with messages in JSON.
type filler struct {
	relay *Relay
	call  call
	to    *writer
	desc  *hashmailrpc.CipherBoxDesc
}

// take reads one message, of at most the bytes it is told, and puts it into the
// box that the first one names.
func (f *filler) take(read func(most int) ([]byte, error)) error {
	// Base64 takes a third more, the rest of the JSON less than an id's length
	// again; what is read costs as much until the message is out of it.
	most := f.relay.limits.Message/3*4 + 2*descOverhead
	cost, err := f.relay.reserve(f.call, f.call.from, most)
	if err != nil {
		return err
	}
	m := new(hashmailrpc.CipherBox)
	raw, err := read(most)
	if err == nil {
		err = readJSON(raw, m)
	}
	if err == nil && f.to == nil {
		f.desc = m.GetDesc()
		f.to, err = f.relay.fillNamed(f.call, f.desc)
	}
	if err != nil {
		cost.release()
		return err
	}
	cost.shrink(len(m.GetMsg()))
	return f.to.write(f.call, m.GetMsg(), cost)
}

func (f *filler) close() {
	if f.to != nil {
		f.to.close()
	}
}

// socketSend takes messages, one a frame. Nothing comes back, unless the
// stream ends.
func (r *Relay) socketSend(c call, conn *websocket.Conn) {
	s, c := r.newSocket(c, conn)
	defer s.close()
	f := &filler{relay: r, call: c}
	defer f.close()
	for {
		_, frame, err := conn.NextReader()
		if err != nil {
			return
		}
		s.known()
		err = f.take(func(most int) ([]byte, error) { return s.read(frame, most) })
		if err != nil {
			s.end(refusalOf(err).statusJSON(nil))
			return
		}
	}
}

// socketReceive takes one frame, which names a box, and writes one for each of
// its messages.
func (r *Relay) socketReceive(c call, conn *websocket.Conn) {
	s, c := r.newSocket(c, conn)
	defer s.close()
	_, frame, err := conn.NextReader()
	if err != nil {
		return
	}
	desc := new(hashmailrpc.CipherBoxDesc)
	raw, err := s.read(frame, maxRequest)
	if err == nil {
		err = readJSON(raw, desc)
	}
	if err == nil {
		s.known()
		err = s.receive(c, desc)
	}
	s.end(refusalOf(err).errorJSON(nil))
}

func (s *socket) receive(c call, desc *hashmailrpc.CipherBoxDesc) error {
	d, err := s.relay.emptyNamed(c, desc)
	if err != nil {
		return err
	}
	defer d.close()
	go s.listen()
	return d.deliver(c, func(batch [][]byte) error {
		var frame []byte
		for _, msg := range batch {
			frame = resultJSON(frame[:0], desc, msg)
			if err := s.write(frame); err != nil {
				return errCancelled
			}
		}
		return nil
	})
}

// socket is a WebSocket that is pinged while it lives.
type socket struct {
	relay  *Relay
	conn   *websocket.Conn
	cancel context.CancelFunc
	pinger *time.Timer
	pongs  bool // keep it open

	mu sync.Mutex // held to write
}

// newSocket returns a socket and a call that ends when the socket does.
func (r *Relay) newSocket(c call, conn *websocket.Conn) (*socket, call) {
	s := &socket{relay: r, conn: conn}
	c.Context, s.cancel = context.WithCancel(c.Context)
	conn.SetReadLimit(int64(r.limits.Message)/3*4 + 4*descOverhead)
	_ = conn.SetReadDeadline(time.Now().Add(r.pingEvery + r.pongWithin))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pinger = time.AfterFunc(r.pingEvery, s.ping)
	// Hijacked connections are nobody else's to close.
	context.AfterFunc(c.Context, func() { conn.Close() })
	return s, c
}

// known is called when the first frame has come: from then on answers to pings
// keep a socket open.
func (s *socket) known() {
	if s.pongs {
		return
	}
	s.pongs = true
	more := func(string) error {
		return s.conn.SetReadDeadline(time.Now().Add(s.relay.pingEvery + s.relay.pongWithin))
	}
	_ = more("")
	s.conn.SetPongHandler(more)
}

func (s *socket) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.WriteControl(websocket.PingMessage, []byte(pingText), time.Now().Add(socketWrite)) == nil {
		s.pinger.Reset(s.relay.pingEvery)
	}
}

// listen reads what a client sends that should only answer pings, so that its
// end is seen.
func (s *socket) listen() {
	defer s.cancel()
	for {
		_, frame, err := s.conn.NextReader()
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, frame); err != nil {
			return
		}
	}
}

func (s *socket) read(frame io.Reader, most int) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(frame, int64(most)+1))
	switch {
	case errors.Is(err, websocket.ErrReadLimit), len(raw) > most:
		return nil, s.relay.refuse(errTooLong)
	case err != nil:
		return nil, errCancelled
	}
	return raw, nil
}

func (s *socket) write(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(socketWrite))
	return s.conn.WriteMessage(websocket.TextMessage, text)
}

// end writes the last frame.
func (s *socket) end(text []byte) {
	if s.write(text) == nil {
		_ = s.conn.WriteControl(websocket.CloseMessage,
			websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	}
}

func (s *socket) close() {
	s.pinger.Stop()
	s.cancel()
}
