// Package until lets tests wait for what nothing signals: the state of another
// process, a file, the kernel. What can be waited on, such as a channel or a
// stream, is waited on.
package until

import (
	"testing"
	"time"
)

const (
	every    = 5 * time.Millisecond
	patience = 3 * time.Minute
)

// True returns once cond holds, which it asks every few milliseconds, and fails
// the test when that takes three minutes. what completes "waited in vain for".
func True(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	late := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
