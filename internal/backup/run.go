package backup

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
)

const (
	// minPause and maxPause bound the pause before a follower connects again;
	// doubled each time.
	minPause = time.Second
	maxPause = time.Minute

	// stuckAfter is when a folder is said not to answer, as a network's disk that is
	// gone may do.
	stuckAfter = time.Minute
)

// Run follows until ctx ends; one Run follows the other. What fails is logged, written
// down, and tried again. It waits but a moment for a folder that does not answer: the
// node has to go on.
func (f *Follower) Run(ctx context.Context, dial Dial) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case f.turn <- struct{}{}:
			f.run(ctx, dial)
			<-f.turn
		case <-ctx.Done():
		}
	}()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-tick.C:
			f.watch(stuckAfter)
		}
	}
	select {
	case <-done:
	case <-time.After(f.patience):
		f.watch(0)
	}
}

// watch tells of a folder that has not answered for that long.
func (f *Follower) watch(long time.Duration) {
	if began := f.busy.Load(); began != nil && time.Since(*began) > long {
		to, _ := To(f.home)
		f.tell(errStuck(to))
	}
}

func errStuck(to Folder) error {
	return fault.New(CodeStuck, "mount the disk again", "the folder %q does not answer", string(to))
}

// timed is around what is done in the folder.
func (f *Follower) timed(do func() error) error {
	now := time.Now()
	f.busy.Store(&now)
	defer f.busy.Store(nil)
	return do()
}

// run follows one connection after the other.
func (f *Follower) run(ctx context.Context, dial Dial) {
	pause := minPause
	for {
		began := time.Now()
		err := f.follow(ctx, dial)
		if ctx.Err() != nil {
			return
		}
		if !lost(err) {
			f.tell(err)
		}
		if time.Since(began) > maxPause {
			pause = minPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// lost says whether it is only lnd that has ended: its supervisor says why.
func lost(err error) bool {
	code := status.Code(err)
	return errors.Is(err, io.EOF) || code == codes.Unavailable || code == codes.Canceled
}
