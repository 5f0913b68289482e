package guard

import (
	"context"
	"fmt"

	"github.com/lightningnetwork/lnd/lnrpc"
)

const (
	// middlewareName is what lnd's log calls the guard.
	middlewareName = "leyden-guard"

	// caveatName is the custom caveat that makes a macaroon an account's.
	caveatName = "account"

	middlewareRefusal = "leyden: account_only_through_guard: an account's macaroon is worth nothing at this port; use the guard's"
)

// refuseAtLnd registers the RPC middleware for account macaroons, which lets lnd
// verify them (CheckMacaroonPermissions) and refuses every message of every call
// made with one. The attachment ends when the registration does.
func (a *attachment) refuseAtLnd() error {
	stream, err := a.lightning.RegisterRPCMiddleware(a.ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&lnrpc.RPCMiddlewareResponse{
		MiddlewareMessage: &lnrpc.RPCMiddlewareResponse_Register{Register: &lnrpc.MiddlewareRegistration{
			MiddlewareName:           middlewareName,
			CustomMacaroonCaveatName: caveatName,
		}},
	})
	if err != nil {
		_, err = stream.Recv() // has why
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if !first.GetRegComplete() {
		return fmt.Errorf("lnd answered with message %d instead of completing it", first.GetMsgId())
	}
	a.keep("the middleware", func(context.Context) error { return refuseAll(stream) })
	return nil
}

// refuseAll answers what lnd asks until the stream ends.
func refuseAll(stream lnrpc.Lightning_RegisterRPCMiddlewareClient) error {
	for {
		asked, err := stream.Recv()
		if err != nil {
			return err
		}
		// Why a send failed is what the next Recv returns.
		_ = stream.Send(&lnrpc.RPCMiddlewareResponse{
			RefMsgId: asked.GetMsgId(),
			MiddlewareMessage: &lnrpc.RPCMiddlewareResponse_Feedback{
				Feedback: &lnrpc.InterceptFeedback{Error: middlewareRefusal},
			},
		})
	}
}
