package signer

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/front"
)

// listAccounts gives public keys: what an export from elsewhere asks.
const listAccounts = "/walletrpc.WalletKit/ListAccounts"

// signing are the methods by which a watch-only lnd has its signer sign.
var signing = func() []string {
	role, err := bakery.RoleNamed("signer-only")
	if err != nil {
		panic(err)
	}
	return append(role.Needs, role.Takes...)
}()

// Passes says whether the signer's front lets a method pass, a full gRPC path.
func Passes(method string) bool {
	return method == listAccounts || slices.Contains(signing, method)
}

// methodHook refuses every method that a watch-only node does not need, whatever
// the macaroon. What passes goes to the next hook, if there is one.
type methodHook struct{ next front.Hook }

// Call is part of front.Hook.
func (h methodHook) Call(ctx context.Context, call *front.Call) (front.Decision, error) {
	if !Passes(call.Method) {
		return front.Decision{}, notAllowed(call.Method)
	}
	if h.next == nil {
		return front.Decision{}, nil
	}
	return h.next.Call(ctx, call)
}

func notAllowed(method string) error {
	r := &front.Refusal{
		Code: codes.PermissionDenied, Reason: "not_allowed",
		Sentence: "a signer only signs for its watch-only node: " + method + " does not pass",
		Hint:     "ask the watch-only node, or use leyden signer on this machine",
	}
	if strings.HasSuffix(method, "/BakeMacaroon") {
		r.Hint = "leyden signer export, or leyden bake --signer, on this machine"
	}
	return r
}
