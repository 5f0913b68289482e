package front

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// WatchAnswers is the dial option of a connection of a hook's own to lnd, for
// WithAnswer.
func WatchAnswers() grpc.DialOption { return grpc.WithStatsHandler(trailerWatch{}) }

// WithAnswer returns the context for one call over a connection dialled with
// WatchAnswers. Once the call has ended, answered says whether lnd itself ended
// it, as Result.Answered does.
func WithAnswer(ctx context.Context) (_ context.Context, answered func() bool) {
	ctx, a := withAttempt(ctx)
	return ctx, a.answered.Load
}

// attempt notes whether lnd itself ended a call: only then does a trailer come.
// The status code alone cannot tell, since gRPC makes up codes of its own when a
// connection breaks or a context ends.
type attempt struct{ answered atomic.Bool }

type attemptKey struct{}

func withAttempt(ctx context.Context) (context.Context, *attempt) {
	a := new(attempt)
	return context.WithValue(ctx, attemptKey{}, a), a
}

// trailerWatch is the stats handler that marks attempts.
type trailerWatch struct{}

func (trailerWatch) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.InTrailer); !ok {
		return
	}
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.answered.Store(true)
	}
}

func (trailerWatch) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (trailerWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (trailerWatch) HandleConn(context.Context, stats.ConnStats)                       {}
