package mailbox

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// inUse is what the program holds of memory, stacks as well, in bytes.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what pools give up needs two
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func (r *testRelay) connections() int {
	r.clients.mu.Lock()
	defer r.clients.mu.Unlock()
	return r.Relay.clients.connections
}

func (r *testRelay) openTLS(protocol string) *tls.Conn {
	r.t.Helper()
	config := r.tls.Clone()
	config.NextProtos = []string{protocol}
	conn, err := tls.Dial("tcp", r.addr, config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

// TestHalfOpen: a thousand connections that say nothing, or begin to, cost
// little each, and end.
func TestHalfOpen(t *testing.T) {
	const count, mostEach = 1000, 40 << 10
	for name, begin := range map[string]func(r *testRelay) io.Closer{
		"nothing": func(r *testRelay) io.Closer {
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
		"half a hello": func(r *testRelay) io.Closer {
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			// A record of TLS that promises 512 bytes.
			_, _ = conn.Write([]byte{22, 3, 1, 2, 0, 1, 0})
			return conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRelay(t, Limits{ClientConnections: count}, func(r *Relay) { r.helloWithin = 8 * time.Second })
			before := inUse()
			for range count {
				conn := begin(r)
				t.Cleanup(func() { conn.Close() })
			}
			until.True(t, "the connections", func() bool { return r.connections() == count })
			each := (inUse() - before) / count
			t.Logf("%d bytes each", each)
			if each > mostEach {
				t.Errorf("%d bytes each, at most %d", each, mostEach)
			}
			until.True(t, "their end", func() bool { return r.connections() == 0 })
		})
	}
}

// TestSlowClients: whoever begins a request and does not go on is cut off, even
// if he keeps giving signs of life.
func TestSlowClients(t *testing.T) {
	hurried := func(r *Relay) {
		r.helloWithin, r.messageWithin = time.Second, time.Second
		r.pingEvery, r.pongWithin = time.Second, time.Second
	}
	post := func(path, rest string) func(r *testRelay) io.Reader {
		return func(r *testRelay) io.Reader {
			conn := r.openTLS("http/1.1")
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: relay\r\n%s", path, rest)
			return conn
		}
	}
	socket := func(way string) func(r *testRelay) io.Reader {
		return func(r *testRelay) io.Reader {
			conn := r.socket(way)
			for { // which answers pings
				if _, _, err := conn.ReadMessage(); err != nil {
					return strings.NewReader("")
				}
			}
		}
	}
	call := func(method, body string) func(r *testRelay) io.Reader {
		return func(r *testRelay) io.Reader {
			in, out := io.Pipe()
			go io.WriteString(out, body)
			answer := make(chan string, 1)
			go func() { answer <- r.callWith(method, in) }()
			if a := <-answer; !strings.HasPrefix(a, fmt.Sprint(int(codes.DeadlineExceeded))) {
				t.Errorf("answered %q", a)
			}
			return strings.NewReader("")
		}
	}
	for name, begin := range map[string]func(r *testRelay) io.Reader{
		"no request":             func(r *testRelay) io.Reader { return r.openTLS("http/1.1") },
		"no HTTP/2":              func(r *testRelay) io.Reader { return r.openTLS("h2") },
		"half a header":          post(restPath, "X:"),
		"create without body":    post(restPath, "Content-Length: 100\r\n\r\n{"),
		"receive without body":   post(restPath+"/receive", "Content-Length: 100\r\n\r\n{"),
		"send without body":      post(restPath+"/send", "Content-Length: 100\r\n\r\n{"),
		"nothing without body":   post("/nothing", "Content-Length: 100\r\n\r\n{"),
		"gRPC, no message":       call("NewCipherBox", ""),
		"gRPC, no box":           call("RecvStream", ""),
		"gRPC, half a message":   call("RecvStream", "\x00\x00\x00\x00\x10x"),
		"gRPC, no first message": call("SendStream", ""),
		"socket, no box":         socket("receive"),
		"socket, no message":     socket("send"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t, Limits{}, hurried)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = io.Copy(io.Discard, begin(r))
			}()
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Error("it goes on")
				r.Close()
			}
		})
	}
}

// callWith is a call of gRPC with this body, and returns its status.
func (r *testRelay) callWith(method string, body io.Reader) string {
	req, err := http.NewRequestWithContext(r.t.Context(), "POST", "https://"+r.addr+grpcPrefix+method, body)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/grpc")
	transport := &http.Transport{TLSClientConfig: r.tls.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err != nil {
		return err.Error()
	}
	return answer.Trailer.Get("Grpc-Status") + " " + answer.Trailer.Get("Grpc-Message")
}

// TestHeaderBombs: headers beyond the limit end a request, and those within it
// are not kept by a stream.
func TestHeaderBombs(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	t.Run("HTTP/1", func(t *testing.T) {
		conn := r.openTLS("http/1.1")
		go func() {
			fmt.Fprintf(conn, "GET %s/receive HTTP/1.1\r\nHost: relay\r\nX: ", restPath)
			for range 1000 {
				if _, err := io.WriteString(conn, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered %s", answer.Status)
		}
	})
	t.Run("HTTP/2", func(t *testing.T) {
		transport := &http.Transport{TLSClientConfig: r.tls.Clone(), ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+r.addr+grpcPrefix+"RecvStream", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc")
		for i := range 100 {
			req.Header.Set(fmt.Sprint("x", i), strings.Repeat("x", 1000))
		}
		answer, err := transport.RoundTrip(req)
		if err != nil {
			return
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered %s", answer.Status)
		}
	})
	t.Run("kept", func(t *testing.T) {
		const count, long = 200, 7 << 10
		cost := func(header string) int64 {
			var desc [count]*hashmailrpc.CipherBoxDesc
			for i := range desc {
				desc[i] = box64(fmt.Sprint(i))
				r.create(c, desc[i])
			}
			before := inUse()
			for i := range desc {
				name := descOf(desc[i])
				config := r.tls.Clone()
				conn, answer, err := (&websocket.Dialer{TLSClientConfig: config}).DialContext(t.Context(),
					"wss://"+r.addr+restPath+"/receive?method=POST", http.Header{"X": {header}})
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				t.Cleanup(func() { conn.Close() })
				say(t, conn, name)
			}
			until.True(t, "the readers", func() bool {
				for _, d := range desc {
					b, err := r.find(newID(d.GetStreamId()))
					if err != nil || len(b.reading) == 0 {
						return false
					}
				}
				return true
			})
			each := (inUse() - before) / count
			for _, d := range desc {
				_, _ = c.DelCipherBox(t.Context(), authFor(d))
			}
			return each
		}
		if underRace {
			t.Skip("the detector's own memory is in it")
		}
		cost("") // what is kept for good is there then
		header := strings.Repeat("x", long)
		none, full := min(cost(""), cost(""), cost("")), min(cost(header), cost(header), cost(header))
		t.Logf("%d bytes each without, %d with %d bytes of headers", none, full, long)
		if full > none+long*7/5 { // the client has its own copy for a moment
			t.Errorf("a stream with %d bytes of headers costs %d bytes, one without %d", long, full, none)
		}
	})
}

// TestStalledReader: a reader that takes nothing loses its place, and the next
// one gets all that was not written.
func TestStalledReader(t *testing.T) {
	r := startRelay(t, Limits{Blocked: time.Second})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	in, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stalled, err := r.dial().RecvStream(t.Context(), desc) // and Recv is not called
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stalled.Header(); err != nil {
		t.Fatal(err)
	}
	const size, count = 30_000, 15
	for i := range count {
		if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: append([]byte{byte(i)}, make([]byte, size)...)}); err != nil {
			t.Fatal(err)
		}
	}
	b, err := r.find(newID(desc.GetStreamId()))
	if err != nil {
		t.Fatal(err)
	}
	until.True(t, "the place", func() bool { return len(b.reading) == 0 })
	next, err := r.dial().RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	for last := -1; last < count-1; {
		m, err := next.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if i := int(m.GetMsg()[0]); last >= 0 && i != last+1 {
			t.Fatalf("message %d after %d", i, last)
		} else {
			last = i
		}
	}
}

// TestRoomForOthers: messages that nobody takes give way to others when they
// use up all that may wait; those that are being taken do not.
func TestRoomForOthers(t *testing.T) {
	r := startRelay(t, Limits{QueuedBytes: 1 << 20, BoxBytes: 2 << 20, Blocked: 3 * time.Second},
		func(r *Relay) { r.stuckAfter = 4 * time.Second })
	c := r.dial()
	for i := range 3 { // of which one alone would do
		desc := box64(fmt.Sprint("left ", i))
		r.create(c, desc)
		wantStatus(t, fillUp(t, c, desc, 1000), codes.ResourceExhausted, errFull.message)
	}
	if _, bytes := r.queued(); bytes > 1<<20 {
		t.Errorf("%v bytes wait", bytes)
	}
	desc := box64("in use")
	r.create(c, desc)
	out, err := c.RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	in, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: append([]byte{byte(i)}, make([]byte, 30_000)...)}); err != nil {
			t.Fatal(err)
		}
		m, err := out.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if int(m.GetMsg()[0]) != i {
			t.Errorf("message %d is another", i)
		}
	}
}

// TestPings: clients may ask for signs of life as often as they like; other
// relays hang up on those who do it more than once a minute.
func TestPings(t *testing.T) {
	r := startRelay(t, Limits{})
	conn := r.openTLS("h2")
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := framer.WritePing(false, [8]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		for answered := false; !answered; {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatalf("ping %d: %v", i, err)
			}
			switch f := frame.(type) {
			case *http2.GoAwayFrame:
				t.Fatalf("ping %d: the relay hangs up: %v", i, f.ErrCode)
			case *http2.PingFrame:
				answered = f.IsAck()
			}
		}
	}
}
