package gbn

import (
	"fmt"
	"time"
)

// duty is what a machine does when its time has come.
type duty int

const (
	dutyNone duty = iota
	dutyHandshake
	dutyResend
	dutyRelease
	dutyPing
	dutyProbe
	dutyGiveUp
	dutyDead
)

// wakeAt is when tick is to be called next, zero: no need.
func (m *machine) wakeAt() time.Time {
	at, _ := m.due()
	return at
}

// tick does what is due at this time.
func (m *machine) tick(now time.Time) {
	for {
		at, what := m.due()
		if what == dutyNone || at.After(now) {
			return
		}
		switch what {
		case dutyHandshake:
			m.unanswered()
		case dutyResend:
			m.send.resend(now)
		case dutyRelease:
			m.send.release()
		case dutyPing:
			m.ping(now)
		case dutyProbe:
			m.send.add(now, packet{ping: true})
		case dutyGiveUp:
			m.end(fmt.Errorf("%w: the rest of a message did not come", ErrProtocol), true)
		case dutyDead:
			m.end(ErrDead, true)
		}
	}
}

// due returns what is to be done next, and when.
func (m *machine) due() (at time.Time, what duty) {
	consider := func(t time.Time, d duty) {
		if !t.IsZero() && (what == dutyNone || t.Before(at)) {
			at, what = t, d
		}
	}
	switch m.state {
	case stateSent, stateAnswered:
		if !m.synDue && !m.writing {
			consider(m.synAt.Add(m.handshake), dutyHandshake)
		}
	case stateOpen:
		if !m.writing {
			consider(m.send.resendAt(m.heardAt, m.handshake), dutyResend)
		}
		consider(m.send.hold, dutyRelease)
		if len(m.send.out) == 0 && m.send.free() {
			consider(m.send.ackedAt.Add(m.opts.Probe), dutyProbe)
		}
		if !m.recv.begunAt.IsZero() {
			consider(m.recv.begunAt.Add(m.opts.Probe), dutyGiveUp)
		}
		if m.pingAt.IsZero() {
			consider(m.heardAt.Add(m.opts.Ping), dutyPing)
		} else {
			consider(m.pingAt.Add(m.opts.Pong), dutyDead)
		}
	}
	return at, what
}

// unanswered goes on after a handshake timeout: a client asks again, a server
// waits for that, or for a sign that its answer has arrived.
func (m *machine) unanswered() {
	m.resent = true
	if m.state == stateAnswered {
		m.state = stateListen
		return
	}
	m.synDue = true
	m.handshake += m.opts.Handshake / 2
}

// ping asks for a sign of life: a packet that carries nothing or, where none
// may be added, the window once more.
func (m *machine) ping(now time.Time) {
	m.pingAt = now
	if m.send.room() {
		m.send.add(now, packet{ping: true})
	} else if m.send.next == len(m.send.out) {
		m.send.resend(now)
	}
}
