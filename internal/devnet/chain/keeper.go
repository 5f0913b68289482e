package chain

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/devnet/owned"
)

// keepAfter bounds how long a keeper waits for the nodes.
const keepAfter = 30 * time.Second

// Keep runs btcd until ctx ends, and then until busy says that no node needs
// it any more: an lnd whose btcd went first takes half a minute to end. It is
// for a process between a network and its btcd, which outlives the network
// when that is killed.
func Keep(ctx context.Context, dir, btcd string, busy func() bool) error {
	lock, err := daemon.Acquire(keeperFile(dir))
	if err != nil {
		return err
	}
	p, err := owned.Start(btcdCommand(dir, btcd))
	if err != nil {
		return errors.Join(err, lock.Release())
	}
	select {
	case <-p.Done():
		return errors.Join(p.Exit(), lock.Release())
	case <-ctx.Done():
	}
	deadline := time.After(keepAfter)
	for waiting := true; waiting && busy() && p.Running(); {
		select {
		case <-deadline:
			waiting = false
		case <-time.After(retryEvery):
		}
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return errors.Join(p.Stop(stopping), lock.Release())
}

// awaitKeeper waits until the keeper of a killed network has ended.
func awaitKeeper(ctx context.Context, dir string) error {
	for {
		if _, running := daemon.Running(keeperFile(dir)); !running {
			return nil
		}
		select {
		case <-ctx.Done():
			return chainFault("wait for the btcd of a killed network to end", ctx.Err())
		case <-time.After(retryEvery):
		}
	}
}

func keeperFile(dir string) string { return filepath.Join(dir, "btcd.pid") }
