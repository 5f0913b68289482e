package gbn

import (
	"fmt"
	"time"
)

// What may wait to be read. Above the first two, acknowledgements are held
// back, so that the peer sends no more than its window; above the third, which
// a peer with the usual window and packets cannot reach, and where more messages
// wait than a window after the second, packets are dropped.
const (
	queueBytes    = 256 << 10
	queueMessages = 64
	queueLimit    = 2 << 20
)

// signOfLife is the pause after which the peer is told again what it knows.
const signOfLife = time.Second

// receiver is the receiving half: what is expected, what waits to be read, and
// what the peer is to be told.
type receiver struct {
	space      int
	expected   int // sequence number of the next packet
	told       int // sequence number up to which the peer has been told
	maxMessage int

	queue   [][]byte
	bytes   int       // in queue and partial
	partial []byte    // of a message whose last packet has not come
	begunAt time.Time // when its first packet came, zero: there is none

	ackDue, nackDue bool
	nacked          int // sequence number last asked for
	nackedAt        time.Time
	answeredAt      time.Time // when the peer was last told anything
}

// accept takes a DATA packet. repeat is how long the same request for a packet
// is not repeated.
func (r *receiver) accept(now time.Time, p packet, repeat time.Duration) error {
	if int(p.seq) != r.expected {
		r.refuse(now, repeat)
		return nil
	}
	if r.bytes+len(p.payload) > queueLimit || len(r.queue) > queueMessages+r.space {
		r.ackDue = true
		return nil
	}
	if !p.ping {
		if len(r.partial)+len(p.payload) > r.maxMessage {
			return fmt.Errorf("%w: a message of more than %d bytes", ErrProtocol, r.maxMessage)
		}
		r.deliver(now, p)
	}
	r.expected = (r.expected + 1) % r.space
	r.nackDue, r.nackedAt = false, time.Time{}
	r.ackDue = true
	r.tell()
	return nil
}

func (r *receiver) deliver(now time.Time, p packet) {
	r.bytes += len(p.payload)
	switch {
	case !p.final:
		r.partial = append(r.partial, p.payload...)
		if r.begunAt.IsZero() {
			r.begunAt = now
		}
		return
	case !r.begunAt.IsZero():
		p.payload = append(r.partial, p.payload...)
		r.partial, r.begunAt = nil, time.Time{}
	}
	r.queue = append(r.queue, p.payload)
}

// refuse answers a packet that is not the one expected. Where acknowledgements
// are held back, asking for the next packet would be one. A peer that has sent
// a lot twice must not believe us dead meanwhile.
func (r *receiver) refuse(now time.Time, repeat time.Duration) {
	if r.told != r.expected {
		r.ackDue = true
		return
	}
	if r.nacked == r.expected && !r.nackedAt.IsZero() && now.Sub(r.nackedAt) < repeat {
		r.ackDue = r.ackDue || now.Sub(r.answeredAt) >= signOfLife
		return
	}
	r.nackDue, r.nacked, r.nackedAt = true, r.expected, now
}

// tell lets the peer know of everything that arrived, unless too much waits.
// Otherwise it hears again what it knows: a sign of life.
func (r *receiver) tell() {
	if len(r.queue) <= queueMessages && r.bytes <= queueBytes {
		r.told = r.expected
	}
}

// answer returns the next packet for the peer.
func (r *receiver) answer(now time.Time) (packet, bool) {
	switch {
	case r.ackDue:
		r.ackDue, r.answeredAt = false, now
		return packet{kind: kindACK, seq: byte((r.told + r.space - 1) % r.space)}, true
	case r.nackDue:
		r.nackDue, r.answeredAt = false, now
		return packet{kind: kindNACK, seq: byte(r.expected)}, true
	}
	return packet{}, false
}

// pop returns the message that has waited longest.
func (r *receiver) pop() ([]byte, bool) {
	if len(r.queue) == 0 {
		return nil, false
	}
	msg := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	r.bytes -= len(msg)
	if r.told != r.expected {
		r.tell()
		r.ackDue = r.ackDue || r.told == r.expected
	}
	return msg, true
}

// forget drops what waits to be read.
func (r *receiver) forget() { r.queue, r.partial, r.bytes = nil, nil, 0 }
