package gbn

import (
	"fmt"
	"net"
	"time"
)

type state int

const (
	stateListen   state = iota // server: waits for a SYN
	stateAnswered              // server: its SYN awaits a SYNACK
	stateSent                  // client: its SYN awaits an answer
	stateOpen
	stateEnded
)

// machine is one side of a connection, without goroutines, clock or pipe. It
// is told what happens and when, and asked what to write (next) and when to
// look again (wakeAt).
type machine struct {
	opts   Options
	client bool
	state  state

	synDue, synackDue, finDue bool
	synAt                     time.Time     // when our SYN was last handed out
	handshake                 time.Duration // how long its answer is awaited
	resent                    bool          // some SYN went unanswered
	offered                   byte          // server: the window of the last SYN
	answered                  bool          // client: the server has spoken since the handshake
	syn                       []byte        // server: the SYN that ended the connection

	writing bool      // the packet handed out last is still being written
	heardAt time.Time // when anything last arrived
	pingAt  time.Time // when a sign of life was asked for, zero: not since heardAt

	send sender
	recv receiver
	err  error
}

func newMachine(now time.Time, client bool, opts Options) *machine {
	m := &machine{opts: opts, client: client, handshake: opts.Handshake, heardAt: now}
	m.state = stateListen
	if client {
		m.state, m.offered = stateSent, byte(opts.Window)
		m.synDue = true
	}
	return m
}

// receive takes a packet that arrived. The machine keeps it.
func (m *machine) receive(now time.Time, raw []byte) {
	if m.state == stateEnded {
		m.keep(raw)
		return
	}
	m.heardAt, m.pingAt = now, time.Time{}
	p, err := parse(raw)
	if err == nil && p.kind == kindSYN && (p.seq == 0 || p.seq > maxWindow) {
		err = fmt.Errorf("%w: a window of %d packets", ErrProtocol, p.seq)
	}
	if m.state == stateOpen {
		if err != nil {
			m.end(err, true)
			return
		}
		m.established(now, p, raw)
		return
	}
	// Before a connection the pipe may hold what is left of another one.
	switch {
	case err != nil:
	case m.state == stateSent && p.kind == kindSYN:
		m.clientSYN(now, p)
	case m.state != stateSent:
		m.serverHandshake(now, p)
	}
}

func (m *machine) clientSYN(now time.Time, p packet) {
	switch {
	case m.synAt.IsZero():
	case p.seq != m.offered:
		m.end(fmt.Errorf("%w: a window of %d packets in answer to %d", ErrProtocol, p.seq, m.offered), false)
	default:
		m.synDue, m.synackDue = false, true
		m.open(now)
	}
}

func (m *machine) serverHandshake(now time.Time, p packet) {
	switch p.kind {
	case kindSYN:
		m.state, m.offered, m.synDue = stateAnswered, p.seq, true
	case kindSYNACK, kindDATA:
		// A client that sends DATA has had our SYN; its SYNACK was lost.
		if m.synDue || m.state == stateListen && !m.resent {
			return
		}
		m.open(now)
		if p.kind == kindDATA {
			m.data(now, p)
		}
	case kindFIN:
		m.state, m.resent, m.synDue = stateListen, false, false
	}
}

// open ends the handshake.
func (m *machine) open(now time.Time) {
	space := int(m.offered) + 1
	m.state = stateOpen
	m.send = sender{space: space, minResend: m.opts.Resend, ackedAt: now}
	m.recv = receiver{space: space, maxMessage: m.opts.MaxMessage}
	if !m.resent {
		m.send.measure(now.Sub(m.synAt))
	}
}

// established takes a packet of an open connection.
func (m *machine) established(now time.Time, p packet, raw []byte) {
	switch p.kind {
	case kindSYN:
		// For a client, the answer to a SYN it repeated, or a server that
		// has begun anew.
		if m.client && !m.answered {
			return
		}
		m.end(ErrRestarted, false)
		m.keep(raw)
		return
	case kindSYNACK:
		return
	case kindFIN:
		m.end(ErrPeerClosed, false)
		return
	case kindACK:
		m.send.ack(now, p.seq)
	case kindNACK:
		if !m.send.nack(now, p.seq) {
			m.end(fmt.Errorf("%w: what was acknowledged is asked for", ErrProtocol), true)
		}
	case kindDATA:
		m.data(now, p)
	}
	m.answered = true
}

func (m *machine) data(now time.Time, p packet) {
	if err := m.recv.accept(now, p, 2*m.send.timeout()); err != nil {
		m.end(err, true)
	}
}

// keep remembers a SYN that is for the connection after this one.
func (m *machine) keep(raw []byte) {
	if p, err := parse(raw); err == nil && !m.client && p.kind == kindSYN {
		m.syn = p.encode()
	}
}

// submit puts a message into the window, if there is room.
func (m *machine) submit(now time.Time, msg []byte) bool {
	if m.state != stateOpen || !m.send.free() {
		return false
	}
	m.send.add(now, packet{final: true, payload: msg})
	return true
}

// next hands out the next packet to write; written must be called when that
// is done. No packet: nothing is to be written now.
func (m *machine) next(now time.Time) ([]byte, bool) {
	b := m.choose(now)
	m.writing = b != nil
	return b, b != nil
}

func (m *machine) choose(now time.Time) []byte {
	switch {
	case m.state == stateEnded:
		return m.last(now)
	case m.synDue:
		m.synDue, m.synAt = false, now
		return packet{kind: kindSYN, seq: m.offered}.encode()
	case m.state != stateOpen:
		return nil
	case m.synackDue:
		m.synackDue = false
		return packet{kind: kindSYNACK}.encode()
	}
	if p, ok := m.recv.answer(now); ok {
		return p.encode()
	}
	return m.send.take(now)
}

// last hands out what is written after the end: after Close what was accepted
// and not written yet, then FIN.
func (m *machine) last(now time.Time) []byte {
	if !m.finDue {
		return nil
	}
	if m.err == net.ErrClosed {
		if b := m.send.take(now); b != nil {
			return b
		}
	}
	m.finDue = false
	return packet{kind: kindFIN}.encode()
}

// written tells that the packet handed out last has left.
func (m *machine) written(now time.Time) {
	m.writing = false
	m.send.writtenAt = now
	if m.state == stateSent || m.state == stateAnswered {
		m.synAt = now
	}
}

// end ends the connection; fin says whether the peer is told.
func (m *machine) end(err error, fin bool) {
	if m.state == stateEnded {
		return
	}
	m.finDue = fin && m.state == stateOpen
	m.state, m.err = stateEnded, err
}

// ready says whether next has something to write.
func (m *machine) ready() bool {
	switch m.state {
	case stateEnded:
		return m.finDue
	case stateOpen:
		return m.synackDue || m.recv.ackDue || m.recv.nackDue || m.send.next < len(m.send.out)
	default:
		return m.synDue
	}
}
