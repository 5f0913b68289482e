package gbn

import "time"

const (
	// maxBoost bounds how often the timeout grows by half of itself.
	maxBoost = 4
	// maxPatience is how many timeouts a busy peer has for an acknowledgement:
	// over a slow relay it comes after all that the peer has sent already.
	maxPatience = 20
	// maxAstray is how many requests astray, without progress, are too many.
	maxAstray = 3
)

// frame is a DATA packet that the peer has yet to acknowledge.
type frame struct {
	packet []byte
	sentAt time.Time
	resent bool
}

// sender is the sending half: a window of frames, and when to send them again.
type sender struct {
	space int // of sequence numbers: window + 1
	base  int // sequence number of out[0]
	out   []frame
	next  int // out[next:] wait to be written
	high  int // out[:high] have been written at least once

	// hold is until when no new message is let in, after the window was sent
	// again on suspicion; zero: no hold. What arrived twice makes the peer ask
	// for what comes next, and if that were under way already it would be sent
	// twice as well, and so on for ever. When all is acknowledged a ping goes
	// out (proving): its answer comes after every such request.
	hold    time.Time
	proving bool

	minResend  time.Duration
	response   time.Duration // smoothed time from a frame to its ACK; 0: unknown
	boost      int           // how often the window was resent since it was measured
	ackedAt    time.Time     // when base last moved
	astray     int           // requests since then for what the peer has acknowledged
	progressAt time.Time     // when base last moved, or the window ceased to be empty
	writtenAt  time.Time     // when a frame was last written
	resentAt   time.Time     // when the window was last sent again on suspicion
}

// room says whether another frame may be under way. A large window is not used
// to the full: acknowledgements that come late, as many as are left of it, are
// then not taken for those of frames sent since.
func (s *sender) room() bool {
	window := s.space - 1
	return len(s.out) < window-min(window/6, 3)
}

// free says whether a message may be added.
func (s *sender) free() bool { return s.room() && s.hold.IsZero() }

// add puts a frame into the window, which must have room.
func (s *sender) add(now time.Time, p packet) {
	if len(s.out) == 0 {
		s.progressAt = now
	}
	p.kind, p.seq = kindDATA, byte((s.base+len(s.out))%s.space)
	s.out = append(s.out, frame{packet: p.encode()})
}

// take returns the next frame to write, nil if there is none.
func (s *sender) take(now time.Time) []byte {
	if s.next == len(s.out) {
		return nil
	}
	f := &s.out[s.next]
	f.resent = s.next < s.high
	f.sentAt, s.writtenAt = now, now
	s.next++
	s.high = max(s.high, s.next)
	return f.packet
}

// index is the place in the window of a sequence number, len(out) or more if
// it is not in it.
func (s *sender) index(seq byte) int {
	if int(seq) >= s.space {
		return s.space
	}
	return (int(seq) - s.base + s.space) % s.space
}

// drop removes the first n frames: the peer has them.
func (s *sender) drop(now time.Time, n int) {
	if n == 0 {
		return
	}
	clear(s.out[:n])
	s.out = s.out[n:]
	s.base = (s.base + n) % s.space
	s.next, s.high = max(0, s.next-n), s.high-n
	s.progressAt, s.ackedAt, s.astray = now, now, 0
}

// ack takes an acknowledgement of everything up to seq. One of what was never
// written, or is no longer in the window, means nothing.
func (s *sender) ack(now time.Time, seq byte) {
	i := s.index(seq)
	if i >= s.high {
		return
	}
	if f := s.out[i]; !f.resent {
		s.measure(now.Sub(f.sentAt))
	}
	s.drop(now, i+1)
	switch {
	case len(s.out) > 0 || s.hold.IsZero():
	case s.proving:
		s.release()
	default:
		s.proving = true
		s.add(now, packet{ping: true})
	}
}

// release lets messages in again.
func (s *sender) release() { s.hold, s.proving = time.Time{}, false }

// nack takes the peer's word that it expects seq: it has everything before.
// What was written since it could have been missed is sent again; what was
// written only just now is still on its way. A request for what is not in the
// window any more may be an old one that came late; the peer that repeats it
// lacks what we believe it has, and false is returned.
func (s *sender) nack(now time.Time, seq byte) bool {
	i := s.index(seq)
	if i > s.high {
		if len(s.out) > 0 {
			s.astray++
		}
		return s.astray < maxAstray
	}
	arrived := i == s.high
	s.drop(now, i)
	if arrived {
		s.release()
	} else if !s.proving && s.next > 0 && now.Sub(s.out[0].sentAt) >= s.response/2 {
		s.next = 0
	}
	return true
}

// resendAt is when the window is sent again on suspicion, zero if nothing is
// outstanding. heard is when anything last came from the peer: while it is
// busy an acknowledgement may be late, but not for ever.
func (s *sender) resendAt(heard time.Time, spacing time.Duration) time.Time {
	if len(s.out) == 0 || s.next < len(s.out) {
		return time.Time{}
	}
	timeout := s.timeout()
	at := later(heard, s.writtenAt).Add(timeout)
	at = earlier(at, later(s.progressAt, s.resentAt).Add(maxPatience*timeout))
	if !s.resentAt.IsZero() {
		at = later(at, s.resentAt.Add(spacing))
	}
	return at
}

// resend has the whole window written again.
func (s *sender) resend(now time.Time) {
	s.next, s.resentAt, s.proving = 0, now, false
	s.boost++
	s.hold = now.Add(3 * s.timeout())
}

// measure takes the time that the peer needed to answer.
func (s *sender) measure(d time.Duration) {
	if s.response == 0 {
		s.response = d
	}
	s.response += (d - s.response) / 8
	s.boost = 0
}

// timeout is how long acknowledgements are awaited: longer each time that it
// was in vain.
func (s *sender) timeout() time.Duration {
	base := min(maxResend, max(s.minResend, 5*s.response))
	return base * time.Duration(2+min(s.boost, maxBoost)) / 2
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
