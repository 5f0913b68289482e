package gbn

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// faults is what a link does to packets; the shares are of 1.
type faults struct {
	lose, repeat, reorder, truncate, corrupt float64
	delay                                    time.Duration // of every packet
	jitter                                   time.Duration // at most, besides
	// every is the pause between two packets: a rate limit.
	every time.Duration
}

// maxOvertaken is how many packets may overtake one: fewer than a window, since
// beyond that no go-back-n can tell old from new.
const maxOvertaken = 3

// link carries packets one way.
type link struct {
	mu      sync.Mutex
	rand    *rand.Rand
	faults  faults
	closed  bool
	sent    [][]byte // everything handed to it, for tests to look at
	at      time.Time
	arrived [][]byte
	held    []heldPacket
	signal  chan struct{}
}

type heldPacket struct {
	packet []byte
	behind int
}

func newLink(seed uint64, f faults) *link {
	return &link{
		rand:   rand.New(rand.NewPCG(seed, 7)),
		faults: f,
		signal: make(chan struct{}, 1),
	}
}

var errCut = errors.New("the link was cut")

func (l *link) send(packet []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errCut
	}
	packet = append([]byte(nil), packet...)
	l.sent = append(l.sent, packet)
	chance := func(p float64) bool { return p > 0 && l.rand.Float64() < p }
	if chance(l.faults.lose) {
		return nil
	}
	copies := 1
	if chance(l.faults.repeat) {
		copies = 2
	}
	if chance(l.faults.truncate) {
		packet = packet[:l.rand.IntN(len(packet))]
	}
	if chance(l.faults.corrupt) && len(packet) > 0 {
		packet = append([]byte(nil), packet...)
		// Mostly the header: that is what matters here.
		i := l.rand.IntN(min(len(packet), 6))
		packet[i] ^= 1 << l.rand.IntN(8)
	}
	for range copies {
		l.schedule(packet, chance(l.faults.reorder))
	}
	return nil
}

// schedule has a packet arrive after those before it, or after some more.
func (l *link) schedule(packet []byte, late bool) {
	at := time.Now().Add(l.faults.delay)
	if l.faults.jitter > 0 {
		at = at.Add(time.Duration(l.rand.Int64N(int64(l.faults.jitter))))
	}
	if next := l.at.Add(max(l.faults.every, 1)); at.Before(next) {
		at = next
	}
	l.at = at
	behind := 0
	if late {
		behind = 1 + l.rand.IntN(maxOvertaken)
	}
	time.AfterFunc(time.Until(at), func() { l.arrive(packet, behind) })
}

func (l *link) arrive(packet []byte, behind int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if behind > 0 {
		l.held = append(l.held, heldPacket{packet, behind})
		return
	}
	l.arrived = append(l.arrived, packet)
	kept := l.held[:0]
	for _, h := range l.held {
		if h.behind--; h.behind == 0 {
			l.arrived = append(l.arrived, h.packet)
		} else {
			kept = append(kept, h)
		}
	}
	l.held = kept
	poke(l.signal)
}

func (l *link) receive(ctx context.Context) ([]byte, error) {
	for {
		l.mu.Lock()
		if len(l.arrived) > 0 {
			packet := l.arrived[0]
			l.arrived = l.arrived[1:]
			if len(l.arrived) > 0 {
				poke(l.signal)
			}
			l.mu.Unlock()
			return append([]byte(nil), packet...), nil
		}
		closed := l.closed
		l.mu.Unlock()
		if closed {
			return nil, errCut
		}
		select {
		case <-l.signal:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	poke(l.signal)
}

// set changes what the link does to packets from now on.
func (l *link) set(f faults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = f
}

// count tells how many packets of a kind were handed to the link.
func (l *link) count(k kind) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, p := range l.sent {
		if kind(p[0]) == k {
			n++
		}
	}
	return n
}

// end is one end of two links.
type end struct{ out, in *link }

func (e end) Send(_ context.Context, packet []byte) error { return e.out.send(packet) }
func (e end) Recv(ctx context.Context) ([]byte, error)    { return e.in.receive(ctx) }

// pair returns the ends of a pipe of client and server.
func pair(seed uint64, f faults) (client, server end) {
	up, down := newLink(2*seed, f), newLink(2*seed+1, f)
	return end{out: up, in: down}, end{out: down, in: up}
}
