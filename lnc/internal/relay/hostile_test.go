package relay_test

import (
	"bufio"
	"compress/flate"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leydenln/leyden/lnc/internal/relay"
	"github.com/leydenln/leyden/lnc/internal/relaytest"
)

// rogue serves connections of anything, until the test ends, and returns the
// address.
func rogue(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		close(done)
		l.Close()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				<-done
				conn.Close()
			}()
			go serve(conn)
		}
	}()
	return l.Addr().String()
}

// upgrade answers the request for a WebSocket, with a header besides.
func upgrade(conn net.Conn, header string) bool {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return false
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n%s\r\n", base64.StdEncoding.EncodeToString(sum[:]), header)
	return err == nil
}

// TestEndlessResponse: a relay whose response to the request for a WebSocket
// does not end is left.
func TestEndlessResponse(t *testing.T) {
	const much = 32 << 20
	for name, begin := range map[string]string{"status": "HTTP/1.1 101 ", "header": "HTTP/1.1 101 OK\r\nX: "} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan int, 1)
			addr := rogue(t, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				io.WriteString(conn, begin)
				total, part := 0, []byte(strings.Repeat("x", 64<<10))
				for total < much {
					n, err := conn.Write(part)
					if total += n; err != nil {
						break
					}
				}
				sent <- total
			})
			transport := relay.NewWebSocket(relay.Config{Addr: addr, Plaintext: true})
			defer transport.Close()
			if _, err := transport.Recv(t.Context(), toClient); err == nil {
				t.Error("a stream is open")
			}
			if n := <-sent; n >= much {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// TestCompressedFrames: a relay cannot switch on compression, which would make
// much of little.
func TestCompressedFrames(t *testing.T) {
	var frame strings.Builder
	deflate, _ := flate.NewWriter(&frame, flate.BestCompression)
	fmt.Fprintf(deflate, `{"result":{"msg":"%s"}}`, strings.Repeat("A", 20<<20))
	deflate.Flush()
	payload := strings.TrimSuffix(frame.String(), "\x00\x00\xff\xff")
	addr := rogue(t, func(conn net.Conn) {
		if !upgrade(conn, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n") {
			return
		}
		// Text, whole, compressed, with a length of 8 bytes.
		conn.Write(binary.BigEndian.AppendUint64([]byte{0x80 | 0x40 | 1, 127}, uint64(len(payload))))
		io.WriteString(conn, payload)
	})
	transport := relay.NewWebSocket(relay.Config{Addr: addr, Plaintext: true})
	defer transport.Close()
	stream, err := transport.Recv(t.Context(), toClient)
	if err != nil {
		return
	}
	defer stream.Abort()
	if _, err := stream.Recv(); err == nil || strings.Contains(err.Error(), "message of") {
		t.Errorf("%d bytes were made 20 MiB of: %v", len(payload), err)
	}
}

// TestSilentRelay: a pipe closes in its time whatever stage the relay has
// stopped at.
func TestSilentRelay(t *testing.T) {
	silent := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	deaf := func(conn net.Conn) { conn.(*net.TCPConn).SetReadBuffer(4096) }
	for name, test := range map[string]struct {
		serve func(conn net.Conn)
		open  func(addr string) relay.Transport
	}{
		"WebSocket, before TLS": {silent, func(addr string) relay.Transport {
			return relay.NewWebSocket(relay.Config{Addr: addr})
		}},
		"WebSocket, before the response": {silent, func(addr string) relay.Transport {
			return relay.NewWebSocket(relay.Config{Addr: addr, Plaintext: true})
		}},
		"WebSocket, half a response": {func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 101 OK\r\nX:")
			silent(conn)
		}, func(addr string) relay.Transport {
			return relay.NewWebSocket(relay.Config{Addr: addr, Plaintext: true})
		}},
		"WebSocket, reads nothing": {func(conn net.Conn) {
			deaf(conn)
			upgrade(conn, "")
		}, func(addr string) relay.Transport {
			return relay.NewWebSocket(relay.Config{Addr: addr, Plaintext: true})
		}},
		"gRPC, before TLS": {silent, func(addr string) relay.Transport {
			return newGRPC(t, relay.Config{Addr: addr})
		}},
		"gRPC, before HTTP/2": {silent, func(addr string) relay.Transport {
			return newGRPC(t, relay.Config{Addr: addr, Plaintext: true})
		}},
		"gRPC, no answer": {func(conn net.Conn) {
			conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS
			silent(conn)
		}, func(addr string) relay.Transport {
			return newGRPC(t, relay.Config{Addr: addr, Plaintext: true})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := test.open(rogue(t, test.serve))
			defer transport.Close()
			pipe := relay.NewPipe(transport, atClient, relay.Options{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for ctx.Err() == nil {
				pipe.Send(ctx, make([]byte, 60_000))
			}
			begin := time.Now()
			pipe.Close()
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("closing took %v", took)
			}
		})
	}
}

// TestLongHeaders: what a relay puts into headers is bounded.
func TestLongHeaders(t *testing.T) {
	server := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		for i := range 100 {
			w.Header().Set(fmt.Sprint("x", i), strings.Repeat("x", 10_000))
		}
		// A message of no bytes: a CipherBox without anything.
		w.Write([]byte{0, 0, 0, 0, 0})
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	})}
	server.Protocols.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	defer server.Close()
	transport := newGRPC(t, relay.Config{Addr: l.Addr().String(), Plaintext: true})
	stream, err := transport.Recv(t.Context(), toClient)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Abort()
	if _, err := stream.Recv(); err == nil {
		t.Error("a megabyte of headers was taken")
	}
}

// unsteady is a way to a relay of which the first requests for a box are lost.
type unsteady struct {
	relay.Transport
	lost *atomic.Int32
}

func (u unsteady) Create(ctx context.Context, id relay.ID) error {
	if u.lost.Add(-1) >= 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	return u.Transport.Create(ctx, id)
}

// TestLostRequest: a relay that does not answer the request for a box is asked
// again.
func TestLostRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := relaytest.New()
		var lost atomic.Int32
		lost.Store(2) // one for each box
		server := relay.NewPipe(unsteady{r.Transport(), &lost}, atServer, relay.Options{Create: true})
		defer server.Close()
		client := relay.NewPipe(r.Transport(), atClient, relay.Options{})
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for ctx.Err() == nil {
				client.Send(ctx, []byte("up"))
				server.Send(ctx, []byte("down"))
				time.Sleep(time.Second)
			}
		}()
		if _, err := server.Recv(ctx); err != nil {
			t.Errorf("the node hears nothing: %v", err)
		}
		if _, err := client.Recv(ctx); err != nil {
			t.Errorf("the client hears nothing: %v", err)
		}
		cancel()
		<-sent
	})
}
