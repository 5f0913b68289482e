package mailbox

import (
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// Limits of a relay; zero means the default.
type Limits struct {
	// Boxes in all (default 20000), and of one client (default 2000).
	Boxes, ClientBoxes int
	// QueuedBytes is what may wait in all boxes (default 256 MiB),
	// ClientBytes what of one client's (default 64 MiB), BoxBytes what in
	// one box (default 512 KiB), in bytes. A message beyond makes its writer wait.
	QueuedBytes, ClientBytes, BoxBytes int64
	// Message is the longest message, in bytes (default 131072).
	Message int
	// BoxRate is how many messages a second one box takes (default 5000), and
	// BoxBurst how many at once (default 4 times as many); ClientRate how many
	// one client sends to all (default 20000), 4 times as many at once. More are
	// delayed.
	BoxRate, BoxBurst, ClientRate int
	// Connections in all (default 8192) and of one client (default 512).
	Connections, ClientConnections int
	// Streams and other requests under way, in all (default 32768) and of one
	// client (default 4096).
	Streams, ClientStreams int
	// Stale is after how long a box that is neither read nor filled is deleted
	// (default 1 h), Unread after how long without a reader its messages are
	// dropped (default 10 min), Blocked how long a writer may wait for room
	// (default 2 min).
	Stale, Unread, Blocked time.Duration
}

// DefaultLimits are what zero means.
func DefaultLimits() Limits { return Limits{}.withDefaults() }

func (l Limits) withDefaults() Limits {
	or(&l.Boxes, 20_000)
	or(&l.ClientBoxes, 2000)
	or(&l.QueuedBytes, 256<<20)
	or(&l.ClientBytes, 64<<20)
	or(&l.BoxBytes, 512<<10)
	or(&l.Message, 128<<10)
	or(&l.BoxRate, 5000)
	or(&l.BoxBurst, burstSeconds*l.BoxRate)
	or(&l.ClientRate, 20_000)
	or(&l.Connections, 8192)
	or(&l.ClientConnections, 512)
	or(&l.Streams, 32_768)
	or(&l.ClientStreams, 4096)
	or(&l.Stale, time.Hour)
	or(&l.Unread, 10*time.Minute)
	or(&l.Blocked, 2*time.Minute)
	return l
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// check refuses limits under which nothing could be relayed.
func (l Limits) check() error {
	most := int64(l.Message) + entryOverhead
	for name, v := range map[string]int64{
		"boxes": int64(l.Boxes), "client boxes": int64(l.ClientBoxes), "message": int64(l.Message),
		"box rate": int64(l.BoxRate), "client rate": int64(l.ClientRate),
		"box burst":   int64(l.BoxBurst),
		"connections": int64(l.Connections), "client connections": int64(l.ClientConnections),
		"streams": int64(l.Streams), "client streams": int64(l.ClientStreams), "box bytes": l.BoxBytes,
		"queued bytes": l.QueuedBytes - most, "client bytes": l.ClientBytes - most,
		"stale": int64(l.Stale), "unread": int64(l.Unread), "blocked": int64(l.Blocked),
	} {
		if v < 1 {
			return fault.New("bad_limit", "leyden mailbox start --help", "the relay's limit of %s is too low", name)
		}
	}
	if l.Message > maxMessage {
		return fault.New("bad_limit", "leyden mailbox start --help", "messages of %d bytes: at most %d", l.Message, maxMessage)
	}
	return nil
}

// maxMessage is the longest message that a relay can be made to take.
const maxMessage = 1 << 20
