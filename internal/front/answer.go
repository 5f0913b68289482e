package front

import (
	"context"
	"encoding/hex"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// MaxAnswered is the largest message that a hook which answers a call itself is
// given, in bytes.
const MaxAnswered = 1 << 20

// Stream is the client's side of a call that a hook answers itself. One
// goroutine may receive while another sends. What the hook does not receive is
// not taken from the client either.
type Stream struct {
	client  grpc.ServerStream
	ctx     context.Context
	pending chan received // of a message that is being read
	ended   error
}

type received struct {
	msg []byte
	err error
}

// answer runs the hook's own answer.
func (c *openCall) answer(run func(context.Context, *Stream) error) (err error) {
	defer c.guard(&err)
	return run(c.ctx, &Stream{client: c.client, ctx: c.ctx})
}

func (s *Stream) read() (r received) {
	f := new(frame)
	if r.err = s.client.RecvMsg(f); r.err != nil {
		return r
	}
	defer f.free()
	if n := f.data.Len(); n > MaxAnswered {
		r.err = status.Errorf(codes.ResourceExhausted, "received message larger than max (%d vs. %d)", n, MaxAnswered)
		return r
	}
	r.msg = f.bytes()
	return r
}

// Recv returns the client's next message, in protobuf's wire form. io.EOF means
// that there will be no more; one above MaxAnswered is a ResourceExhausted
// status; when ctx ends before the message has come, its cause, and the next
// Recv goes on waiting for it. Other errors mean that the call has ended.
func (s *Stream) Recv(ctx context.Context) ([]byte, error) {
	if s.ended != nil {
		return nil, s.ended
	}
	if s.pending == nil {
		pending := make(chan received, 1)
		s.pending = pending
		go func() { pending <- s.read() }()
	}
	select {
	case r := <-s.pending:
		s.pending, s.ended = nil, r.err
		return r.msg, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// Send sends a message, in protobuf's wire form, to the client.
func (s *Stream) Send(msg []byte) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return s.client.SendMsg(newFrame(msg))
}

// Upstream is a call to lnd that a hook makes on behalf of a client's call.
type Upstream struct {
	stream  grpc.ClientStream
	attempt *attempt
}

// Open opens a call to lnd over the connection of c's address, with the given
// binary macaroon. It must end before c does; cancel ctx to end it early.
func (c *Call) Open(ctx context.Context, method string, macaroon []byte) (*Upstream, error) {
	ctx, attempt := withAttempt(ctx)
	stream, err := c.backend.NewStream(withMacaroon(ctx, macaroon), streams, method)
	if err != nil {
		return nil, err
	}
	return &Upstream{stream, attempt}, nil
}

// Send sends a message. An error of io.EOF means that lnd ended the call: Recv
// has the status.
func (u *Upstream) Send(msg []byte) error { return u.stream.SendMsg(newFrame(msg)) }

// CloseSend tells lnd that no more messages will be sent.
func (u *Upstream) CloseSend() error { return u.stream.CloseSend() }

// Recv returns lnd's next message; io.EOF after a call that ended well.
func (u *Upstream) Recv() ([]byte, error) {
	f := new(frame)
	if err := u.stream.RecvMsg(f); err != nil {
		return nil, err
	}
	defer f.free()
	return f.bytes(), nil
}

// Answered says, once Recv has returned an error, whether lnd itself ended the
// call, as Result.Answered does.
func (u *Upstream) Answered() bool { return u.attempt.answered.Load() }

// Invoke makes a unary call to lnd over the connection of c's address, with the
// given binary macaroon, and returns the answer. It must end before c does.
func (c *Call) Invoke(ctx context.Context, method string, macaroon, request []byte) ([]byte, error) {
	answer := new(frame)
	err := c.backend.Invoke(withMacaroon(ctx, macaroon), method, newFrame(request), answer)
	if err != nil {
		return nil, err
	}
	defer answer.free()
	return answer.bytes(), nil
}

func withMacaroon(ctx context.Context, macaroon []byte) context.Context {
	md := metadata.MD{}
	if len(macaroon) > 0 {
		md.Set(macaroonKey, hex.EncodeToString(macaroon))
	}
	return metadata.NewOutgoingContext(ctx, md)
}
