package guard

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/front"
)

// What one account may have under way at once, so that whoever holds its
// macaroon cannot fill the node's memory.
const (
	// maxCalls are open at once. One more is refused.
	maxCalls = 256

	// maxReceiving requests are being read at once, maxCostly calls of the costly
	// methods answered. One more waits.
	maxReceiving = 4
	maxCostly    = 4

	// requestPatience is how long after the call was opened its request must have
	// come: the macaroon was judged when it opened, and may have ended since.
	requestPatience = 30 * time.Second
)

var (
	errManyCalls = refuse(codes.ResourceExhausted, "too_many_calls", "",
		"an account may have %d calls open at once", maxCalls)
	errNoRequest = refuse(codes.DeadlineExceeded, "no_request", "",
		"no request came within %s after the call was opened", requestPatience)
)

// crowd counts the open calls of each account. Safe for concurrent use.
type crowd struct {
	patience time.Duration

	mu sync.Mutex
	of map[account.ID]*turns
}

// turns is what the open calls of one account share.
type turns struct {
	calls             int
	receiving, costly chan struct{}
}

func newCrowd() *crowd {
	return &crowd{patience: requestPatience, of: make(map[account.ID]*turns)}
}

// enter counts a call, until leave.
func (c *crowd) enter(id account.ID) (t *turns, leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t = c.of[id]
	if t == nil {
		t = &turns{receiving: make(chan struct{}, maxReceiving), costly: make(chan struct{}, maxCostly)}
		c.of[id] = t
	}
	if t.calls == maxCalls {
		return nil, nil, errManyCalls
	}
	t.calls++
	return t, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.calls--; t.calls == 0 {
			delete(c.of, id)
		}
	}, nil
}

// wait waits for a place; done gives it back.
func wait(ctx context.Context, places chan struct{}) (done func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// costly makes the rule of a method whose answers are long or cost lnd much.
func costly(answer rule) rule {
	return func(ctx context.Context, c *accountCall, client *front.Stream) error {
		done, err := wait(ctx, c.turns.costly)
		if err != nil {
			return err
		}
		defer done()
		return answer(ctx, c, client)
	}
}
