package mailbox

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// h2Frame is the longest payload of a frame that is sent or taken, in bytes.
	h2Frame = 16 << 10
	// h2Table is the table for compressed headers that HTTP/2 has clients count
	// on until they have heard of less, in bytes.
	h2Table = 4096
	// h2MaxWindow is the largest window there may be, in bytes.
	h2MaxWindow = 1<<31 - 1
	// h2DefaultWindow is the window where nobody has said anything, in bytes.
	h2DefaultWindow = 65535

	h2PingAfter   = 20 * time.Second // of silence
	h2PongWithin  = 10 * time.Second
	h2WriteWithin = 30 * time.Second
	h2IdleTimeout = 2 * time.Minute // without a stream
)

// h2Conn serves gRPC on a connection that speaks HTTP/2 (RFC 9113), with one
// goroutine and little memory while nothing happens. What is no gRPC is told to
// come by HTTP/1.1.
type h2Conn struct {
	relay  *Relay
	conn   net.Conn
	from   *client
	framer *http2.Framer // reads
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	widened sync.Cond // a window has grown, or a stream has ended
	streams map[uint32]*h2Stream
	last    uint32 // the stream begun last
	active  int    // streams that are being served
	window  int64  // how much may be sent
	initial int64  // of each stream
	grant   h2Grant
	watch   *time.Timer
	begun   bool      // the client's preface has come
	closing bool      // the last stream that ends closes the connection
	heard   time.Time // when a frame last came
	used    time.Time // when a stream last ended
	pinged  bool      // since then

	writing sync.Mutex // held to write
}

// serveH2 serves a connection until it ends, and closes it.
func (r *Relay) serveH2(conn net.Conn) {
	now := time.Now()
	c := &h2Conn{
		relay: r, conn: conn, from: r.clients.get(conn.RemoteAddr().String()), streams: map[uint32]*h2Stream{},
		window: h2DefaultWindow, initial: h2DefaultWindow, grant: h2Grant{left: streamBuffer}, heard: now, used: now,
	}
	defer c.from.drop()
	c.widened.L = &c.mu
	c.ctx, c.cancel = context.WithCancel(r.ctx)
	defer c.cancel()
	defer conn.Close()
	defer context.AfterFunc(r.ctx, c.shutdown)()
	c.mu.Lock()
	c.watch = time.AfterFunc(r.helloWithin, c.look)
	c.mu.Unlock()
	defer c.watch.Stop()
	if c.begin() != nil {
		return
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err == nil {
			c.hear()
			err = c.take(frame)
		}
		var ofStream http2.StreamError
		var ofConn http2.ConnectionError
		switch {
		case err == nil:
		case errors.As(err, &ofStream):
			err = c.reset(ofStream.StreamID, ofStream.Code)
		case errors.As(err, &ofConn):
			c.leave(http2.ErrCode(ofConn))
		case errors.Is(err, http2.ErrFrameTooLarge):
			c.leave(http2.ErrCodeFrameSize)
		}
		if err != nil {
			return
		}
	}
}

// begin exchanges prefaces.
func (c *h2Conn) begin() error {
	err := c.write(func(f *http2.Framer) error {
		return errors.Join(f.WriteSettings(
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: connectionStreams},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamBuffer},
			http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeader},
		), f.WriteWindowUpdate(0, streamBuffer-h2DefaultWindow))
	})
	if err != nil {
		return err
	}
	var preface [len(http2.ClientPreface)]byte
	if _, err := io.ReadFull(c.conn, preface[:]); err != nil || string(preface[:]) != http2.ClientPreface {
		return errMalformed
	}
	c.framer = http2.NewFramer(nil, c.conn)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(h2Frame)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(h2Table, nil)
	c.framer.MaxHeaderListSize = maxHeader
	first, err := c.framer.ReadFrame()
	if settings, ok := first.(*http2.SettingsFrame); err != nil || !ok || settings.IsAck() {
		return errMalformed
	}
	c.mu.Lock()
	c.begun = true
	c.watch.Reset(h2PingAfter)
	c.mu.Unlock()
	return c.take(first)
}

func (c *h2Conn) hear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard, c.pinged = time.Now(), false
}

// look ends a connection that is dead, or of no use, and asks a silent one for a
// sign of life.
func (c *h2Conn) look() {
	c.mu.Lock()
	silent := time.Since(c.heard)
	dead := !c.begun || c.pinged || c.ctx.Err() != nil
	unused := c.active == 0 && time.Since(c.used) >= h2IdleTimeout
	ask := !dead && silent >= h2PingAfter
	c.pinged = c.pinged || ask
	switch {
	case ask:
		c.watch.Reset(h2PongWithin)
	case !dead && !unused:
		c.watch.Reset(h2PingAfter - silent)
	}
	c.mu.Unlock()
	switch {
	case dead:
		c.conn.Close()
	case unused:
		c.leave(http2.ErrCodeNo)
		c.conn.Close()
	case ask:
		_ = c.write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }) // closes what fails
	}
}

// leave tells the client that no stream can be begun any more.
func (c *h2Conn) leave(why http2.ErrCode) {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	_ = c.write(func(f *http2.Framer) error { return f.WriteGoAway(last, why, nil) }) // closes what fails
}

// shutdown ends a connection when its streams have told their clients so.
func (c *h2Conn) shutdown() {
	c.leave(http2.ErrCodeNo)
	c.mu.Lock()
	c.closing = true
	through := c.active == 0
	c.mu.Unlock()
	if through {
		c.conn.Close()
		return
	}
	time.AfterFunc(shutdownTimeout, func() { c.conn.Close() })
}
