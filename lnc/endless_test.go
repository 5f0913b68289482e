package lnc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/internal/relay"
	"github.com/leydenln/leyden/lnc/internal/relaytest"
)

// overNetwork has a session's two sides reach the relay over loopback, the
// client by gRPC or by WebSockets.
func overNetwork(t *testing.T, s *session, socket bool) *Dialer {
	t.Helper()
	s.mailbox = Mailbox{Addr: s.relay.ServeGRPC(t), Plaintext: true}
	d := s.dialer()
	if socket {
		web := s.relay.ServeWebSocket(t)
		roots := x509.NewCertPool()
		roots.AddCert(web.Certificate())
		d.Mailbox = Mailbox{Addr: web.Listener.Addr().String(), TLS: &tls.Config{RootCAs: roots}, WebSocket: true}
	}
	return d
}

// leavesNothing is called first in a test, and fails it when something goes on
// after all its cleaning up.
func leavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

var clientWays = map[string]bool{"gRPC": false, "WebSocket": true}

// TestHostileRelayOverNetwork is TestHostileRelay with real transports and
// clocks, and so with few rounds.
func TestHostileRelayOverNetwork(t *testing.T) {
	for name, socket := range clientWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			e := newEnemy(s.relay, rand.New(rand.NewPCG(uint64(len(name)), 5)))
			w, f := besiege(t, s, e, overNetwork(t, s, socket), 1, 3)
			t.Logf("%d connections were whole, %d ended; deeds %v", w, f, e.deeds)
		})
	}
}

// liveHeap returns the bytes that are in use, and those being allocated.
func liveHeap() int64 {
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// watchHeap returns a function that ends the watch and says by how many bytes
// the heap was ever larger than now, and by how many it is.
func watchHeap() (end func() (most, left int64)) {
	before, peak := liveHeap(), int64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			peak = max(peak, liveHeap()-before)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-stop:
				return
			}
		}
	}()
	return func() (most, left int64) {
		close(stop)
		<-stopped
		return peak, liveHeap() - before
	}
}

const (
	// mostKept is what may be kept at both ends of one connection and the relay
	// of the test: queues, windows and buffers.
	mostKept = 24 << 20
	// mostUsed is that and what a transport is busy with.
	mostUsed = 64 << 20
)

func checkHeap(t *testing.T, watch func() (most, left int64), passed int64) {
	t.Helper()
	most, left := watch()
	t.Logf("of %d MiB up to %d KiB were in use, %d KiB are kept", passed>>20, most>>10, left>>10)
	if most > mostUsed || left > mostKept {
		t.Errorf("%d KiB were in use, %d KiB are kept; the limits are %d and %d", most>>10, left>>10, mostUsed>>10, mostKept>>10)
	}
}

// TestEndlessRelay: a relay that sends without end to both sides of a
// connection that nobody reads has each keep no more than a few megabytes, and
// when all is closed nothing goes on.
func TestEndlessRelay(t *testing.T) {
	if underRace {
		t.Skip("the detector's own memory is in it")
	}
	for name, socket := range clientWays {
		for kind, forged := range map[string]func(i int) []byte{
			"tiny":      func(i int) []byte { return []byte{2, byte(i % 21), 1, 0} },
			"tiny ACKs": func(i int) []byte { return []byte{3, byte(i)} },
			"unordered": func(i int) []byte { return append([]byte{2, byte(7 * i), 1, 0}, make([]byte, 100)...) },
			"long":      func(i int) []byte { return append([]byte{2, byte(i % 21), 1, 0}, make([]byte, 64<<10)...) },
			"parts":     func(i int) []byte { return append([]byte{2, byte(i % 21), 0, 0}, make([]byte, 10<<10)...) },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				leavesNothing(t)
				s := newSession(t)
				s.relay.Capacity = 4
				s.pair(t)
				ctx, cancel := context.WithCancel(t.Context())
				d := overNetwork(t, s, socket)
				l := s.listen(t)
				conn := dial(t, d)
				node, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				most := watchHeap()
				_, boxes := s.places()
				var floods sync.WaitGroup
				var passed atomic.Int64
				for _, id := range boxes {
					floods.Go(func() { passed.Add(flood(ctx, s.relay, id, forged)) })
				}
				floods.Wait()
				checkHeap(t, most, passed.Load())
				cancel()
				begin := time.Now()
				for _, c := range []interface{ Close() error }{conn, node, l, d} {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
				if took := time.Since(begin); took > 15*time.Second {
					t.Errorf("closing took %v", took)
				}
			})
		}
	}
}

// flood fills a box for a second, and returns with how many bytes.
func flood(ctx context.Context, r *relaytest.Relay, id relay.ID, forged func(i int) []byte) (passed int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ready := make([][]byte, 21) // so that the heap is not that of forging
	for i := range ready {
		ready[i] = forged(i)
	}
	for i := 0; ; i++ {
		msg := ready[i%len(ready)]
		if r.Put(ctx, id, msg) != nil {
			return passed
		}
		passed += int64(len(msg))
	}
}

// TestStalledReaders: a side whose own user does not read keeps no more than
// the window, and the other's Write waits.
func TestStalledReaders(t *testing.T) {
	if underRace {
		t.Skip("the detector's own memory is in it")
	}
	s := newSession(t)
	s.relay.Capacity = 4
	s.pair(t)
	d := overNetwork(t, s, false)
	defer d.Close()
	l := s.listen(t)
	conn := dial(t, d)
	node, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	most := watchHeap()
	var wait sync.WaitGroup
	for _, c := range []net.Conn{conn, node} {
		wait.Go(func() {
			c.SetWriteDeadline(time.Now().Add(2 * time.Second))
			n, err := 0, error(nil)
			for part := make([]byte, 32<<10); err == nil && n < 100<<20; n += len(part) {
				_, err = c.Write(part)
			}
			if err == nil {
				t.Errorf("%d bytes were taken that nobody has read", n)
			}
		})
	}
	wait.Wait()
	checkHeap(t, most, 0)
}

// TestManyClosings: connections that end in every way leave nothing that runs.
func TestManyClosings(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *session, conn, node net.Conn, l *Listener, d *Dialer){
		"client":   func(_ *testing.T, _ *session, conn, _ net.Conn, _ *Listener, _ *Dialer) { conn.Close() },
		"node":     func(_ *testing.T, _ *session, _, node net.Conn, _ *Listener, _ *Dialer) { node.Close() },
		"listener": func(_ *testing.T, _ *session, _, _ net.Conn, l *Listener, _ *Dialer) { l.Close() },
		"dialer":   func(_ *testing.T, _ *session, _, _ net.Conn, _ *Listener, d *Dialer) { d.Close() },
		"relay":    func(_ *testing.T, s *session, _, _ net.Conn, _ *Listener, _ *Dialer) { s.relay.Shut() },
		"all at once": func(_ *testing.T, s *session, conn, node net.Conn, l *Listener, d *Dialer) {
			var wait sync.WaitGroup
			for range 3 {
				for _, c := range []interface{ Close() error }{conn, node, l, d} {
					wait.Go(func() { c.Close() })
				}
			}
			wait.Go(s.relay.Restart)
			wait.Wait()
		},
	} {
		for way, socket := range clientWays {
			t.Run(fmt.Sprintf("%s/%s", name, way), func(t *testing.T) {
				leavesNothing(t)
				s := newSession(t)
				s.pair(t)
				d := overNetwork(t, s, socket)
				l := s.listen(t)
				conn := dial(t, d)
				node, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				var wait sync.WaitGroup
				for _, c := range []net.Conn{conn, node} {
					wait.Go(func() { c.Read(make([]byte, 1)) })
					wait.Go(func() {
						for {
							if _, err := c.Write(make([]byte, 10_000)); err != nil {
								return
							}
						}
					})
				}
				end(t, s, conn, node, l, d)
				for _, c := range []interface{ Close() error }{conn, node, l, d} {
					c.Close()
				}
				wait.Wait()
				until.True(t, "the end", func() bool { return conn.link.Err() != nil })
			})
		}
	}
}
