package mailbox

import (
	"context"
	"sync"
	"time"
)

// slotWait is how long a second reader, or writer, waits for the place of the
// first.
const slotWait = 250 * time.Millisecond

// entryOverhead is what a message counts besides its length, in bytes.
const entryOverhead = 128

// entry is a message that waits, and who pays for it.
type entry struct {
	msg  []byte
	cost *charge
}

// box is a pipe of messages.
type box struct {
	id     ID
	owner  *client
	most   int64 // bytes
	pace   *pace
	closed chan struct{}

	reading, writing   chan struct{} // held by the one that reads, writes
	readable, writable chan struct{} // there may be a message, room

	mu     sync.Mutex
	queue  []entry
	bytes  int64
	gone   bool
	usedAt time.Time // when a reader or writer was last here
	unread time.Time // since when messages wait and none is taken
}

func newBox(id ID, owner *client, limits Limits) *box {
	return &box{
		id: id, owner: owner, most: limits.BoxBytes, pace: newPace(limits.BoxRate, limits.BoxBurst),
		closed:  make(chan struct{}),
		reading: make(chan struct{}, 1), writing: make(chan struct{}, 1),
		readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
		usedAt: time.Now(),
	}
}

// close is called once, when the box is taken from the relay.
func (b *box) close() {
	b.clear()
	b.mu.Lock()
	b.gone = true
	b.mu.Unlock()
	close(b.closed)
	b.owner.giveBox()
}

// clear drops the messages and returns how many there were.
func (b *box) clear() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.queue)
	b.drop(n)
	b.queue = nil
	poke(b.writable)
	return n
}

// idle says for how long nobody has used the box, and for how long messages
// have waited without a reader; zero: they do not.
func (b *box) idle(now time.Time) (unused, unread time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.reading) > 0 {
		return 0, 0
	}
	if len(b.queue) > 0 {
		unread = now.Sub(b.unread)
	}
	if len(b.writing) > 0 {
		return 0, unread
	}
	return now.Sub(b.usedAt), unread
}

// occupy takes a slot, or says why it cannot be had.
func (b *box) occupy(ctx context.Context, slot chan struct{}, taken error) error {
	select {
	case slot <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case slot <- struct{}{}:
		return nil
	case <-timer.C:
		return taken
	case <-b.closed:
		return errNotFound
	case <-ctx.Done():
		return errCancelled
	}
}

func (b *box) vacate(slot chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.usedAt = time.Now()
	if slot == b.reading {
		b.unread = b.usedAt
	}
	<-slot
}

// push puts a message at the end, false when there is no room. A single
// message always has room.
func (b *box) push(e entry) (ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := e.size()
	switch {
	case b.gone:
		return false, errNotFound
	case len(b.queue) > 0 && b.bytes+size > b.most:
		return false, nil
	}
	if len(b.queue) == 0 {
		b.unread = time.Now()
	}
	b.queue = append(b.queue, e)
	b.bytes += size
	poke(b.readable)
	return true, nil
}

func (e entry) size() int64 { return int64(len(e.msg)) + entryOverhead }

// peek appends to dst the messages that have waited longest, at least one if
// there is any, and more up to about most bytes.
func (b *box) peek(dst [][]byte, most int) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.queue {
		if most -= len(e.msg); most < 0 && len(dst) > 0 {
			break
		}
		dst = append(dst, e.msg)
	}
	return dst
}

// took removes the n messages that have waited longest: they are delivered.
func (b *box) took(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(min(n, len(b.queue)))
	b.unread = time.Now()
	poke(b.writable)
}

// waiting says since when messages wait of which none is taken, and how many
// bytes they count.
func (b *box) waiting() (since time.Time, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unread, b.bytes
}

func (b *box) drop(n int) {
	for _, e := range b.queue[:n] {
		b.bytes -= e.size()
		e.cost.release()
	}
	clear(b.queue[:n])
	if b.queue = b.queue[n:]; len(b.queue) == 0 {
		b.queue = nil
	}
}

// poke leaves a sign in a channel of one place, unless there is one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
