package guard

import (
	"context"
	"errors"
	"io"
	"maps"

	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/front"
)

// accountCall is one call with an account's macaroon that lnd has verified.
type accountCall struct {
	*front.Call
	guard   *Guard
	lnd     *attachment
	account account.Account // as it was when the call opened
	by      audit.Actor
	turns   *turns
}

// rule answers one method for accounts.
type rule func(ctx context.Context, c *accountCall, client *front.Stream) error

// message is a pointer to a generated message type.
type message[T any] interface {
	*T
	proto.Message
}

// unary makes the rule of a method that takes one message and returns one.
func unary[Req, Resp any, PReq message[Req], PResp message[Resp]](
	answer func(ctx context.Context, c *accountCall, req PReq) (PResp, error),
) rule {
	return func(ctx context.Context, c *accountCall, client *front.Stream) error {
		req := PReq(new(Req))
		if err := c.receive(ctx, client, req); err != nil {
			return err
		}
		resp, err := answer(ctx, c, req)
		if err != nil {
			return err
		}
		return send(client, resp)
	}
}

// stream makes the rule of a method that takes one message and returns many.
func stream[Req any, PReq message[Req]](
	answer func(ctx context.Context, c *accountCall, req PReq, send func(proto.Message) error) error,
) rule {
	return func(ctx context.Context, c *accountCall, client *front.Stream) error {
		req := PReq(new(Req))
		if err := c.receive(ctx, client, req); err != nil {
			return err
		}
		return answer(ctx, c, req, func(m proto.Message) error { return send(client, m) })
	}
}

// receive reads the client's first message, which is all that lnd would read.
func (c *accountCall) receive(ctx context.Context, client *front.Stream, into proto.Message) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.guard.crowd.patience, errNoRequest)
	defer cancel()
	done, err := wait(ctx, c.turns.receiving)
	if err != nil {
		return err
	}
	defer done()
	raw, err := client.Recv(ctx)
	switch {
	case errors.Is(err, io.EOF):
		return badRequest("the call ended without a request")
	case err != nil:
		return err
	}
	if err := proto.Unmarshal(raw, into); err != nil {
		return badRequest("malformed request: %v", err)
	}
	return nil
}

func send(client *front.Stream, m proto.Message) error {
	raw, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return client.Send(raw)
}

// allRules is the table of the methods that accounts may call: each rule by its
// full method. What is not in it is refused.
func allRules() map[string]rule {
	table := make(map[string]rule)
	for _, part := range []map[string]rule{paymentRules(), invoiceRules(), readRules()} {
		maps.Copy(table, part)
	}
	return table
}
