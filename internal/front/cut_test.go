package front

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/until"
)

var frozen = Refusal{Code: codes.FailedPrecondition, Reason: "frozen", Sentence: "all accounts are frozen", Hint: "leyden accounts thaw"}

// TestCutOff ends calls in every state they can be in.
func TestCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		send   []string
		reads  int
	}{
		"ok/request held back": {method: "/fake/Chat"},
		"ok/unknown to lnd":    {method: "/fake/Echo"},
		"ok/waiting for lnd":   {method: "/fake/Hang", send: []string{"x"}},
		"ok/amid a stream":     {method: "/fake/Chat", send: []string{"a", "b"}, reads: 2},
		"ok/slow reader":       {method: "/fake/Count", send: []string{"10000000"}, reads: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, nil)
			s := open(t, testContext(t), b.dial(t, ""), c.method)
			for _, msg := range c.send {
				if err := s.send(msg); err != nil {
					t.Fatal(err)
				}
			}
			for range c.reads {
				if _, err := s.recv(); err != nil {
					t.Fatal(err)
				}
			}
			if c.method == "/fake/Echo" {
				until.True(t, "the call at the front", func() bool { return b.calls.count() == 1 })
			} else {
				wait(t, b.lnd.seen, "the call at lnd")
			}
			if n := b.CutOff(frozen, nil); n != 1 {
				t.Errorf("cut %d calls", n)
			}
			_, err := s.all()
			wantRefusal(t, err, &frozen)
			b.calls.wait()
		})
	}
}

func TestCutOffPicks(t *testing.T) {
	b := newBed(t, nil)
	cc := b.dial(t, "")
	mine := metadata.AppendToOutgoingContext(testContext(t), "macaroon", "aa")
	others := metadata.AppendToOutgoingContext(testContext(t), "macaroon", "bb")
	cut, kept := open(t, mine, cc, "/fake/Chat"), open(t, others, cc, "/fake/Chat")
	for range 2 {
		wait(t, b.lnd.seen, "the calls at lnd")
	}
	n := b.CutOff(frozen, func(c *Call) bool {
		mac, err := c.Macaroon()
		return err == nil && string(mac) == "\xaa"
	})
	if n != 1 {
		t.Errorf("cut %d calls", n)
	}
	_, err := cut.all()
	wantRefusal(t, err, &frozen)
	kept.send("still here")
	if msg, err := kept.recv(); err != nil || msg != "still here" {
		t.Errorf("got %q, %v", msg, err)
	}
}

// countingStream counts what is handed to lnd.
type countingStream struct {
	grpc.ClientStream
	sent atomic.Int64
}

func (s *countingStream) SendMsg(any) error {
	s.sent.Add(1)
	runtime.Gosched()
	s.sent.Add(1)
	return nil
}

// TestNothingForwardedAfterCutOff: once CutOff has returned, no message is handed
// on or still being handed on.
func TestNothingForwardedAfterCutOff(t *testing.T) {
	for range 200 {
		all := newCalls()
		all.setState(nil)
		c := &openCall{}
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
		if err := all.enter(c); err != nil {
			t.Fatal(err)
		}
		backend := new(countingStream)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c.forward(backend, nil) == nil {
			}
		}()
		for backend.sent.Load() == 0 {
			runtime.Gosched()
		}
		all.cut(&frozen, func(*openCall) bool { return true })
		sent := backend.sent.Load()
		<-done
		if later := backend.sent.Load() - sent; later != 0 {
			t.Fatalf("%d half messages after the cut", later)
		}
	}
}

// TestCutOffWhileTheHookThinks: a call that the hook lets pass too late is refused.
func TestCutOffWhileTheHookThinks(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	b := newBed(t, withHook(func(context.Context, *Call) (Decision, error) {
		close(asked)
		<-answer
		return Decision{Answer: func(context.Context, *Stream) error {
			t.Error("the hook's answer ran")
			return nil
		}}, nil
	}))
	done := make(chan error, 1)
	go func() {
		_, err := ask(testContext(t), b.dial(t, ""), "/fake/Echo", "x")
		done <- err
	}()
	wait(t, asked, "the hook")
	b.CutOff(frozen, nil)
	close(answer)
	wantRefusal(t, wait(t, done, "the call's end"), &frozen)
}

func TestReady(t *testing.T) {
	b := newBed(t, nil)
	cc := b.dial(t, "")
	locked := Refusal{Code: codes.Unavailable, Reason: "wallet_locked", Sentence: "the wallet is locked", Hint: "leyden node unlock"}
	open := open(t, testContext(t), cc, "/fake/Chat")
	wait(t, b.lnd.seen, "the call at lnd")
	b.SetUnready(locked)
	_, err := ask(testContext(t), cc, "/fake/Echo", "x")
	wantRefusal(t, err, &locked)
	open.send("x")
	if msg, err := open.recv(); err != nil || msg != "x" {
		t.Errorf("open call: %q, %v", msg, err)
	}
	b.SetReady()
	if _, err := ask(testContext(t), cc, "/fake/Echo", "x"); err != nil {
		t.Error(err)
	}
}

func TestStartsUnready(t *testing.T) {
	c := newCalls()
	err := c.enter(&openCall{})
	wantRefusal(t, err, &Refusal{Code: codes.Unavailable, Reason: "starting"})
}

func TestBlocked(t *testing.T) {
	b := newBed(t, withHook(func(context.Context, *Call) (Decision, error) {
		t.Error("the hook was asked")
		return Decision{}, nil
	}))
	cc := b.dial(t, "")
	for method, hint := range map[string]string{
		"/lnrpc.Lightning/RegisterRPCMiddleware": "",
		"/lnrpc.WalletUnlocker/GenSeed":          "leyden node create",
		"/lnrpc.WalletUnlocker/InitWallet":       "leyden node create",
		"/lnrpc.WalletUnlocker/UnlockWallet":     "leyden node unlock",
		"/lnrpc.WalletUnlocker/ChangePassword":   "leyden node unlock",
		"/lnrpc.WalletUnlocker/NotYetInvented":   "leyden node unlock",
	} {
		_, err := ask(testContext(t), cc, method, "x")
		wantRefusal(t, err, &Refusal{Code: codes.PermissionDenied, Reason: "method_blocked", Hint: hint})
	}
	if len(b.lnd.seen) != 0 {
		t.Error("a blocked method reached lnd")
	}
}

func TestMalformedMethod(t *testing.T) {
	b := newBed(t, nil)
	cc := b.dial(t, "")
	for _, method := range []string{"//lnrpc.WalletUnlocker/UnlockWallet", "/x/lnrpc.WalletUnlocker/UnlockWallet", "/lnrpc.WalletUnlocker/UnlockWallet/"} {
		_, err := ask(testContext(t), cc, method, "x")
		wantRefusal(t, err, &Refusal{Code: codes.Unimplemented, Reason: "unknown_method"})
	}
	if len(b.lnd.seen) != 0 {
		t.Error("a malformed method reached lnd")
	}
}

// TestLndRestarts: calls fail with node_down while lnd is away, and work with its
// first moment back, although it has a new certificate.
func TestLndRestarts(t *testing.T) {
	b := newBed(t, nil)
	cc := b.dial(t, "")
	down := &Refusal{Code: codes.Unavailable, Reason: "node_down", Hint: "leyden node status"}
	for range 3 {
		if _, err := ask(testContext(t), cc, "/fake/Echo", "x"); err != nil {
			t.Fatal(err)
		}
		s := open(t, testContext(t), cc, "/fake/Chat")
		s.send("x")
		if _, err := s.recv(); err != nil {
			t.Fatal(err)
		}
		b.lnd.stop()
		_, err := s.all()
		wantRefusal(t, err, down)
		for range 3 {
			_, err = ask(testContext(t), cc, "/fake/Echo", "x")
			wantRefusal(t, err, down)
		}
		b.lnd.start(t)
	}
}

// TestOtherCertificate: whoever listens on the socket with another certificate is
// not lnd.
func TestOtherCertificate(t *testing.T) {
	b := newBed(t, func(o *Options) {
		other := newFakeLnd(t)
		o.Backend.TLSCert = other.cert
	})
	_, err := ask(testContext(t), b.dial(t, ""), "/fake/Echo", "x")
	wantRefusal(t, err, &Refusal{Code: codes.Unavailable, Reason: "node_down", Hint: "leyden node status"})
	if len(b.lnd.seen) != 0 {
		t.Error("the call reached the impostor")
	}
}

func TestState(t *testing.T) {
	waiting := string(waitingToStart)
	b := newBed(t, withHook(func(context.Context, *Call) (Decision, error) { return Decision{}, denied }))
	cc := b.dial(t, "")
	b.SetUnready(frozen)
	get := func(want string) {
		t.Helper()
		ctx := metadata.AppendToOutgoingContext(testContext(t), "macaroon", "0a0b")
		if got, err := ask(ctx, cc, "/lnrpc.State/GetState", ""); err != nil || got != want {
			t.Errorf("got %x, %v; want %x", got, err, want)
		}
	}
	get("\x08\x04")
	s := open(t, testContext(t), cc, "/lnrpc.State/SubscribeState")
	s.send("")
	s.CloseSend()
	next := func(want string) {
		t.Helper()
		if got, err := s.recv(); err != nil || got != want {
			t.Errorf("got %x, %v; want %x", got, err, want)
		}
	}
	next("\x08\x04")
	b.lnd.stop()
	next(waiting)
	get(waiting)
	b.CutOff(frozen, nil)
	b.lnd.states = []byte{8, 1}
	b.lnd.start(t)
	next("\x08\x01")
	get("\x08\x01")
	if _, err := ask(testContext(t), cc, "/lnrpc.State/Nothing", ""); status.Code(err) != codes.Unimplemented {
		t.Errorf("unknown method of the service: %v", err)
	}
}

func TestPeers(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Backend.MaxConns = 3 })
	check := func(from string) {
		t.Helper()
		if _, err := ask(testContext(t), b.dial(t, from), "/fake/Echo", "x"); err != nil {
			t.Fatal(err)
		}
		if got, _ := b.lnd.peers.Load("/fake/Echo"); got != from+":0" {
			t.Errorf("lnd saw %v, want %s", got, from)
		}
	}
	for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.4"} {
		check(from)
	}
	b.calls.wait()
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if len(b.pool.conns) != 3 || b.pool.recent.Len() != 3 {
		t.Errorf("%d connections kept", len(b.pool.conns))
	}
	if _, kept := b.pool.conns[netip.MustParseAddr("127.0.0.2")]; kept {
		t.Error("the least recently used was kept")
	}
}

func TestPoolIsBounded(t *testing.T) {
	p, err := newPool(Backend{Socket: "/nowhere", TLSCert: "/nowhere", MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	addr := netip.MustParseAddr
	first, err := p.acquire(addr("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.acquire(addr("192.0.2.1")); err != nil || again != first {
		t.Error("one address has two connections")
	}
	if _, err := p.acquire(addr("192.0.2.2")); err != nil {
		t.Fatal(err)
	}
	_, err = p.acquire(addr("192.0.2.3"))
	wantRefusal(t, err, &Refusal{Code: codes.ResourceExhausted, Reason: "too_many_clients"})
	if _, err := p.acquire(addr("127.0.0.1")); err != nil {
		t.Errorf("loopback: %v", err)
	}
	p.release(first)
	p.release(first)
	if _, err := p.acquire(addr("192.0.2.3")); err != nil {
		t.Errorf("after a release: %v", err)
	}
}

// TestIdleConnectionsClose: a connection without calls is given up.
func TestIdleConnectionsClose(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Backend.IdleTimeout = 20 * time.Millisecond })
	if _, err := ask(testContext(t), b.dial(t, ""), "/fake/Echo", "x"); err != nil {
		t.Fatal(err)
	}
	b.calls.wait()
	c, err := b.pool.acquire(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.pool.release(c)
	ctx := testContext(t)
	for state := c.cc.GetState(); !strings.EqualFold(state.String(), "idle"); state = c.cc.GetState() {
		if !c.cc.WaitForStateChange(ctx, state) {
			t.Fatalf("still %v", state)
		}
	}
}

func TestStop(t *testing.T) {
	ended := make(chan Result, 4)
	b := newBed(t, decide(Decision{End: func(r Result) { ended <- r }}))
	cc := b.dial(t, "")
	short := open(t, testContext(t), cc, "/fake/Hold")
	short.send("x")
	short.CloseSend()
	endless := open(t, testContext(t), cc, "/fake/Hang")
	for range 2 {
		wait(t, b.lnd.seen, "the calls at lnd")
	}
	stopped := make(chan error, 2)
	for range 2 {
		go func() { stopped <- b.Stop(testContext(t)) }()
	}
	for b.calls.state() == nil || b.calls.state().Reason != "stopping" {
		runtime.Gosched()
	}
	close(b.lnd.hold)
	if msgs, err := short.all(); err != nil || len(msgs) != 1 {
		t.Errorf("a short call was not let to its end: %v", err)
	}
	_, err := endless.all()
	wantRefusal(t, err, &Refusal{Code: codes.Unavailable, Reason: "stopping"})
	for range 2 {
		if err := wait(t, stopped, "Stop"); err != nil {
			t.Error(err)
		}
	}
	if len(ended) != 2 {
		t.Errorf("End was told of %d calls before Stop returned", len(ended))
	}
	if _, err := ask(testContext(t), cc, "/fake/Echo", "x"); status.Code(err) != codes.Unavailable {
		t.Errorf("after Stop: %v", err)
	}
}

// TestStopIsBounded: a hook that never returns cannot hold Stop up.
func TestStopIsBounded(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	b := newBed(t, withHook(func(context.Context, *Call) (Decision, error) {
		close(asked)
		<-release
		return Decision{}, nil
	}))
	defer close(release)
	go ask(testContext(t), b.dial(t, ""), "/fake/Echo", "x")
	wait(t, asked, "the hook")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := b.Server.Stop(ctx); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	b.stopErr = nil // for the cleanup
}
