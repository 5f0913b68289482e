package front

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/until"
)

func TestLimitedMessages(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Limits.Message = 1 << 20 })
	for size, want := range map[int]codes.Code{1 << 20: codes.OK, 1<<20 + 1: codes.ResourceExhausted} {
		msg, out := make([]byte, size), []byte(nil)
		if err := b.dial(t, "").Invoke(testContext(t), "/fake/Echo", &msg, &out); status.Code(err) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestLongMetadata: what every caller may send is short.
func TestLongMetadata(t *testing.T) {
	b := newBed(t, nil)
	cc := b.dial(t, "")
	for size, ok := range map[int]bool{32 << 10: true, 128 << 10: false} {
		ctx := metadata.AppendToOutgoingContext(testContext(t), "macaroon", text(size))
		if _, err := ask(ctx, cc, "/fake/Echo", "x"); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func text(size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a'
	}
	return string(b)
}

// meter counts what is written.
type meter struct {
	net.Conn
	written *atomic.Int64
}

func (m meter) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	m.written.Add(int64(n))
	return n, err
}

// TestNothingIsReadBeforeTheHookAgrees: a call that is not let in costs the front no
// more than a window's worth of its message.
func TestNothingIsReadBeforeTheHookAgrees(t *testing.T) {
	thinks := make(chan struct{})
	b := newBed(t, func(o *Options) {
		o.Limits.Streams = 8
		withHook(func(ctx context.Context, c *Call) (Decision, error) {
			if c.Method == "/fake/Sum" {
				<-thinks
				return Decision{}, denied
			}
			return Decision{}, nil
		})(o)
	})
	var written atomic.Int64
	cc := dialConn(t, func(ctx context.Context, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", b.addr)
		return meter{c, &written}, err
	})
	ctx := testContext(t)
	s := open(t, ctx, cc, "/fake/Sum")
	go func() {
		for range 1000 {
			if s.send(text(64<<10)) != nil {
				return
			}
		}
	}()
	until.True(t, "a full window", func() bool { return written.Load() >= window })
	for range 20 { // the connection is alive, and would take more
		if _, err := ask(ctx, cc, "/fake/Echo", "x"); err != nil {
			t.Fatal(err)
		}
	}
	close(thinks)
	_, err := s.recv()
	wantRefusal(t, err, denied)
	if n := written.Load(); n > 4*window {
		t.Errorf("%d bytes were taken of a call that was refused", n)
	}
}

func TestStreamsOfOneConnection(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Limits.Streams = 2 })
	cc := b.dial(t, "")
	ctx, cancel := context.WithCancel(testContext(t))
	for range 2 {
		s := open(t, ctx, cc, "/fake/Hang")
		if _, err := s.Header(); err != nil {
			t.Fatal(err)
		}
	}
	short, stop := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer stop()
	if _, err := ask(short, cc, "/fake/Echo", "x"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a third: %v", err)
	}
	cancel()
	if _, err := ask(testContext(t), cc, "/fake/Echo", "x", grpc.WaitForReady(true)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestConnectionsOfOneAddress(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Limits.Conns = 2 })
	connect := func(from string) (*tls.Conn, error) {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := dialer.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conn := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) // else the server closes it
		return conn, conn.HandshakeContext(testContext(t))
	}
	first, err := connect("127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect("127.0.0.2"); err != nil {
		t.Fatal(err)
	}
	if _, err := connect("127.0.0.2"); err == nil {
		t.Error("a third connection was taken")
	}
	if _, err := connect("127.0.0.3"); err != nil {
		t.Errorf("another address: %v", err)
	}
	first.Close()
	until.True(t, "room", func() bool { _, err := connect("127.0.0.2"); return err == nil })
}

// TestStateReadsNothing: anybody may ask, so that nothing they send is waited for.
func TestStateReadsNothing(t *testing.T) {
	b := newBed(t, nil)
	s := open(t, testContext(t), b.dial(t, ""), "/lnrpc.State/GetState")
	if got, err := s.recv(); err != nil || got != "\x08\x04" {
		t.Errorf("got %x, %v", got, err)
	}
}
