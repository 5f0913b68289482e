package signer

import (
	"context"
	"log/slog"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/internal/front/verify"
)

// limits bound what whoever reaches the port may cost. A request to sign holds a
// transaction and the ones that it spends, of at most 400 kB each; an lnd asks for
// a few signatures at once, over one connection.
var limits = front.Limits{Message: 16 << 20, Streams: 128, Conns: 64}

// admission has lnd check a call's macaroon before a message of it is read, so that
// strangers cannot make the signer read anything. Lnd judges the call again when it
// gets it. What is admitted goes to the next hook, if there is one.
type admission struct {
	next     front.Hook
	verifier *verify.Verifier[struct{}]
	own      string // path of a macaroon that may ask lnd about others
	log      *slog.Logger
}

func newAdmission(own string, log *slog.Logger) admission {
	return admission{verifier: verify.New[struct{}](time.Now), own: own, log: log}
}

// Call is part of front.Hook.
func (h admission) Call(ctx context.Context, call *front.Call) (front.Decision, error) {
	raw, err := call.Macaroon()
	if err != nil {
		return front.Decision{}, badMacaroon(err)
	}
	parsed, err := macaroon.Parse(raw)
	if err != nil {
		return front.Decision{}, badMacaroon(err)
	}
	if err := h.verify(ctx, call, verify.Credential{Macaroon: parsed, Raw: raw}); err != nil {
		return front.Decision{}, err
	}
	if h.next == nil {
		return front.Decision{}, nil
	}
	return h.next.Call(ctx, call)
}

func (h admission) verify(ctx context.Context, call *front.Call, cred verify.Credential) error {
	own := func() ([]byte, error) { return os.ReadFile(h.own) }
	err := h.verifier.Verify(ctx, call, own, cred, struct{}{})
	if err == nil || status.Code(err) == codes.Unknown {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.log.Warn("lnd did not verify a macaroon", "method", call.Method, "err", err)
	return &front.Refusal{
		Code: codes.Unavailable, Reason: "lnd_down", Hint: "leyden signer status",
		Sentence: "the signer's lnd did not answer whether the macaroon is valid",
	}
}

func badMacaroon(err error) error {
	return &front.Refusal{
		Code: codes.Unauthenticated, Reason: "bad_macaroon", Hint: "leyden signer export, on the signer's machine",
		Sentence: "a signer signs for the macaroon of its bundle alone: " + err.Error(),
	}
}
