package guard

import (
	"context"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/front"
)

// question is a call to lnd that asks what it knows of a hash. Half of what it
// takes is lnd's judging the macaroon, before it reads which hash: a question is
// opened early, so that lnd does so while its asker has other work.
type question struct {
	lnd      *attachment
	stream   grpc.ClientStream
	err      error
	answered func() bool
	end      context.CancelFunc // to be called in any case
}

func (a *attachment) question() *question {
	q := &question{lnd: a}
	ctx, answered := front.WithAnswer(a.ctx)
	ctx, q.end = context.WithTimeout(ctx, learnTimeout)
	q.answered = answered
	q.stream, q.err = a.Conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true},
		"/routerrpc.Router/TrackPaymentV2", grpc.MaxCallRecvMsgSize(maxPaymentSize))
	return q
}

// payment returns what lnd knows of the hash now; nil: nothing. It can be asked
// once.
func (q *question) payment(hash lntypes.Hash) (*lnrpc.Payment, error) {
	if q.err != nil {
		return nil, q.err
	}
	// If lnd ends the call before it was asked, what it says of that comes below.
	_ = q.stream.SendMsg(&routerrpc.TrackPaymentRequest{PaymentHash: hash[:]})
	_ = q.stream.CloseSend()
	state := new(lnrpc.Payment)
	err := q.stream.RecvMsg(state)
	switch {
	case status.Code(err) == codes.NotFound && q.answered():
		return nil, nil
	case err != nil:
		return nil, err
	}
	q.lnd.sawIndex(state.GetPaymentIndex())
	return state, nil
}

// payment asks at once.
func (a *attachment) payment(hash lntypes.Hash) (*lnrpc.Payment, error) {
	q := a.question()
	defer q.end()
	return q.payment(hash)
}
