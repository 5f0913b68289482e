package relay

import (
	"math/rand/v2"
	"time"
)

const (
	// firstPause and lastPause bound the pause before a stream is opened again.
	firstPause = 250 * time.Millisecond
	lastPause  = 2 * time.Second

	// longLife is how long a stream must have lived for its end to be routine:
	// many relays end every stream after 15 or 30 s. It is opened again at once.
	longLife = 5 * time.Second
)

// pauses is how long to wait before the next attempt.
type pauses struct{ next time.Duration }

// after returns the pause after a stream that lived so long.
func (p *pauses) after(lived time.Duration) time.Duration {
	if lived >= longLife {
		p.next = 0
		return 0
	}
	p.next = min(max(p.next*4/3, firstPause), lastPause)
	return p.next * time.Duration(80+rand.IntN(41)) / 100
}
