package lnd

import (
	"context"
	"errors"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
)

// How a signer is watched.
const (
	// signerBeat is the pause between two questions to a signer that answers.
	signerBeat = 2 * time.Second

	// minSignerPause and maxSignerPause bound the pause before a signer that is
	// away is asked again; doubled each time.
	minSignerPause = 250 * time.Millisecond
	maxSignerPause = 2 * time.Second
)

// errSignerUnknown means that the signer has not been asked yet.
var errSignerUnknown = errors.New("the signer has not answered yet")

// watch tells whether the signer is there (nil) or why not, at each change, until
// ctx ends. A signer is away when its connection breaks and cannot be made again
// at once, when it says that it cannot sign, or when it does not answer for
// signerPatience.
func (r *RemoteSigner) watch(ctx context.Context, tell func(error)) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		there, err := r.follow(ctx, tell)
		switch {
		case ctx.Err() != nil:
			return
		case there && time.Since(began) > signerBeat: // a broken connection alone is no outage
			pause = 0
			continue
		case there:
			pause = minSignerPause
		default:
			tell(err)
			pause = min(max(2*pause, minSignerPause), maxSignerPause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// follow makes a connection and stays on it while the signer answers. there says
// that it did at first.
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

// stay returns once the signer no longer answers on the connection.
func (r *RemoteSigner) stay(ctx context.Context, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := lnrpc.NewStateClient(conn)
	stream, err := client.SubscribeState(ctx, &lnrpc.SubscribeStateRequest{})
	if err != nil {
		return err
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
		if err != nil {
			return err
		}
	}
}

// states returns once the signer says that it cannot sign, or says nothing more.
func (r *RemoteSigner) states(stream lnrpc.State_SubscribeStateClient) error {
	for {
		update, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := r.awake(update.State); err != nil {
			return err
		}
	}
}
