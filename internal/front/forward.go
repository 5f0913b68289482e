package front

import (
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
)

// streams describes any method: on the wire a unary call is a stream of one.
var streams = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// pass forwards the call. The client's messages are read until running is done,
// which may be after pass has returned.
func (c *openCall) pass(d Decision, running *sync.WaitGroup) error {
	ctx, attempt := withAttempt(c.ctx)
	ctx = metadata.NewOutgoingContext(ctx, outgoing(c.call.Metadata, d.Macaroon))
	backend, err := c.call.backend.NewStream(ctx, streams, c.call.Method)
	if err != nil {
		return c.backendError(err, attempt)
	}
	running.Go(func() {
		if err := c.pumpRequests(backend, d.Request); err != nil {
			c.cancel(stop{err})
		}
	})
	err = c.pumpResponses(backend, d.Response, attempt)
	if err != nil {
		c.cancel(stop{err})
	}
	return err
}

// pumpRequests hands the client's messages to lnd. The error ends the call; a
// backend that ended it already is none: pumpResponses has its status.
func (c *openCall) pumpRequests(backend grpc.ClientStream, judge MessageFunc) error {
	for {
		f := new(frame)
		if err := c.client.RecvMsg(f); err != nil {
			if errors.Is(err, io.EOF) {
				return backend.CloseSend()
			}
			return err
		}
		ended, err := c.each(f, judge, func(f *frame) error { return c.forward(backend, f) })
		if ended || err != nil {
			return err
		}
	}
}

// pumpResponses hands lnd's header, messages and trailer to the client, and
// returns how lnd ended the call.
func (c *openCall) pumpResponses(backend grpc.ClientStream, judge MessageFunc, attempt *attempt) error {
	header, err := backend.Header()
	if err == nil && header != nil {
		err = c.client.SendHeader(header)
	}
	if err != nil {
		return c.backendError(err, attempt)
	}
	for {
		f := new(frame)
		if err := backend.RecvMsg(f); err != nil {
			c.client.SetTrailer(backend.Trailer())
			return c.backendError(err, attempt)
		}
		ended, err := c.each(f, judge, func(f *frame) error { return c.client.SendMsg(f) })
		if ended || err != nil {
			return err
		}
	}
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
