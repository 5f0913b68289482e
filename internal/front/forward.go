package front

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// streams describes any method: on the wire a unary call is a stream of one.
var streams = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// shapeOf describes a method as lnd's protobuf files do. One that they do not name
// may be of any shape.
func shapeOf(method string) *grpc.StreamDesc {
	name := strings.Replace(strings.TrimPrefix(method, "/"), "/", ".", 1)
	found, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if m, ok := found.(protoreflect.MethodDescriptor); ok {
		return &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}
	}
	return streams
}

// pass forwards the call. The client's messages are read until running is done,
// which may be after pass has returned.
func (c *openCall) pass(d Decision, running *sync.WaitGroup) error {
	u := &upstreamCall{openCall: c, shape: shapeOf(c.call.Method)}
	ctx, attempt := withAttempt(c.ctx)
	u.ctx, u.attempt = metadata.NewOutgoingContext(ctx, outgoing(c.call.Metadata, d.Macaroon)), attempt
	err := u.pass(d, running)
	if err != nil {
		c.cancel(stop{err})
	}
	return err
}

// upstreamCall is a call that is forwarded.
type upstreamCall struct {
	*openCall
	ctx     context.Context
	shape   *grpc.StreamDesc
	attempt *attempt
	lnd     grpc.ClientStream
}

func (u *upstreamCall) pass(d Decision, running *sync.WaitGroup) error {
	if !u.shape.ClientStreams {
		if err := u.passOne(d.Request); err != nil {
			return err
		}
		return u.pumpResponses(d.Response)
	}
	if err := u.open(); err != nil {
		return err
	}
	running.Go(func() {
		if err := u.pumpRequests(d.Request); err != nil {
			u.cancel(stop{err})
		}
	})
	return u.pumpResponses(d.Response)
}

func (u *upstreamCall) open() (err error) {
	if u.lnd, err = u.call.backend.NewStream(u.ctx, u.shape, u.call.Method); err != nil {
		return u.backendError(err, u.attempt)
	}
	return nil
}

// passOne forwards the message of a method that takes one. Lnd learns of the call
// with it, so that it is written to and woken once, which is most of what a hop
// costs.
func (u *upstreamCall) passOne(judge MessageFunc) error {
	closed, err := u.readRequests(judge, func(f *frame) error {
		if err := u.open(); err != nil {
			return err
		}
		if err := u.forward(u.lnd, f); err != nil {
			return err
		}
		return io.EOF
	})
	if !closed || err != nil {
		return err
	}
	if err := u.open(); err != nil {
		return err
	}
	return u.lnd.CloseSend()
}

// pumpRequests hands the client's messages to lnd. The error ends the call; a
// backend that ended it already is none: pumpResponses has its status.
func (u *upstreamCall) pumpRequests(judge MessageFunc) error {
	closed, err := u.readRequests(judge, func(f *frame) error { return u.forward(u.lnd, f) })
	if closed {
		return u.lnd.CloseSend()
	}
	return err
}

// readRequests hands the client's messages to send until it says io.EOF, or until
// there are no more, when closed is true.
func (c *openCall) readRequests(judge MessageFunc, send func(*frame) error) (closed bool, err error) {
	for {
		f := new(frame)
		if err := c.client.RecvMsg(f); err != nil {
			if errors.Is(err, io.EOF) {
				return true, nil
			}
			return false, err
		}
		if ended, err := c.each(f, judge, send); ended || err != nil {
			return false, err
		}
	}
}

// pumpResponses hands lnd's header, messages and trailer to the client, and
// returns how lnd ended the call. What lnd says in one go, the client hears in one.
func (u *upstreamCall) pumpResponses(judge MessageFunc) error {
	header, err := u.lnd.Header()
	switch {
	case err != nil:
	case u.shape.ServerStreams && header != nil:
		err = u.client.SendHeader(header)
	default:
		err = u.client.SetHeader(header)
	}
	if err != nil {
		return u.backendError(err, u.attempt)
	}
	for {
		f := new(frame)
		if err := u.lnd.RecvMsg(f); err != nil {
			return u.ended(err)
		}
		ended, err := u.each(f, judge, func(f *frame) error { return u.client.SendMsg(f) })
		switch {
		case ended || err != nil:
			return err
		case !u.shape.ServerStreams: // RecvMsg has seen the end as well
			return u.ended(io.EOF)
		}
	}
}

// ended is what the client is told at the end of lnd's answer.
func (u *upstreamCall) ended(err error) error {
	u.client.SetTrailer(u.lnd.Trailer())
	return u.backendError(err, u.attempt)
}

// each judges one message and sends what is to go on in its place. ended means
// that the receiving side takes no more.
func (c *openCall) each(f *frame, judge MessageFunc, send func(*frame) error) (ended bool, err error) {
	defer func() { f.free() }()
	if judge == nil {
		return sent(send(f))
	}
	msgs, err := c.judge(judge, f.bytes())
	if err != nil {
		return true, err
	}
	for _, msg := range msgs {
		if ended, err := sent(send(newFrame(msg))); ended || err != nil {
			return ended, err
		}
	}
	return false, nil
}

func sent(err error) (ended bool, _ error) {
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return err != nil, err
}

func (c *openCall) judge(judge MessageFunc, msg []byte) (out [][]byte, err error) {
	defer c.guard(&err)
	out, err = judge(c.ctx, msg)
	if err == nil {
		err = c.ctx.Err()
	}
	return out, err
}

// backendError tells lnd's own status from a connection that failed.
func (c *openCall) backendError(err error, attempt *attempt) error {
	c.answered = attempt.answered.Load()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case !c.answered && status.Code(err) == codes.Unavailable && c.ctx.Err() == nil:
		return c.nodeDown(err)
	}
	return err
}

// stop is the first error of a call, as the cause of its context.
type stop struct{ error }

// notForwarded are headers that belong to one connection, not to the call.
var notForwarded = []string{":authority", "content-type", "user-agent", "te", "grpc-accept-encoding"}

// outgoing is the metadata that lnd gets: the client's, with another macaroon if
// one is given. The user agent, which gRPC sets for each connection, goes along
// as "x-forwarded-user-agent".
func outgoing(in metadata.MD, macaroon []byte) metadata.MD {
	out := make(metadata.MD, len(in))
	for key, values := range in {
		if sendable(key, values) {
			out[key] = values
		}
	}
	if agent := in["user-agent"]; len(agent) > 0 && sendable("user-agent", agent) {
		out["x-forwarded-user-agent"] = agent
	}
	for _, key := range notForwarded {
		delete(out, key)
	}
	switch {
	case macaroon == nil:
	case len(macaroon) == 0:
		delete(out, macaroonKey)
	default:
		out[macaroonKey] = []string{hex.EncodeToString(macaroon)}
	}
	return out
}

// sendable says whether a gRPC client may send the metadata. A server takes more,
// such as a user agent beyond ASCII; the call is not to fail for it, so it stays
// behind.
func sendable(key string, values []string) bool {
	const keyChars = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	if strings.Trim(key, keyChars) != "" {
		return false
	}
	return strings.HasSuffix(key, "-bin") || !slices.ContainsFunc(values, func(v string) bool {
		return strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r > 0x7e })
	})
}
