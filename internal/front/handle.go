package front

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/netip"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// handle takes every call of the gRPC listeners.
func (s *Server) handle(_ any, client grpc.ServerStream) error {
	return s.handleFrom(client, nil)
}

func (s *Server) handleFrom(client grpc.ServerStream, t *Tunnel) error {
	method, ok := grpc.MethodFromServerStream(client)
	if !ok {
		return status.Error(codes.Internal, "no method")
	}
	p, ok := peer.FromContext(client.Context())
	if !ok {
		return status.Error(codes.Internal, "no peer")
	}
	return s.take(client, method, clientAddr(p.Addr), t)
}

// take sees one call through, whichever way it came in; t is the tunnel, if it
// came through one.
func (s *Server) take(client grpc.ServerStream, method string, addr netip.Addr, t *Tunnel) error {
	if !wellFormed(method) {
		return refuse(codes.Unimplemented, "unknown_method", "", "malformed method %q", method)
	}
	if r := s.blocked(method); r != nil {
		return r
	}
	c := &openCall{
		call:   newCall(client.Context(), method, addr),
		server: s,
		client: client,
		state:  isState(method),
	}
	if t != nil {
		c.call.Tunnel = t.opts.Name
	}
	c.ctx, c.cancel = context.WithCancelCause(client.Context())
	defer c.cancel(nil)
	if err := s.calls.enter(c); err != nil {
		return err
	}
	defer s.calls.leave(c)

	if c.state {
		return c.status(c.serveState()).Err()
	}
	if t != nil {
		if err := t.opts.Admit(c.call); err != nil {
			return c.status(err).Err()
		}
	}
	backend, err := s.pool.acquire(addr)
	if err != nil {
		return c.status(err).Err()
	}
	defer s.pool.release(backend)
	c.call.backend = backend
	return s.retell(c.run())
}

// retell is the error that a client gets for the end of a call.
func (s *Server) retell(st *status.Status) error {
	if st.Code() != codes.OK && s.opts.Retell != nil {
		if r := s.opts.Retell(st); r != nil {
			return r
		}
	}
	return st.Err()
}

// run asks the hook and does what it decided.
func (c *openCall) run() *status.Status {
	decision, err := c.decide()
	if err != nil {
		return c.status(err)
	}
	var running sync.WaitGroup // the decision's functions, End apart
	ended := make(chan error, 1)
	c.server.hooks.Add(1)
	running.Go(func() {
		defer c.server.hooks.Done()
		if decision.Answer != nil {
			ended <- c.answer(decision.Answer)
		} else {
			ended <- c.pass(decision, &running)
		}
	})
	select {
	case err = <-ended:
	case <-c.ctx.Done(): // a client that does not read would hold up what sends to it
		err = c.ctx.Err()
	}
	st := c.status(err)
	if decision.End != nil {
		c.end(decision.End, st, &running)
	}
	return st
}

func (c *openCall) decide() (d Decision, err error) {
	if c.server.opts.Hook == nil {
		return Decision{}, nil
	}
	defer c.guard(&err)
	d, err = c.server.opts.Hook.Call(c.ctx, c.call)
	if err == nil {
		err = c.ctx.Err()
	}
	return d, err
}

// end tells the hook how the call ended, once no function of the decision runs any
// more.
func (c *openCall) end(tell func(Result), st *status.Status, running *sync.WaitGroup) {
	c.server.hooks.Go(func() {
		running.Wait()
		var err error
		defer c.guard(&err)
		tell(Result{Status: st, Forwarded: c.forwarded, Answered: c.answered})
	})
}

// guard turns a panic of a hook into a refusal.
func (c *openCall) guard(err *error) {
	if p := recover(); p != nil {
		*err = c.internal("hook panicked", "panic", p, "stack", string(debug.Stack()))
	}
}

// internal logs what went wrong under a short id and gives the client the id.
func (c *openCall) internal(msg string, args ...any) *Refusal {
	var id [4]byte
	rand.Read(id[:])
	r := &Refusal{
		Code: codes.Internal, Reason: "internal", ID: hex.EncodeToString(id[:]),
		Sentence: "the call was refused because of an internal error; the node's log has it under this id",
	}
	c.server.log.Error(msg, append([]any{"id", r.ID, "method", c.call.Method}, args...)...)
	return r
}

// status is what the client is told when its call ended with err.
func (c *openCall) status(err error) *status.Status {
	err = c.firstError(err)
	if err == nil {
		return status.New(codes.OK, "")
	}
	if ctxErr := c.client.Context().Err(); ctxErr != nil {
		return status.FromContextError(ctxErr)
	}
	st, ok := status.FromError(err)
	switch {
	case !ok && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return status.FromContextError(err)
	case !ok:
		return c.internal("call failed", "err", err).GRPCStatus()
	}
	return st
}

// firstError is what ended the call first: a cut, an error of either direction,
// or else err.
func (c *openCall) firstError(err error) error {
	switch cause := context.Cause(c.ctx).(type) {
	case *Refusal:
		return cause
	case stop:
		return cause.error
	}
	return err
}

// nodeDown is the refusal for a call whose connection to lnd failed or broke.
func (c *openCall) nodeDown(err error) error {
	c.server.pool.lost(c.call.backend)
	if r := c.server.calls.state(); r != nil {
		return r
	}
	c.server.log.Warn("lnd is not reachable", "method", c.call.Method, "err", err)
	return refuse(codes.Unavailable, "node_down", c.server.opts.Program+" status", "lnd is not running or did not answer")
}
