package front

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/until"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resources is what calls could leak.
type resources struct {
	goroutines, files int
	heap              uint64
}

func measure(t *testing.T) resources {
	t.Helper()
	var mem runtime.MemStats
	for range 3 { // pools are emptied by the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&mem)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return resources{runtime.NumGoroutine(), len(files), mem.HeapAlloc}
}

// TestLeaksNothing makes 100,000 calls of every kind and end, 5,000 with -short.
func TestLeaksNothing(t *testing.T) {
	calls := 100_000
	if testing.Short() {
		calls = 5_000
	}
	var ended sync.WaitGroup
	b := newBed(t, withHook(func(_ context.Context, c *Call) (Decision, error) {
		if c.Method == "/fake/Refused" {
			return Decision{}, denied
		}
		ended.Add(1)
		d := Decision{End: func(Result) { ended.Done() }}
		if c.Method == "/fake/Answered" {
			d.Answer = func(_ context.Context, s *Stream) error { return s.Send([]byte("own")) }
		}
		return d, nil
	}))
	callers := make([]func(int), 8)
	for i := range callers {
		callers[i] = mixedCalls(t, b, fmt.Sprintf("127.0.0.%d", 1+i%4))
	}
	run := func(n int) {
		var all sync.WaitGroup
		for _, call := range callers {
			all.Go(func() {
				for i := range n / len(callers) {
					call(i)
				}
			})
		}
		all.Wait()
		b.calls.wait()
		ended.Wait()
		b.hooks.Wait()
	}
	run(1000)
	before := measure(t)
	run(calls)
	var after resources
	defer func() { t.Logf("before %+v, after %d calls %+v", before, calls, after) }()
	until.True(t, "what the calls used", func() bool { // those at lnd end a moment later
		after = measure(t)
		return after.goroutines <= before.goroutines+20 && after.files <= before.files+2 && after.heap <= before.heap+8<<20
	})
}

// mixedCalls returns a function that makes the i-th call of a client.
func mixedCalls(t *testing.T, b *bed, from string) func(i int) {
	cc := b.dial(t, from)
	want := func(err error, code codes.Code) {
		if status.Code(err) != code {
			t.Errorf("got %v, want %v", err, code)
		}
	}
	return func(i int) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		switch i % 10 {
		case 0:
			_, err := ask(ctx, cc, "/fake/Fail", "5")
			want(err, codes.NotFound)
		case 1:
			_, err := ask(ctx, cc, "/fake/Refused", "x")
			want(err, denied.Code)
		case 2:
			_, err := ask(ctx, cc, "/fake/Answered", "x")
			want(err, codes.OK)
		case 3:
			s := open(t, ctx, cc, "/fake/Count")
			s.send("5")
			s.CloseSend()
			_, err := s.all()
			want(err, codes.OK)
		case 4:
			s := open(t, ctx, cc, "/fake/Chat")
			s.send("x")
			_, err := s.recv()
			want(err, codes.OK) // and cancelled
		case 5:
			_, err := ask(ctx, cc, "/lnrpc.State/GetState", "")
			want(err, codes.OK)
		default:
			_, err := ask(ctx, cc, "/fake/Echo", "some request")
			want(err, codes.OK)
		}
	}
}
