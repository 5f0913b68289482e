package front

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// calls is the set of open calls, and whether new ones may join it.
type calls struct {
	mu      sync.Mutex
	unready *Refusal
	closed  *Refusal
	open    map[*openCall]struct{}
	empty   *sync.Cond
}

func newCalls() *calls {
	c := &calls{
		unready: refuse(codes.Unavailable, "starting", "", "the node is starting"),
		open:    make(map[*openCall]struct{}),
	}
	c.empty = sync.NewCond(&c.mu)
	return c
}

func (c *calls) setState(unready *Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unready = unready
}

// state returns why the front is not ready, nil when it is.
func (c *calls) state() *Refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.closed
	}
	return c.unready
}

// enter adds an open call, or says why not.
func (c *calls) enter(call *openCall) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.closed
	}
	if c.unready != nil && !call.state {
		return c.unready
	}
	c.open[call] = struct{}{}
	return nil
}

func (c *calls) leave(call *openCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, call)
	if len(c.open) == 0 {
		c.empty.Broadcast()
	}
}

// close refuses all further calls, for good.
func (c *calls) close(r *Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = r
}

// wait returns once no call is open.
func (c *calls) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open) > 0 {
		c.empty.Wait()
	}
}

// cut ends the open calls that which picks.
func (c *calls) cut(r *Refusal, which func(*openCall) bool) int {
	c.mu.Lock()
	all := make([]*openCall, 0, len(c.open))
	for call := range c.open {
		all = append(all, call)
	}
	c.mu.Unlock()

	picked := all[:0]
	for _, call := range all {
		if which(call) {
			call.cancel(r)
			picked = append(picked, call)
		}
	}
	for _, call := range picked {
		call.barrier()
	}
	return len(picked)
}

// openCall is one call while it lasts.
type openCall struct {
	call   *Call
	server *Server
	client grpc.ServerStream
	state  bool // of the State service

	ctx    context.Context
	cancel context.CancelCauseFunc

	sending   sync.Mutex
	forwarded bool
	answered  bool
}

// forward hands one message to lnd, unless the call was cut or has ended.
func (c *openCall) forward(backend grpc.ClientStream, f *frame) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.forwarded = true
	return backend.SendMsg(f)
}

// barrier returns once no forward of a cancelled call is under way.
func (c *openCall) barrier() {
	c.sending.Lock()
	defer c.sending.Unlock()
}
