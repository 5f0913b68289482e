package mailbox

import (
	"context"
	"time"
)

const (
	// restInterval is how often the relay's work is looked at.
	restInterval = 10 * time.Second
	// restWork is how much work in an interval is as good as none: requests and
	// messages. As much at least lies between one rest and the next.
	restWork = 100
)

// settleUntil calls settle each time that the relay comes to rest after work:
// most connections only wait, and what making them has left behind would be
// kept for long. It returns the error of failed, or nil when ctx ends.
func (r *Relay) settleUntil(ctx context.Context, failed <-chan error, settle func()) error {
	ticker := time.NewTicker(restInterval)
	defer ticker.Stop()
	var seen, settled uint64
	for {
		select {
		case <-ticker.C:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
		done := r.done.Load()
		if done-seen < restWork && done-settled >= restWork {
			settle()
			settled = done
		}
		seen = done
	}
}
