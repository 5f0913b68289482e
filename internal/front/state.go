package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"
)

const (
	stateService   = "/lnrpc.State/"
	subscribeState = stateService + "SubscribeState"

	// statePause is how long a state subscription waits before it looks for lnd
	// again.
	statePause = 250 * time.Millisecond
)

// waitingToStart is a GetStateResponse, and as well a SubscribeStateResponse,
// with the state WAITING_TO_START: field 1, varint 255.
var waitingToStart = []byte{0x08, 0xff, 0x01}

func isState(method string) bool { return strings.HasPrefix(method, stateService) }

// serveState lets lnd answer a call of the State service, also while the front
// is not ready. While lnd is away the front says WAITING_TO_START in its place,
// and a subscription lives on. Requests are empty, and anybody may send them:
// nothing of theirs is read.
func (c *openCall) serveState() error {
	var last []byte
	send := func(msg []byte) error {
		if bytes.Equal(last, msg) {
			return nil
		}
		last = msg
		return c.client.SendMsg(newFrame(msg))
	}
	for {
		err := c.relayState(send)
		if c.ctx.Err() != nil || !errors.Is(err, errLndAway) {
			return err
		}
		if err := send(waitingToStart); err != nil || c.call.Method != subscribeState {
			return err
		}
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-time.After(statePause):
		}
	}
}

var errLndAway = errors.New("lnd is away")

// relayState asks lnd and passes the answers on until lnd ends the call, nil, or
// goes away, errLndAway. Whose call it is makes no difference to lnd, and must not
// take the connection that a client with a macaroon needs for its address.
func (c *openCall) relayState(send func([]byte) error) error {
	backend, err := c.server.pool.acquire(clientAddr(nil))
	if err != nil {
		return err
	}
	defer c.server.pool.release(backend)
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	ctx, attempt := withAttempt(ctx)
	// Lnd needs no macaroon for this, and its middleware would refuse an account's.
	md := outgoing(c.call.Metadata, []byte{})
	stream, err := backend.NewStream(metadata.NewOutgoingContext(ctx, md), streams, c.call.Method)
	if err != nil {
		return c.lndAway(backend)
	}
	up := &Upstream{stream, attempt}
	if up.Send(nil) == nil {
		_ = up.CloseSend()
	}
	for {
		msg, err := up.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && up.Answered():
			return err
		case err != nil:
			return c.lndAway(backend)
		}
		if err := send(msg); err != nil {
			return err
		}
	}
}

func (c *openCall) lndAway(backend *conn) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.server.pool.lost(backend)
	return errLndAway
}
