package mailbox

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

func TestBoxLimits(t *testing.T) {
	for name, limits := range map[string]Limits{
		"of one client": {ClientBoxes: 3},
		"in all":        {Boxes: 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRelay(t, limits)
			c := r.dial()
			for i := range 3 {
				r.create(c, box64(fmt.Sprint(i)))
			}
			_, err := c.NewCipherBox(t.Context(), authFor(box64("one more")))
			wantStatus(t, err, codes.ResourceExhausted, "too many boxes")
			if _, err := c.DelCipherBox(t.Context(), authFor(box64("1"))); err != nil {
				t.Fatal(err)
			}
			r.create(c, box64("one more"))
		})
	}
}

// fillUp sends until the relay takes no more, which ends the stream, and
// returns how much it took.
func fillUp(t *testing.T, c hashmailrpc.HashMailClient, desc *hashmailrpc.CipherBoxDesc, size int) error {
	t.Helper()
	in, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for {
		if in.Send(&hashmailrpc.CipherBox{Desc: desc, Msg: make([]byte, size)}) != nil {
			_, err := in.CloseAndRecv()
			return err
		}
	}
}

// TestQueueLimits: nobody reads; writers wait, then end, and what is kept is
// within the limits. When somebody comes, all of it is there.
func TestQueueLimits(t *testing.T) {
	for name, test := range map[string]struct {
		limits Limits
		most   float64
	}{
		"of a box":    {Limits{BoxBytes: 100_000}, 100_000},
		"of a client": {Limits{ClientBytes: 200_000}, 200_000},
		"in all":      {Limits{QueuedBytes: 300_000}, 300_000},
	} {
		t.Run(name, func(t *testing.T) {
			test.limits.Blocked = 300 * time.Millisecond
			r := startRelay(t, test.limits)
			c := r.dial()
			desc := box64("a box")
			r.create(c, desc)
			wantStatus(t, fillUp(t, c, desc, 1000), codes.ResourceExhausted, errFull.message)
			count, bytes := r.queued()
			if bytes > test.most || bytes < test.most/2 {
				t.Errorf("%v bytes are kept, want about %v", bytes, test.most)
			}
			out, err := c.RecvStream(t.Context(), desc)
			if err != nil {
				t.Fatal(err)
			}
			for range int(count) {
				if _, err := out.Recv(); err != nil {
					t.Fatal(err)
				}
			}
			until.True(t, "the budgets", func() bool {
				r.clients.mu.Lock()
				defer r.clients.mu.Unlock()
				for _, one := range r.clients.known {
					if !one.bytes.TryAcquire(r.limits.ClientBytes) {
						return false
					}
					one.bytes.Release(r.limits.ClientBytes)
				}
				return true
			})
			until.True(t, "the budget of all", func() bool { return r.all.TryAcquire(r.limits.QueuedBytes) })
		})
	}
}

// TestRates: too many messages are delayed, none is lost.
func TestRates(t *testing.T) {
	for name, limits := range map[string]Limits{"of a box": {BoxRate: 50}, "of a client": {ClientRate: 50}} {
		t.Run(name, func(t *testing.T) {
			r := startRelay(t, limits)
			c := r.dial()
			desc := box64("a box")
			r.create(c, desc)
			const count = 4*50 + 20
			began := time.Now()
			in, err := c.SendStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.RecvStream(t.Context(), desc)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for range count {
					_ = in.Send(&hashmailrpc.CipherBox{Desc: desc})
				}
			}()
			for range count {
				if _, err := out.Recv(); err != nil {
					t.Fatal(err)
				}
			}
			if d := time.Since(began); d < 19*time.Second/50 {
				t.Errorf("%d messages took %v", count, d)
			}
		})
	}
}

func TestPace(t *testing.T) {
	p, now := newPace(10, 40), time.Now()
	for i := range 40 {
		if d := p.take(now); d != 0 {
			t.Fatalf("message %d is delayed by %v", i, d)
		}
	}
	if d := p.take(now); d != 100*time.Millisecond {
		t.Errorf("the first beyond the burst is delayed by %v", d)
	}
	if d := p.take(now); d != 200*time.Millisecond {
		t.Errorf("the second beyond the burst is delayed by %v", d)
	}
	if d := p.take(now.Add(time.Minute)); d != 0 {
		t.Errorf("after a minute: delayed by %v", d)
	}
}

func TestConnectionLimit(t *testing.T) {
	r := startRelay(t, Limits{ClientConnections: 2})
	open := func() (net.Conn, error) { return tls.Dial("tcp", r.addr, r.tls) }
	var conns []net.Conn
	for range 2 {
		conn, err := open()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		defer conn.Close()
	}
	if conn, err := open(); err == nil {
		conn.Close()
		t.Fatal("a third connection was let in")
	}
	conns[0].Close()
	until.True(t, "room for another", func() bool {
		conn, err := open()
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func TestStreamLimit(t *testing.T) {
	r := startRelay(t, Limits{ClientStreams: 2})
	c := r.dial()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for i := range 2 {
		desc := box64(fmt.Sprint(i))
		r.create(c, desc)
	}
	for i := range 2 {
		out, err := c.RecvStream(ctx, box64(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Header(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.NewCipherBox(t.Context(), authFor(box64("x")))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a third stream: %v", err)
	}
	leave()
	until.True(t, "room for another", func() bool {
		_, err := c.NewCipherBox(t.Context(), authFor(box64("y")))
		return err == nil
	})
}

func TestSweep(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	unused, read, unread := box64("unused"), box64("read"), box64("unread")
	for _, desc := range []*hashmailrpc.CipherBoxDesc{unused, read, unread} {
		r.create(c, desc)
	}
	out, err := c.RecvStream(t.Context(), read)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Header(); err != nil {
		t.Fatal(err)
	}
	in, err := c.SendStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Send(&hashmailrpc.CipherBox{Desc: unread, Msg: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	until.True(t, "the message", func() bool { n, _ := r.queued(); return n == 1 })

	has := func(desc *hashmailrpc.CipherBoxDesc) bool {
		_, err := r.find(newID(desc.GetStreamId()))
		return err == nil
	}
	r.sweep(time.Now().Add(9 * time.Minute))
	if n, _ := r.queued(); n != 1 || !has(unused) {
		t.Error("something was dropped too early")
	}
	r.sweep(time.Now().Add(11 * time.Minute))
	if n, _ := r.queued(); n != 0 || !has(unread) {
		t.Errorf("%v messages are kept after 11 minutes, the box is there: %v", n, has(unread))
	}
	r.sweep(time.Now().Add(2 * time.Hour))
	if has(unused) || !has(read) || !has(unread) {
		t.Errorf("after two hours: unused %v, with a reader %v, with a writer %v", has(unused), has(read), has(unread))
	}
}

func TestBadLimits(t *testing.T) {
	for name, limits := range map[string]Limits{
		"negative": {Boxes: -1}, "message beyond what may wait": {ClientBytes: 1000},
		"message too long": {Message: 1 << 21, BoxBytes: 1 << 30},
	} {
		if _, err := New(limits, nil); fault.Code(err) != "bad_limit" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:1234":            "192.0.2.7/32",
		"[::ffff:192.0.2.7]:1":      "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:99": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:9":          "fe80::/64",
		"@":                         "invalid Prefix",
	} {
		if got := networkOf(remote).String(); got != want {
			t.Errorf("%s counts as %s, want %s", remote, got, want)
		}
	}
}

// TestAccountsAreForgotten: clients that have gone leave nothing behind.
func TestAccountsAreForgotten(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	if _, err := c.DelCipherBox(t.Context(), authFor(desc)); err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", r.addr, r.tls)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	until.True(t, "the connection's end", func() bool {
		r.clients.mu.Lock()
		defer r.clients.mu.Unlock()
		for _, one := range r.clients.known {
			// The gRPC client's connection, and its use of the account.
			return one.uses == 2 && one.connections == 1
		}
		return false
	})
}

// TestHalfMessages: of a message that never ends only as much is held as may be.
func TestHalfMessages(t *testing.T) {
	r := startRelay(t, Limits{ClientBytes: 300_000, Blocked: 300 * time.Millisecond})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	var bodies []*io.PipeWriter
	defer func() {
		for _, b := range bodies {
			b.Close()
		}
	}()
	answers := make(chan string, 5)
	for range 5 {
		body, in := io.Pipe()
		bodies = append(bodies, in)
		go func() { answers <- r.halfMessage(body) }()
		// A header that promises 100,000 bytes, and 3 of them.
		if _, err := in.Write([]byte{0, 0, 1, 0x86, 0xa0, 1, 2, 3}); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	until.True(t, "some to be refused", func() bool {
		for {
			select {
			case a := <-answers:
				if !strings.HasPrefix(a, "8 ") {
					t.Errorf("answered %s", a)
				}
				refused++
			default:
				return refused >= 3
			}
		}
	})
}

// halfMessage sends what body has as a SendStream, and returns its status.
func (r *testRelay) halfMessage(body io.Reader) string {
	req, err := http.NewRequestWithContext(r.t.Context(), "POST", "https://"+r.addr+grpcPrefix+"SendStream", body)
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
