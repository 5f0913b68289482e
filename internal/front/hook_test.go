package front

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// hookFunc is a hook made of a function.
type hookFunc func(ctx context.Context, call *Call) (Decision, error)

func (f hookFunc) Call(ctx context.Context, call *Call) (Decision, error) { return f(ctx, call) }

func withHook(h hookFunc) func(*Options) { return func(o *Options) { o.Hook = h } }

func decide(d Decision) func(*Options) {
	return withHook(func(context.Context, *Call) (Decision, error) { return d, nil })
}

var denied = &Refusal{
	Code: codes.PermissionDenied, Reason: "approval_required", ID: "a1",
	Sentence: "the payee is new", Hint: "leyden approvals approve a1",
}

// wantRefusal checks code, text and ErrorInfo.
func wantRefusal(t *testing.T, err error, want *Refusal) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != want.Code || !strings.HasPrefix(st.Message(), "leyden: "+want.Reason) {
		t.Fatalf("got %v, want %v", err, want)
	}
	info, ok := errdetailsOf(st)
	if !ok || info.GetReason() != want.Reason || info.GetDomain() != ErrorDomain ||
		info.GetMetadata()["id"] != want.ID || info.GetMetadata()["hint"] != want.Hint {
		t.Errorf("detail %v, want %v", info, want)
	}
}

func errdetailsOf(st *status.Status) (*errdetails.ErrorInfo, bool) {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info, true
		}
	}
	return nil, false
}

func TestRefusalText(t *testing.T) {
	want := "leyden: approval_required:a1: the payee is new (try: leyden approvals approve a1)"
	if got := denied.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	plain := &Refusal{Reason: "frozen", Sentence: "all is frozen"}
	if got := plain.Error(); got != "leyden: frozen: all is frozen" {
		t.Errorf("got %q", got)
	}
	if plain.GRPCStatus().Code() == codes.OK {
		t.Error("a refusal without code passed for success")
	}
}

func TestHookSeesTheCall(t *testing.T) {
	calls := make(chan *Call, 1)
	b := newBed(t, withHook(func(_ context.Context, c *Call) (Decision, error) {
		calls <- c
		return Decision{}, nil
	}))
	ctx := metadata.AppendToOutgoingContext(testContext(t), "macaroon", "0201ff", "x-one", "1")
	if _, err := ask(ctx, b.dial(t, "127.0.0.9"), "/fake/Echo", "x"); err != nil {
		t.Fatal(err)
	}
	c := wait(t, calls, "the hook")
	mac, err := c.Macaroon()
	if c.Method != "/fake/Echo" || c.Peer.String() != "127.0.0.9" || string(mac) != "\x02\x01\xff" || err != nil ||
		c.Metadata["x-one"][0] != "1" || !strings.HasPrefix(c.Metadata["user-agent"][0], "tester/1") {
		t.Errorf("got %+v, %x, %v", c, mac, err)
	}
}

func TestHookRefuses(t *testing.T) {
	cases := map[string]struct {
		hook hookFunc
		want *Refusal // nil: an internal error
	}{
		"fail/refusal": {func(context.Context, *Call) (Decision, error) { return Decision{}, denied }, denied},
		"fail/plain error": {func(context.Context, *Call) (Decision, error) {
			return Decision{}, errors.New("secret detail")
		}, nil},
		"fail/panic": {func(context.Context, *Call) (Decision, error) { panic("secret detail") }, nil},
		"fail/request refused": {func(context.Context, *Call) (Decision, error) {
			return Decision{Request: func(context.Context, []byte) ([][]byte, error) { return nil, denied }}, nil
		}, denied},
		"fail/request panic": {func(context.Context, *Call) (Decision, error) {
			return Decision{Request: func(context.Context, []byte) ([][]byte, error) { panic("secret detail") }}, nil
		}, nil},
		"fail/answer refuses": {func(context.Context, *Call) (Decision, error) {
			return Decision{Answer: func(context.Context, *Stream) error { return denied }}, nil
		}, denied},
		"fail/answer panic": {func(context.Context, *Call) (Decision, error) {
			return Decision{Answer: func(context.Context, *Stream) error { panic("secret detail") }}, nil
		}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			log := new(logBuffer)
			b := newBed(t, func(o *Options) { o.Hook, o.Logger = c.hook, log.logger() })
			_, err := ask(testContext(t), b.dial(t, ""), "/fake/Hold", "x")
			if c.want != nil {
				wantRefusal(t, err, c.want)
			} else {
				st := status.Convert(err)
				info, _ := errdetailsOf(st)
				id := info.GetMetadata()["id"]
				wantRefusal(t, err, &Refusal{Code: codes.Internal, Reason: "internal", ID: id})
				if strings.Contains(st.Message(), "secret") {
					t.Errorf("the client learnt %q", st.Message())
				}
				if id == "" || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "secret detail") {
					t.Errorf("id %q, log %q", id, log)
				}
			}
			// A hook that would forward has not: the request never reached lnd.
			select {
			case m := <-b.lnd.seen:
				if _, ok := b.lnd.peers.Load(m); ok && strings.HasPrefix(name, "fail/request") {
					break // the call may open; its message must not arrive
				}
				t.Errorf("%s reached lnd", m)
			default:
			}
		})
	}
}

func TestResponseRefused(t *testing.T) {
	for name, f := range map[string]MessageFunc{
		"fail/refusal": func(_ context.Context, msg []byte) ([][]byte, error) {
			if string(msg) == "3" {
				return nil, denied
			}
			return [][]byte{msg}, nil
		},
		"fail/panic": func(_ context.Context, msg []byte) ([][]byte, error) {
			if string(msg) == "3" {
				panic("x")
			}
			return [][]byte{msg}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, decide(Decision{Response: f}))
			s := open(t, testContext(t), b.dial(t, ""), "/fake/Count")
			s.send("1000000")
			msgs, err := s.all()
			if !slices.Equal(msgs, []string{"0", "1", "2"}) || !strings.HasPrefix(status.Convert(err).Message(), "leyden: ") {
				t.Errorf("got %q, %v", msgs, err)
			}
		})
	}
}

// TestMessages replaces, drops and injects in both directions of a chat.
func TestMessages(t *testing.T) {
	edit := func(mark string) MessageFunc {
		return func(_ context.Context, msg []byte) ([][]byte, error) {
			switch string(msg) {
			case mark + " drop":
				return nil, nil
			case mark + " replace":
				return [][]byte{[]byte(mark + " replaced")}, nil
			case mark + " inject":
				return [][]byte{msg, []byte(mark + " extra"), nil}, nil
			}
			return [][]byte{msg}, nil
		}
	}
	b := newBed(t, decide(Decision{Request: edit("up"), Response: edit("down")}))
	s := open(t, testContext(t), b.dial(t, ""), "/fake/Chat")
	for _, msg := range []string{"a", "up drop", "up replace", "up inject", "down drop", "down replace", "down inject", "z"} {
		if err := s.send(msg); err != nil {
			t.Fatal(err)
		}
	}
	s.CloseSend()
	got, err := s.all()
	want := []string{"a", "up replaced", "up inject", "up extra", "", "down replaced", "down inject", "down extra", "", "z"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestOtherMacaroon(t *testing.T) {
	for name, c := range map[string]struct {
		macaroon []byte
		want     []string
	}{
		"ok/kept":    {nil, []string{"aa"}},
		"ok/another": {[]byte{0xbe, 0xef}, []string{"beef"}},
		"ok/none":    {[]byte{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, decide(Decision{Macaroon: c.macaroon}))
			ctx := metadata.AppendToOutgoingContext(testContext(t), "macaroon", "aa")
			var header metadata.MD
			if _, err := ask(ctx, b.dial(t, ""), "/fake/Echo", "x", grpc.Header(&header)); err != nil {
				t.Fatal(err)
			}
			if got := header["got-macaroon"]; !slices.Equal(got, c.want) {
				t.Errorf("lnd got %q, want %q", got, c.want)
			}
		})
	}
}

// TestRetell: a client may be told something else than lnd's error, and the hook is
// told lnd's.
func TestRetell(t *testing.T) {
	ended := make(chan Result, 3)
	b := newBed(t, func(o *Options) {
		decide(Decision{End: func(r Result) { ended <- r }})(o)
		o.Retell = func(st *status.Status) *Refusal {
			if st.Code() != codes.NotFound {
				return nil
			}
			return &Refusal{Code: codes.Unavailable, Reason: "gone", Sentence: "it has gone"}
		}
	})
	for msg, want := range map[string]codes.Code{"5": codes.Unavailable, "6": codes.AlreadyExists} {
		_, err := ask(testContext(t), b.dial(t, ""), "/fake/Fail", msg)
		if status.Code(err) != want {
			t.Errorf("%s: %v, want %v", msg, err, want)
		}
		if r := <-ended; fmt.Sprint(int(r.Status.Code())) != msg {
			t.Errorf("the hook was told %v", r.Status)
		}
	}
	if _, err := ask(testContext(t), b.dial(t, ""), "/fake/Echo", "x"); err != nil {
		t.Error(err)
	}
}

// TestAnswer lets the hook answer by itself, with the help of lnd.
func TestAnswer(t *testing.T) {
	b := newBed(t, withHook(func(_ context.Context, call *Call) (Decision, error) {
		return Decision{Answer: func(ctx context.Context, client *Stream) error {
			for {
				msg, err := client.Recv(ctx)
				if errors.Is(err, io.EOF) {
					return client.Send([]byte("bye"))
				}
				if err != nil {
					return err
				}
				own, err := call.Invoke(ctx, "/fake/Echo", []byte{1}, msg)
				if err != nil {
					return err
				}
				if err := client.Send(append(own, '!')); err != nil {
					return err
				}
				up, err := call.Open(ctx, "/fake/Count", nil)
				if err != nil {
					return err
				}
				if err := errors.Join(up.Send([]byte("2")), up.CloseSend()); err != nil {
					return err
				}
				for {
					n, err := up.Recv()
					if errors.Is(err, io.EOF) && up.Answered() {
						break
					}
					if err != nil {
						return err
					}
					if err := client.Send(n); err != nil {
						return err
					}
				}
			}
		}}, nil
	}))
	s := open(t, testContext(t), b.dial(t, "127.0.0.7"), "/fake/Nothing")
	s.send("a")
	s.send("b")
	s.CloseSend()
	got, err := s.all()
	if want := []string{"a!", "0", "1", "b!", "0", "1", "bye"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if peer, _ := b.lnd.peers.Load("/fake/Echo"); peer != "127.0.0.7:0" {
		t.Errorf("lnd saw %v", peer)
	}
}

// TestAnswerIsGivenNoHugeMessage: an account must not fill the memory.
func TestAnswerIsGivenNoHugeMessage(t *testing.T) {
	b := newBed(t, withHook(func(context.Context, *Call) (Decision, error) {
		return Decision{Answer: func(ctx context.Context, client *Stream) error {
			msg, err := client.Recv(ctx)
			if err != nil {
				return err
			}
			return client.Send(msg[:1])
		}}, nil
	}))
	conn := b.dial(t, "")
	for size, want := range map[int]codes.Code{MaxAnswered: codes.OK, MaxAnswered + 1: codes.ResourceExhausted} {
		msg := make([]byte, size)
		var out []byte
		if err := conn.Invoke(testContext(t), "/fake/Nothing", &msg, &out); status.Code(err) != want {
			t.Errorf("%d bytes: got %v, want %v", size, err, want)
		}
	}
}

func TestEnd(t *testing.T) {
	for name, c := range map[string]struct {
		method, msg string
		code        codes.Code
		forwarded   bool
		answered    bool
		request     MessageFunc
		during      func(*bed, context.CancelFunc)
	}{
		"ok/answered":        {method: "/fake/Echo", msg: "x", code: codes.OK, forwarded: true, answered: true},
		"ok/lnd's error":     {method: "/fake/Fail", msg: "14", code: codes.Unavailable, forwarded: true, answered: true},
		"ok/lnd's cancelled": {method: "/fake/Fail", msg: "1", code: codes.Canceled, forwarded: true, answered: true},
		"fail/refused": {method: "/fake/Echo", msg: "x", code: codes.PermissionDenied, request: func(context.Context, []byte) ([][]byte, error) {
			return nil, denied
		}},
		"fail/client gone": {method: "/fake/Hold", msg: "x", code: codes.Canceled, forwarded: true, during: func(_ *bed, cancel context.CancelFunc) { cancel() }},
		"fail/lnd gone":    {method: "/fake/Hang", msg: "x", code: codes.Unavailable, forwarded: true, during: func(b *bed, _ context.CancelFunc) { b.lnd.stop() }},
		"fail/cut": {method: "/fake/Hang", msg: "x", code: codes.PermissionDenied, forwarded: true, during: func(b *bed, _ context.CancelFunc) {
			b.CutOff(*denied, nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			results := make(chan Result, 2)
			forwarded := make(chan struct{})
			b := newBed(t, decide(Decision{
				Request: func(ctx context.Context, msg []byte) ([][]byte, error) {
					defer close(forwarded)
					if c.request != nil {
						return c.request(ctx, msg)
					}
					return [][]byte{msg}, nil
				},
				End: func(r Result) { results <- r },
			}))
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			if c.during != nil {
				go func() {
					<-forwarded
					<-b.lnd.seen
					b.awaitForwarded()
					c.during(b, cancel)
				}()
			}
			ask(ctx, b.dial(t, ""), c.method, c.msg)
			r := wait(t, results, "End")
			if r.Status.Code() != c.code || r.Forwarded != c.forwarded || r.Answered != c.answered {
				t.Errorf("got %+v", r)
			}
			if name == "fail/client gone" {
				close(b.lnd.hold)
			}
			b.hooks.Wait()
			if len(results) != 0 {
				t.Error("told twice")
			}
		})
	}
}

// awaitForwarded returns once the one open call has handed a message to lnd.
func (b *bed) awaitForwarded() {
	for {
		b.calls.mu.Lock()
		for c := range b.calls.open {
			c.sending.Lock()
			done := c.forwarded
			c.sending.Unlock()
			if done {
				b.calls.mu.Unlock()
				return
			}
		}
		b.calls.mu.Unlock()
		runtime.Gosched()
	}
}

// TestUpstreamCancelled: a call to lnd that was ended here was not answered there.
func TestUpstreamCancelled(t *testing.T) {
	answered := make(chan bool, 1)
	b := newBed(t, withHook(func(_ context.Context, call *Call) (Decision, error) {
		return Decision{Answer: func(ctx context.Context, client *Stream) error {
			ctx, cancel := context.WithCancel(ctx)
			up, err := call.Open(ctx, "/fake/Hang", nil)
			cancel()
			if err != nil {
				return err
			}
			_, err = up.Recv()
			answered <- err == nil || up.Answered()
			return nil
		}}, nil
	}))
	if msgs, err := open(t, testContext(t), b.dial(t, ""), "/fake/Nothing").all(); err != nil || len(msgs) > 0 {
		t.Errorf("got %q, %v", msgs, err)
	}
	if wait(t, answered, "the hook") {
		t.Error("answered")
	}
}

// TestClientThatDoesNotRead: a cut-off ends the call of a client that lets answers
// pile up, for the hook too.
func TestClientThatDoesNotRead(t *testing.T) {
	big := make([]byte, 1<<20) // more than gRPC sends ahead of a reader
	for name, d := range map[string]Decision{
		"ok/forwarded": {Response: func(context.Context, []byte) ([][]byte, error) { return [][]byte{big}, nil }},
		"ok/answered": {Answer: func(_ context.Context, client *Stream) error {
			for {
				if err := client.Send(big); err != nil {
					return err
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			results := make(chan Result, 1)
			d.End = func(r Result) { results <- r }
			b := newBed(t, decide(d))
			s := open(t, testContext(t), b.dial(t, ""), "/fake/Count")
			if err := s.send("1000000000"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.recv(); err != nil {
				t.Fatal(err)
			}
			b.awaitStuck()
			if n := b.CutOff(*denied, nil); n != 1 {
				t.Errorf("%d calls cut", n)
			}
			if r := wait(t, results, "End"); r.Status.Code() != codes.PermissionDenied || r.Answered {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// awaitStuck returns once an answer waits for the client to read.
func (b *bed) awaitStuck() {
	stacks := make([]byte, 4<<20)
	for {
		for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
			if bytes.Contains(stack, []byte("writeQuota).get(")) && bytes.Contains(stack, []byte("front.(*openCall).")) {
				return
			}
		}
		runtime.Gosched()
	}
}

// TestEndPanics: a hook's End cannot bring the front down.
func TestEndPanics(t *testing.T) {
	log := new(logBuffer)
	b := newBed(t, func(o *Options) {
		decide(Decision{End: func(Result) { panic("at the end") }})(o)
		o.Logger = log.logger()
	})
	if _, err := ask(testContext(t), b.dial(t, ""), "/fake/Echo", "x"); err != nil {
		t.Fatal(err)
	}
	b.calls.wait()
	b.hooks.Wait()
	if !strings.Contains(log.String(), "at the end") {
		t.Errorf("log %q", log)
	}
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
