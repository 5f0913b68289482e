package front

import (
	"context"

	"google.golang.org/grpc/status"
)

// Hook judges calls. One hook stands before a node; it is asked about every
// call but those of the State service, which carries no secret and no power.
type Hook interface {
	// Call is asked when a call opens, before any of its messages is read. The
	// zero Decision forwards the call unchanged. An error refuses it: a *Refusal
	// or another error with a gRPC status as it is, anything else as an internal
	// error whose text goes to the log only. ctx ends with the call.
	Call(ctx context.Context, call *Call) (Decision, error)
}

// Decision says what becomes of a call that was not refused.
type Decision struct {
	// Macaroon is the credential to forward with, in binary form. Nil keeps the
	// client's own; empty forwards with none.
	Macaroon []byte

	// Request judges each message of the client before lnd gets it, Response each
	// of lnd's before the client gets it. Nil passes them unread.
	Request, Response MessageFunc

	// Answer, when not nil, answers the call in lnd's place: nothing is forwarded
	// but what it asks for with Call.Open and Call.Invoke. Request, Response and
	// Macaroon are not consulted. Its error ends the call as Hook.Call's would. The
	// client's call is over when ctx is, whether it has returned by then or not.
	Answer func(ctx context.Context, client *Stream) error

	// End is told once, in a goroutine of its own, how the call ended, after every
	// other function of the Decision has returned.
	End func(Result)
}

// MessageFunc judges one message, in protobuf's wire form. It returns what goes
// on in its place, in order: the message itself, another, several (which injects)
// or none (which drops it). An error refuses the rest of the call, on both sides.
// It may keep msg. A client may send several messages to a method that takes one,
// of which lnd reads the first. One call's Request functions run one after the other, and so
// do its Response functions, but the two run at the same time.
type MessageFunc func(ctx context.Context, msg []byte) ([][]byte, error)

// Result is how a call ended.
type Result struct {
	// Status is what the client was told, but for Options.Retell.
	Status *status.Status

	// Forwarded means that a message of the client may have reached lnd. What an
	// Answer sent to lnd does not count: see Upstream.Answered.
	Forwarded bool

	// Answered means that lnd itself ended the call, so that none of its messages
	// can still be on their way. False after a cut, a cancellation or a broken
	// connection: lnd may still be acting on what was forwarded.
	Answered bool
}
