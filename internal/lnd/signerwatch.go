package lnd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/fault"
)

// How a signer is watched.
const (
	// signerBeat is the pause between two questions to a signer that answers.
	signerBeat = 2 * time.Second

	// signerProof is the number of such questions after which macaroon and keys are
	// tried again.
	signerProof = 15

	// minSignerPause and maxSignerPause bound the time between two connections to
	// a signer that is away; doubled each time.
	minSignerPause = 250 * time.Millisecond
	maxSignerPause = time.Second
)

// errSignerUnknown means that the signer has not been asked yet.
var errSignerUnknown = errors.New("the signer has not answered yet")

// watch tells whether the signer is there (nil, and with which credentials) or why
// not, whenever that may have changed, until ctx ends. A signer is away when its
// connection breaks and cannot be made again at once, when it says that it cannot
// sign, or when it does not answer for signerPatience. Who doubts it has it asked
// anew; the doubt is closed once the answer was told.
func (r *RemoteSigner) watch(ctx context.Context, doubts <-chan doubt, tell func(credentials string, err error)) {
	w := signerWatcher{RemoteSigner: r, doubts: doubts, tell: tell}
	pause := minSignerPause
	for ctx.Err() == nil {
		began := time.Now()
		there, err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.told("", err)
		}
		if there {
			pause = minSignerPause
		}
		select {
		case <-ctx.Done():
		case w.doubted = <-doubts:
		case <-time.After(time.Until(began.Add(pause))):
		}
		pause = min(2*pause, maxSignerPause)
	}
}

// doubt is somebody's who waits until the signer was asked anew.
type doubt chan struct{}

// signerWatcher is one watch.
type signerWatcher struct {
	*RemoteSigner
	doubts  <-chan doubt
	doubted doubt // nil: nobody waits
	tell    func(credentials string, err error)
}

func (w *signerWatcher) told(credentials string, err error) {
	w.tell(credentials, err)
	if w.doubted != nil {
		close(w.doubted)
		w.doubted = nil
	}
}

// follow makes a connection and stays on it while the signer answers. there says
// that it did at first; then no error means that the connection broke, which
// alone is no outage, that somebody doubts it, or that another bundle was imported.
func (w *signerWatcher) follow(ctx context.Context) (there bool, err error) {
	credentials := w.credentials()
	conn, err := w.dial()
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := w.ask(ctx, conn); err != nil {
		return false, err
	}
	w.told(credentials, nil)
	return true, w.stay(ctx, conn, credentials)
}

// credentials names what the files hold now.
func (r *RemoteSigner) credentials() string {
	h := sha256.New()
	for _, path := range []string{r.CertPath, r.MacaroonPath} {
		data, _ := os.ReadFile(path) // what cannot be read, dial and ask complain of
		fmt.Fprintf(h, "%d\n%s", len(data), data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// stay returns once the signer no longer answers on the connection (nil when that
// broke, and when it is to be asked on a new one), or says that it cannot sign.
func (w *signerWatcher) stay(ctx context.Context, conn grpc.ClientConnInterface, credentials string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := lnrpc.NewStateClient(conn).SubscribeState(ctx, &lnrpc.SubscribeStateRequest{})
	if err != nil {
		return nil
	}
	told := make(chan error, 1)
	go func() { told <- w.states(stream) }()
	for n := 1; ; n++ {
		select {
		case err := <-told:
			return err
		case w.doubted = <-w.doubts:
			return nil
		case <-time.After(signerBeat):
		}
		if w.credentials() != credentials {
			return nil
		}
		switch err := w.beat(ctx, conn, n); {
		case err == nil:
		case errors.Is(err, errSilent), fault.Code(err) == "signer_macaroon":
			return err
		default:
			return nil
		}
	}
}

// beat asks a signer that has answered on the connection for the n-th time.
func (r *RemoteSigner) beat(ctx context.Context, conn grpc.ClientConnInterface, n int) error {
	if n%signerProof == 0 {
		return r.ask(ctx, conn)
	}
	ctx, cancel := context.WithTimeout(ctx, signerPatience)
	defer cancel()
	_, err := lnrpc.NewStateClient(conn).GetState(ctx, &lnrpc.GetStateRequest{})
	if err != nil {
		return r.unreachable(err)
	}
	return nil
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
