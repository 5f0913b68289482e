package mailbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// h2Client speaks HTTP/2 frame by frame.
type h2Client struct {
	*http2.Framer
	t    testing.TB
	conn net.Conn
}

// serveFrames serves the other end of what it returns.
func serveFrames(t testing.TB, r *Relay) (client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if !r.spawn(func() { r.serveH2(served) }) {
		t.Fatal("the relay has ended")
	}
	return client
}

func (r *testRelay) frames() *h2Client {
	r.t.Helper()
	conn := serveFrames(r.t, r.Relay)
	c := &h2Client{http2.NewFramer(conn, conn), r.t, conn}
	c.AllowIllegalWrites = true
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.do(func() error { _, err := conn.Write([]byte(http2.ClientPreface)); return err }(), c.WriteSettings())
	return c
}

func (c *h2Client) do(errs ...error) {
	c.t.Helper()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *h2Client) request(id uint32, method string, end bool, more ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := append([]string{":method", "POST", ":scheme", "https", ":path", grpcPrefix + method,
		":authority", "relay.example", "content-type", "application/grpc"}, more...)
	for i := 0; i < len(fields); i += 2 {
		c.do(encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true}))
	}
	whole := block.Bytes()
	first := whole[:min(len(whole), 16000)]
	c.do(c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(whole)}))
	for whole = whole[len(first):]; len(whole) > 0; {
		n := min(len(whole), 16000)
		c.do(c.WriteContinuation(id, n == len(whole), whole[:n]))
		whole = whole[n:]
	}
}

func (c *h2Client) message(id uint32, end bool, m proto.Message) {
	raw, err := proto.Marshal(m)
	c.do(err, c.WriteData(id, end, append([]byte{0, 0, 0, byte(len(raw) >> 8), byte(len(raw))}, raw...)))
}

// until reads frames until one is as wanted.
func (c *h2Client) until(what string, wanted func(http2.Frame) bool) {
	c.t.Helper()
	c.do(c.conn.SetReadDeadline(time.Now().Add(20 * time.Second)))
	for {
		f, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("%s: %v", what, err)
		}
		if wanted(f) {
			return
		}
	}
}

// untilStatus returns the gRPC status by which a stream ends.
func (c *h2Client) untilStatus(id uint32) (code string) {
	c.t.Helper()
	c.until("a status", func(f http2.Frame) bool {
		h, ok := f.(*http2.MetaHeadersFrame)
		if !ok || f.Header().StreamID != id {
			return false
		}
		for _, field := range h.Fields {
			if field.Name == "grpc-status" {
				code = field.Value
			}
		}
		return h.StreamEnded()
	})
	return code
}

func goAway(code http2.ErrCode) func(http2.Frame) bool {
	return func(f http2.Frame) bool { g, ok := f.(*http2.GoAwayFrame); return ok && g.ErrCode == code }
}

func rst(id uint32, code http2.ErrCode) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		r, ok := f.(*http2.RSTStreamFrame)
		return ok && r.StreamID == id && r.ErrCode == code
	}
}

func TestH2Refuses(t *testing.T) {
	big := make([]byte, h2Frame)
	for name, test := range map[string]struct {
		do   func(c *h2Client)
		want func(http2.Frame) bool
	}{
		"fail/even stream":       {func(c *h2Client) { c.request(2, "SendStream", false) }, goAway(http2.ErrCodeProtocol)},
		"fail/data of no stream": {func(c *h2Client) { c.do(c.WriteData(5, false, big)) }, goAway(http2.ErrCodeProtocol)},
		"fail/reset of no stream": {func(c *h2Client) { c.do(c.WriteRSTStream(5, 0)) },
			goAway(http2.ErrCodeProtocol)},
		"fail/window of no stream": {func(c *h2Client) { c.do(c.WriteWindowUpdate(5, 1)) }, goAway(http2.ErrCodeProtocol)},
		"fail/push": {func(c *h2Client) {
			c.do(c.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true}))
		}, goAway(http2.ErrCodeProtocol)},
		"fail/window too wide":           {func(c *h2Client) { c.do(c.WriteWindowUpdate(0, h2MaxWindow)) }, goAway(http2.ErrCodeFlowControl)},
		"fail/window of stream too wide": {func(c *h2Client) { c.request(1, "SendStream", false); c.do(c.WriteWindowUpdate(1, h2MaxWindow)) }, rst(1, http2.ErrCodeFlowControl)},
		"fail/settings widen too much": {func(c *h2Client) {
			c.request(1, "SendStream", false)
			c.do(c.WriteWindowUpdate(1, 1<<30), c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: h2MaxWindow}))
		}, goAway(http2.ErrCodeFlowControl)},
		"fail/more than the window": {func(c *h2Client) {
			c.request(1, "NewCipherBox", false)
			c.do(c.WriteData(1, false, []byte{0, 0, 0, 4, 0})) // then it reads no more than 1024
			for range streamBuffer/h2Frame + 1 {
				_ = c.WriteData(1, false, big) // the relay may be gone
			}
		}, func(f http2.Frame) bool {
			return goAway(http2.ErrCodeFlowControl)(f) || rst(1, http2.ErrCodeFlowControl)(f) || rst(1, http2.ErrCodeNo)(f)
		}},
		"fail/long header": {func(c *h2Client) { c.request(1, "SendStream", false, "x", strings.Repeat("y", 2*maxHeader)) },
			func(f http2.Frame) bool {
				return rst(1, http2.ErrCodeEnhanceYourCalm)(f) || goAway(http2.ErrCodeProtocol)(f) || goAway(http2.ErrCodeCompression)(f)
			}},
		"fail/no gRPC":        {func(c *h2Client) { c.request(1, "SendStream", false, "content-type", "text/html") }, rst(1, http2.ErrCodeHTTP11Required)},
		"fail/headers again":  {func(c *h2Client) { c.request(1, "SendStream", false); c.request(1, "SendStream", false) }, rst(1, http2.ErrCodeProtocol)},
		"fail/no such method": {func(c *h2Client) { c.request(1, "Fly", true) }, func(f http2.Frame) bool { h, ok := f.(*http2.MetaHeadersFrame); return ok && h.StreamEnded() }},
		"fail/too many streams": {func(c *h2Client) {
			for i := range uint32(connectionStreams + 1) {
				c.request(2*i+1, "SendStream", false)
			}
		}, rst(2*connectionStreams+1, http2.ErrCodeRefusedStream)},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRelay(t, Limits{})
			c := r.frames()
			test.do(c)
			c.until("the refusal", test.want)
			c.conn.Close()
			until.True(t, "nothing left", func() bool {
				r.clients.mu.Lock()
				defer r.clients.mu.Unlock()
				return len(r.clients.known) == 0
			})
		})
	}
}

// A client's windows are kept to, and what waits for them goes on.
func TestH2Windows(t *testing.T) {
	r := startRelay(t, Limits{})
	writer, desc := r.dial(), box64("a box")
	r.create(writer, desc)
	c := r.frames()
	c.do(c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}))
	c.request(1, "RecvStream", false)
	c.message(1, true, desc)
	c.until("the headers", func(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok })
	in, err := writer.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	msg := bytes.Repeat([]byte("abc"), 10_000)
	if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: msg}); err != nil {
		t.Fatal(err)
	}
	var got []byte
	window := 10
	for len(got) < 5+len(msg) {
		c.until("data", func(f http2.Frame) bool {
			d, ok := f.(*http2.DataFrame)
			if ok {
				got = append(got, d.Data()...)
			}
			return ok
		})
		if len(got) > window {
			t.Fatalf("%d bytes came in a window of %d", len(got), window)
		}
		if len(got) == window {
			more := min(window, 20_000)
			window += more
			if window > h2DefaultWindow/2 {
				c.do(c.WriteWindowUpdate(0, uint32(more)))
			}
			c.do(c.WriteWindowUpdate(1, uint32(more)))
		}
	}
	m := new(hashmailrpc.CipherBox)
	if err := proto.Unmarshal(got[frameHeader:], m); err != nil || !bytes.Equal(m.GetMsg(), msg) {
		t.Errorf("%d bytes became %d, %v", len(msg), len(m.GetMsg()), err)
	}
	if _, err := writer.DelCipherBox(t.Context(), authFor(desc)); err != nil {
		t.Fatal(err)
	}
	if code := c.untilStatus(1); code != "2" {
		t.Errorf("the reader of a box that is gone got the status %q", code)
	}
}

// A stream that is reset gives its place as the reader up; so does one whose
// connection ends.
func TestH2Resets(t *testing.T) {
	r := startRelay(t, Limits{})
	desc := box64("a box")
	r.create(r.dial(), desc)
	read := func() *h2Client {
		c := r.frames()
		for id := uint32(1); ; id += 2 {
			c.request(id, "RecvStream", false)
			c.message(id, true, desc)
			var ended bool
			c.until("an answer", func(f http2.Frame) bool {
				h, ok := f.(*http2.MetaHeadersFrame)
				ended = ok && h.StreamEnded()
				return ok && h.StreamID == id
			})
			if !ended {
				return c
			}
		}
	}
	first := read()
	first.do(first.WriteRSTStream(1, http2.ErrCodeCancel))
	second := read()
	second.conn.Close()
	read()
}

func TestH2Ends(t *testing.T) {
	r := startRelay(t, Limits{})
	desc := box64("a box")
	r.create(r.dial(), desc)
	c, unused := r.frames(), r.frames()
	c.request(1, "RecvStream", false)
	c.message(1, true, desc)
	c.request(3, "SendStream", false)
	c.until("the headers", func(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok })
	if err := r.Relay.Close(); err != nil {
		t.Fatal(err)
	}
	unused.until("the end", goAway(http2.ErrCodeNo))
	ends := map[uint32]bool{}
	c.until("both ends", func(f http2.Frame) bool {
		if h, ok := f.(*http2.MetaHeadersFrame); ok && h.StreamEnded() {
			ends[h.StreamID] = true
		}
		return len(ends) == 2
	})
}

func TestH2Deadline(t *testing.T) {
	r := startRelay(t, Limits{})
	desc := box64("a box")
	r.create(r.dial(), desc)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	out, err := r.dial().RecvStream(ctx, desc)
	if err == nil {
		_, err = out.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after the deadline: %v", err)
	}
}

// FuzzH2 sends anything after the preface: the relay must not fail, and keep
// nothing when the connection has ended.
func FuzzH2(f *testing.F) {
	var seed bytes.Buffer
	framer := http2.NewFramer(&seed, nil)
	framer.AllowIllegalWrites = true
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", grpcPrefix + "SendStream"},
		{":authority", "x"}, {"content-type", "application/grpc"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			f.Fatal(err)
		}
	}
	if err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}), framer.WriteData(1, false, []byte{0, 0, 0, 0, 2, 10, 0}),
		framer.WriteWindowUpdate(1, 7), framer.WritePing(false, [8]byte{}), framer.WriteRSTStream(1, 8)); err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Bytes())
	f.Add(seed.Bytes()[:60])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frames []byte) {
		r, err := New(Limits{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.serveH2(theirs)
		}()
		go func() { _, _ = io.Copy(io.Discard, ours) }() // until it is closed
		_ = ours.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = ours.Write(append([]byte(http2.ClientPreface), frames...)) // the relay may have closed
		ours.Close()
		<-done
		until.True(t, "nothing left", func() bool {
			r.clients.mu.Lock()
			defer r.clients.mu.Unlock()
			return len(r.clients.known) == 0
		})
	})
}
