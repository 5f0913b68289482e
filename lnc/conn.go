package lnc

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/gbn"
	"github.com/leydenln/leyden/lnc/internal/noise"
)

const (
	// maxChunk is the longest plaintext of a record: other implementations
	// hand out no more than this to one read.
	maxChunk = 32 << 10

	// preface begins HTTP/2, and has a record of its own: other
	// implementations would lose what shares it.
	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// link carries messages reliably and in order, or ends. What returns its
// context's error has done nothing.
type link interface {
	// Send does not keep the message.
	Send(ctx context.Context, msg []byte) error
	// Recv gives the message away.
	Recv(ctx context.Context) ([]byte, error)
	// Done is closed when the link has ended, and Err then says why.
	Done() <-chan struct{}
	Err() error
	Close() error
}

// Conn is a secured connection between a client and a node. Its methods may be
// called by several goroutines at once.
//
// A Write that fails with os.ErrDeadlineExceeded has taken as many bytes as it
// says, of which the last, up to 32 KiB, go out with the next Write.
type Conn struct {
	link       link
	initiator  bool
	static     *btcec.PublicKey
	remote     *btcec.PublicKey
	auth       []byte
	version    byte
	deadlineIn *deadline
	deadlineTo *deadline

	end       context.CancelCauseFunc
	closing   atomic.Bool
	closed    chan struct{}
	afterward func()

	reading sync.Mutex
	opener  *noise.Opener
	wire    []byte      // received, not yet opened
	plain   []byte      // opened, not yet read
	body    int         // size of the body that comes next in wire, 0: a header does
	heard   atomic.Bool // a record has come: the other side has done its part

	writing sync.Mutex
	sealer  *noise.Sealer
	began   bool     // something was written
	buffer  []byte   // memory of pending
	pending [][]byte // messages sealed, not yet taken by the link
}

// newConn returns the connection of a handshake that is done.
func newConn(l link, h *noise.Handshake, static *btcec.PrivateKey, initiator bool) (*Conn, error) {
	sealer, opener, err := h.Ciphers()
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancelCause(context.Background())
	return &Conn{
		link:       l,
		initiator:  initiator,
		static:     static.PubKey(),
		remote:     h.Remote(),
		auth:       h.AuthData(),
		version:    h.Version(),
		deadlineIn: newDeadline(life),
		deadlineTo: newDeadline(life),
		end:        end,
		closed:     make(chan struct{}),
		afterward:  func() {},
		opener:     opener,
		sealer:     sealer,
	}, nil
}

// Read implements net.Conn. When the other side, or somebody who pretends to
// be it, has ended the connection, the error is io.ErrUnexpectedEOF.
func (c *Conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if err := c.deadlineIn.passed(); err != nil || len(p) == 0 {
		return 0, err
	}
	for len(c.plain) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}

// fill opens the next record, for which it waits.
func (c *Conn) fill() error {
	for {
		opened, err := c.open()
		if err != nil {
			c.end(err)
			return err
		}
		if opened {
			return nil
		}
		if err := c.receive(); err != nil {
			return err
		}
	}
}

// open opens a record if all of it is there, in place.
func (c *Conn) open() (bool, error) {
	if c.body == 0 {
		if len(c.wire) < noise.HeaderSize {
			return false, nil
		}
		n, err := c.opener.OpenHeader(c.wire[:noise.HeaderSize])
		if err != nil {
			return false, fmt.Errorf("record header: %w", err)
		}
		c.wire, c.body = c.wire[noise.HeaderSize:], n
	}
	if len(c.wire) < c.body {
		return false, nil
	}
	body := c.wire[:c.body]
	c.wire, c.body = c.wire[c.body:], 0
	plain, err := c.opener.OpenBody(body[:0], body)
	if err != nil {
		return false, fmt.Errorf("record: %w", err)
	}
	c.plain = plain
	c.heard.Store(true)
	return true, nil
}

func (c *Conn) receive() error {
	return c.deadlineIn.do(func(ctx context.Context) error {
		msg, err := c.link.Recv(ctx)
		if err != nil {
			return linkError(err)
		}
		payload, err := decodeMsgData(msg)
		if err != nil {
			c.end(err)
			return err
		}
		if len(c.wire) == 0 {
			c.wire = payload
		} else {
			c.wire = append(c.wire, payload...)
		}
		return nil
	})
}

// linkError keeps an end that nobody vouches for from looking like a clean one.
func linkError(err error) error {
	if errors.Is(err, gbn.ErrPeerClosed) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.flush(); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) {
		chunk := p[n:min(len(p), n+maxChunk)]
		if !c.began && c.initiator && bytes.HasPrefix(chunk, []byte(preface)) {
			chunk = chunk[:len(preface)]
		}
		c.seal(chunk)
		n += len(chunk)
		if err := c.flush(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// seal makes the messages of one record: one, or two where one would be held
// back.
func (c *Conn) seal(chunk []byte) {
	c.began = true
	msg := c.sealer.Seal(beginMsgData(c.buffer[:0]), chunk)
	c.buffer = msg[:0]
	if !heldBack(len(msg)) {
		c.pending = append(c.pending, endMsgData(msg))
		return
	}
	record := msg[msgDataHeader:]
	c.pending = append(c.pending, encodeMsgData(record[:noise.HeaderSize]), encodeMsgData(record[noise.HeaderSize:]))
}

// flush hands the sealed messages to the link. They keep their place if the
// deadline passes: what is sealed once must not be sealed again.
func (c *Conn) flush() error {
	if err := c.deadlineTo.passed(); err != nil {
		return err
	}
	for len(c.pending) > 0 {
		err := c.deadlineTo.do(func(ctx context.Context) error {
			return linkError(c.link.Send(ctx, c.pending[0]))
		})
		if err != nil {
			return err
		}
		c.pending = c.pending[1:]
	}
	c.pending = nil
	return nil
}

// Close tells the other side, which may not hear it, and ends the connection
// within two seconds. It returns nil, and may be called again.
func (c *Conn) Close() error {
	if c.closing.Swap(true) {
		<-c.closed
		return nil
	}
	c.end(net.ErrClosed)
	c.link.Close()
	c.wipe()
	c.afterward()
	close(c.closed)
	return nil
}

// wipe clears the keys once nobody uses them any more.
func (c *Conn) wipe() {
	c.reading.Lock()
	c.opener.Wipe()
	c.reading.Unlock()
	c.writing.Lock()
	c.sealer.Wipe()
	c.writing.Unlock()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(at time.Time) error {
	c.deadlineIn.set(at)
	c.deadlineTo.set(at)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(at time.Time) error {
	c.deadlineIn.set(at)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(at time.Time) error {
	c.deadlineTo.set(at)
	return nil
}

// LocalAddr returns this side's key as an address.
func (c *Conn) LocalAddr() net.Addr { return address(c.static) }

// RemoteAddr returns the other side's key as an address.
func (c *Conn) RemoteAddr() net.Addr { return address(c.remote) }

// Remote returns the other side's key, of which it has proved possession.
func (c *Conn) Remote() *btcec.PublicKey { return c.remote }

// AuthData returns what the node told this client in the handshake, in the form
// of HTTP header lines, such as "Macaroon: <hex>". At a node it is nil.
func (c *Conn) AuthData() []byte { return c.auth }

// Version returns the version of the handshake.
func (c *Conn) Version() byte { return c.version }

type keyAddr string

func address(key *btcec.PublicKey) net.Addr {
	return keyAddr(hex.EncodeToString(key.SerializeCompressed()))
}

// Network implements net.Addr.
func (keyAddr) Network() string { return "lnc" }

// String implements net.Addr with the compressed key in hex.
func (a keyAddr) String() string { return string(a) }
