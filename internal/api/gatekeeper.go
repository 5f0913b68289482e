package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/leydenln/leyden/internal/audit"
)

// macaroonKey is the metadata key of the hex macaroon, as lnd and litd have it.
const macaroonKey = "macaroon"

// gatekeeper lets calls with the operator's macaroon pass.
type gatekeeper struct {
	key key
	log *slog.Logger
}

type actorKey struct{}

// actor is who makes the call; the gatekeeper has seen to it that it is there.
func actor(ctx context.Context) audit.Actor {
	a, _ := ctx.Value(actorKey{}).(audit.Actor)
	return a
}

func (g *gatekeeper) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, err := g.admit(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := next(ctx, req)
	return resp, g.tell(info.FullMethod, err)
}

func (g *gatekeeper) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, err := g.admit(stream.Context())
	if err != nil {
		return err
	}
	return g.tell(info.FullMethod, next(srv, &admitted{stream, ctx}))
}

type admitted struct {
	grpc.ServerStream
	ctx context.Context
}

func (a *admitted) Context() context.Context { return a.ctx }

// admit checks the macaroon and notes who calls.
func (g *gatekeeper) admit(ctx context.Context) (context.Context, error) {
	values := metadata.ValueFromIncomingContext(ctx, macaroonKey)
	if len(values) != 1 {
		return nil, refusedMacaroon("want exactly one macaroon, got %d", len(values))
	}
	raw, err := hex.DecodeString(values[0])
	if err != nil {
		return nil, refusedMacaroon("malformed macaroon of %d characters: not hex", len(values[0]))
	}
	id, err := g.key.verify(raw, time.Now())
	if err != nil {
		return nil, refusedMacaroon("%v", err)
	}
	// The id, not the whole: clients add a caveat to each call.
	fingerprint := sha256.Sum256(id)
	return context.WithValue(ctx, actorKey{}, audit.Actor{
		Kind: "operator", Via: "api", Peer: peerIP(ctx), Macaroon: hex.EncodeToString(fingerprint[:8]),
	}), nil
}

func refusedMacaroon(format string, args ...any) error {
	r := refusal(codes.Unauthenticated, "bad_macaroon", "use "+MacaroonFile+" of this node", format, args...)
	return r.GRPCStatus().Err()
}

func peerIP(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	addr, err := netip.ParseAddrPort(p.Addr.String())
	if err != nil {
		return ""
	}
	return addr.Addr().Unmap().String()
}

// tell turns an error into a status that a client can read.
func (g *gatekeeper) tell(method string, err error) error {
	if err == nil {
		return nil
	}
	st := toStatus(err)
	if st.Code() == codes.Internal {
		g.log.Error("operator's call failed", "method", method, "error", err)
	}
	return st.Err()
}
