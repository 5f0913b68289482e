package gate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2client speaks HTTP/2 frame by frame, with prior knowledge.
type h2client struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	encode *hpack.Encoder
	next   uint32
	wait   time.Duration // for a frame
}

func newH2Client(t *testing.T, g *Gate) *h2client {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &h2client{t: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1, wait: patient}
	c.encode = hpack.NewEncoder(&c.block)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = io.WriteString(conn, http2.ClientPreface)
	if err := errors.Join(err, c.framer.WriteSettings()); err != nil {
		t.Fatal(err)
	}
	return c
}

// headers begins a stream with the fields, name and value in turn.
func (c *h2client) headers(endStream bool, fields ...string) (stream uint32, err error) {
	c.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		if err := c.encode.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return 0, err
		}
	}
	stream = c.next
	c.next += 2
	return stream, c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: c.block.Bytes(), EndStream: endStream, EndHeaders: true})
}

// status is the status of a stream, "reset" or "gone" when it is given up
// without one.
func (c *h2client) status(stream uint32) string {
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(c.wait)); err != nil {
			return "gone"
		}
		frame, err := c.framer.ReadFrame()
		if err != nil {
			var ours http2.StreamError
			if errors.As(err, &ours) {
				continue
			}
			return "gone"
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == stream {
				return f.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return "reset"
			}
		case *http2.SettingsFrame:
			if !f.IsAck() && c.framer.WriteSettingsAck() != nil {
				return "gone"
			}
		}
	}
}

// TestBypassByHTTP2 says in pseudo-headers and header fields what HTTP/1 would
// read as something else.
func TestBypassByHTTP2(t *testing.T) {
	r := newRecorder(t, recorderAnswer)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(shopServices, r.addr()))
	usual := []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/free"}
	with := func(more ...string) []string { return append(append([]string(nil), usual...), more...) }
	but := func(name, value string) []string {
		fields := append([]string(nil), usual...)
		for i := range fields {
			if fields[i] == name {
				fields[i+1] = value
			}
		}
		return fields
	}
	attacks := [][]string{usual}
	for _, target := range spellings() {
		attacks = append(attacks, but(":path", target))
	}
	for _, method := range []string{"", "GET /paid/x HTTP/1.1\r\nX: ", "GET\r\n\r\nGET", "CONNECT", "TRACE", "get", "GET ", "G T", "PRI", "POST\x00", "GET\nGET"} {
		attacks = append(attacks, but(":method", method))
	}
	for _, path := range []string{"/free HTTP/1.1\r\nHost: x\r\n\r\nGET /paid/x", "/free?x HTTP/1.1\r\n\r\nGET /paid/x", "/free? HTTP/1.1 /paid/x", "/free\r\nX-Original-URL: /paid/x",
		"/free\nX: y", "/free\x00/paid", "/free?\x0d\x0a", "*", ""} {
		attacks = append(attacks, but(":path", path), but(":authority", "x"+path), but(":scheme", "http://x/paid/x?"+path))
	}
	for _, authority := range []string{"", "x@y", "x/paid/x", "x\r\nX: y", "x y", "dear.test", "DEAR.TEST."} {
		attacks = append(attacks, but(":authority", authority))
	}
	attacks = append(attacks,
		with(":path", "/paid/x"), with(":method", "POST"), with(":authority", "dear.test"), with("host", "dear.test"), with(":protocol", "websocket"),
		append([]string{":path", "/paid/x"}, usual...), append([]string{"x", "y"}, usual...), with("x", "y", ":path", "/paid/x"), usual[:6], usual[2:],
		with("connection", "upgrade"), with("connection", "close, x-forwarded-for"), with("upgrade", "h2c"), with("upgrade", "websocket"), with("http2-settings", "AAMAAABk"),
		with("transfer-encoding", "chunked"), with("transfer-encoding", "xchunked"), with("content-length", "0"), with("content-length", "100"),
		with("content-length", "0", "content-length", "100"), with("content-length", "-1"), with("content-length", "1 "), with("te", "chunked"), with("te", "trailers"),
		with("keep-alive", "1"), with("proxy-connection", "x"), with("X-Upper", "y"), with("x y", "z"), with("x:", "y"), with("x\r\ny", "z"), with("", "z"),
		with("x", "a\r\n\r\nGET /paid/x HTTP/1.1\r\nHost: x"), with("x", "a\nb"), with("x", "a\x00b"), with("x\x00", "y"), with("x", " a "), with(":", "x"), with(":x", "y"),
		with("x-original-url", "/paid/x"), with("x-forwarded-for", "/paid/x"), with("x_original_url", "/paid/x"), with("transfer_encoding", "chunked"),
		with("cookie", "a=b", "cookie", "c=d\r\nx: y"), with("trailer", "content-length"), with("expect", "100-continue"))
	var all sync.WaitGroup
	turn := make(chan struct{}, 32)
	for _, fields := range attacks {
		for _, body := range []string{"", smuggled, "0\r\n\r\n" + smuggled} {
			turn <- struct{}{}
			c := newH2Client(t, g)
			c.wait = quiet
			all.Go(func() {
				defer func() { <-turn }()
				stream, err := c.headers(body == "", fields...)
				if err == nil && body != "" {
					err = c.framer.WriteData(stream, true, []byte(body))
				}
				if err == nil && c.status(stream) == "500" {
					t.Errorf("%q: 500", fields)
				}
				_ = c.conn.Close()
			})
		}
	}
	all.Wait()
	nothingUnpaid(t, r)
	for _, got := range r.requests() {
		head, _, _ := strings.Cut(got, "\r\n\r\n")
		_, fields, _ := strings.Cut(strings.ToLower(head), "\r\n")
		if lower := fields; strings.Contains(lower, "paid") || strings.Contains(lower, "upgrade") || strings.Contains(lower, "dear") ||
			strings.Count(lower, "content-length:")+strings.Count(lower, "transfer-encoding:") > 1 {
			t.Errorf("the backend got %q", head)
		}
	}
	if len(r.requests()) < 10 {
		t.Errorf("only %d requests reached the backend: the suite tries nothing", len(r.requests()))
	}
}

// TestRapidReset begins requests and resets them at once (CVE-2023-44487). None
// reaches the backend unpaid, and the gate goes on serving.
func TestRapidReset(t *testing.T) {
	const begun = 20_000
	r := newRecorder(t, recorderAnswer)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(shopServices, r.addr()))
	c := newH2Client(t, g)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if f, err := c.framer.ReadFrame(); err != nil {
				return
			} else if _, ok := f.(*http2.GoAwayFrame); ok {
				return
			}
		}
	}()
	sent := 0
	for ; sent < begun; sent++ {
		stream, err := c.headers(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/paid/x")
		if err != nil || c.framer.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			break
		}
	}
	if sent == begun {
		t.Log("all were taken, one after the other")
		_ = c.conn.Close()
	}
	wait(t, gone, "the connection has ended")
	nothingUnpaid(t, r)
	if resp := get(t, g, "/free"); resp.StatusCode != 200 {
		t.Errorf("afterwards: status %d", resp.StatusCode)
	}
}

// TestHTTP2Bounds are what a client is told, and what happens beyond.
func TestHTTP2Bounds(t *testing.T) {
	r := newRecorder(t, recorderAnswer)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(shopServices, r.addr()))
	c := newH2Client(t, g)
	frame, err := c.framer.ReadFrame()
	settings, ok := frame.(*http2.SettingsFrame)
	if err != nil || !ok {
		t.Fatalf("%v, %v", frame, err)
	}
	for id, want := range map[http2.SettingID]uint32{http2.SettingMaxConcurrentStreams: maxStreams, http2.SettingInitialWindowSize: maxStreamWindow} {
		if got, _ := settings.Value(id); got != want {
			t.Errorf("%v: %d, want %d", id, got, want)
		}
	}
	usual := []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/free"}
	if stream, err := c.headers(true, append(usual, "x-large", strings.Repeat("y", 15<<10))...); err != nil || c.status(stream) != "200" {
		t.Errorf("15 KiB of header: %v", err)
	}
	for range 200 {
		usual = append(usual, "a", "b")
	}
	stream, err := c.headers(true, usual...)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.status(stream); got != "431" {
		t.Errorf("200 lines of header: %s", got)
	}
}

// TestHTTP2ClientDoesNotRead: a stream whose window stays shut is reset, while
// the connection lives.
func TestHTTP2ClientDoesNotRead(t *testing.T) {
	r := newRecorder(t, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1_000_000))
	g := openGate(t, t.TempDir(), newFakeNode(), "limits: {bodytimeout: 400ms}\n"+fmt.Sprintf(shopServices, r.addr()))
	c := newH2Client(t, g)
	usual := []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/free"}
	stream, err := c.headers(true, usual...)
	if err != nil || c.status(stream) != "200" {
		t.Fatal(err)
	}
	if got := c.status(stream); got != "reset" {
		t.Errorf("the stream: %s", got)
	}
	if stream, err := c.headers(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/paid/x"); err != nil || c.status(stream) != "402" {
		t.Errorf("the connection does not live: %v", err)
	}
}

// TestHTTP2ClientsLeaveAmidHints: the server may still write an interim answer
// when the next one is put together. The race detector looks.
func TestHTTP2ClientsLeaveAmidHints(t *testing.T) {
	var hints strings.Builder
	for i := range 60 {
		fmt.Fprintf(&hints, "X-Hint-%d: %d\r\n", i, i)
	}
	interim := "HTTP/1.1 103 Early Hints\r\n" + hints.String() + "\r\n"
	r := newRecorder(t, strings.Repeat(interim, 4)+"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(freeService, r.addr()))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 40 {
				c := newH2Client(t, g)
				for range i {
					if _, err := c.headers(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/"); err != nil {
						break
					}
				}
				_ = c.conn.Close()
			}
		})
	}
	all.Wait()
	c := newH2Client(t, g)
	stream, err := c.headers(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/")
	if err != nil || c.status(stream) != "103" {
		t.Errorf("no hints: %v", err)
	}
	if got := c.status(stream); got != "103" {
		t.Errorf("after the first hints: %s", got)
	}
}
