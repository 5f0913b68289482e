package lnd

import (
	"context"
	"errors"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// How a signer is watched.
const (
	// signerBeat is the pause between two questions to a signer that answers.
	signerBeat = 2 * time.Second

	// minSignerPause and maxSignerPause bound the time between two connections to
	// a signer that is away; doubled each time.
	minSignerPause = 250 * time.Millisecond
	maxSignerPause = time.Second
)

// errSignerUnknown means that the signer has not been asked yet.
var errSignerUnknown = errors.New("the signer has not answered yet")

// watch tells whether the signer is there (nil) or why not, at each change, until
// ctx ends. A signer is away when its connection breaks and cannot be made again
// at once, when it says that it cannot sign, or when it does not answer for
// signerPatience.
func (r *RemoteSigner) watch(ctx context.Context, tell func(error)) {
	pause := minSignerPause
	for ctx.Err() == nil {
		began := time.Now()
		there, err := r.follow(ctx, tell)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			tell(err)
		}
		if there {
			pause = minSignerPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(began.Add(pause))):
		}
		pause = min(2*pause, maxSignerPause)
	}
}

// follow makes a connection and stays on it while the signer answers. there says
// that it did at first; then no error means that the connection broke, which
// alone is no outage.
func (r *RemoteSigner) follow(ctx context.Context, tell func(error)) (there bool, err error) {
	conn, err := r.dial()
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := r.ask(ctx, conn); err != nil {
		return false, err
	}
	tell(nil)
	return true, r.stay(ctx, conn)
}

// stay returns once the signer no longer answers on the connection (nil when that
// broke), or says that it cannot sign.
func (r *RemoteSigner) stay(ctx context.Context, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := lnrpc.NewStateClient(conn)
	stream, err := client.SubscribeState(ctx, &lnrpc.SubscribeStateRequest{})
	if err != nil {
		return nil
	}
	told := make(chan error, 1)
	go func() { told <- r.states(stream) }()
	for {
		select {
		case err := <-told:
			return err
		case <-time.After(signerBeat):
		}
		beat, stop := context.WithTimeout(ctx, signerPatience)
		_, err := client.GetState(beat, &lnrpc.GetStateRequest{})
		stop()
		if status.Code(err) == codes.DeadlineExceeded {
			return r.unreachable(err)
		}
		if err != nil {
			return nil
		}
	}
}

// states returns once the signer says that it cannot sign, or nil when it says
// nothing more.
func (r *RemoteSigner) states(stream lnrpc.State_SubscribeStateClient) error {
	for {
		update, err := stream.Recv()
		if err != nil {
			return nil
		}
		if err := r.awake(update.State); err != nil {
			return err
		}
	}
}
