// Package gbn makes a reliable, ordered channel of messages out of a pipe that
// may lose, repeat and delay packets: the go-back-n layer of Lightning Node
// Connect (specs/lnc.md section 3), which runs between the relay and noise.
//
// It promises, of a pipe in which packets stay in order: what Send accepted
// reaches the peer's Recv whole, once and in order, or the connection ends,
// with an error, within the timeouts of Options. Whoever carries the packets
// can end a connection, or keep it open and idle by answering for the peer;
// memory stays bounded whatever is sent.
//
// It leaves out secrecy and integrity: nothing here is authenticated, a packet
// altered on the way is delivered as it arrived, and one that others overtake
// may be taken for a newer one with the same sequence number. Noise, above,
// ends the connection then.
package gbn

import (
	"context"
	"errors"
	"time"
)

// Why a connection ended. Err and the errors of Send and Recv wrap one of
// these, or the error of the pipe, or net.ErrClosed after Close.
var (
	// ErrPeerClosed: the peer said that it is going (FIN).
	ErrPeerClosed = errors.New("the peer closed the connection")
	// ErrDead: nothing arrived for too long.
	ErrDead = errors.New("the peer is silent")
	// ErrRestarted: the peer began a new connection. At the accepting side
	// SYN returns what it began with.
	ErrRestarted = errors.New("the peer began a new connection")
	// ErrProtocol: the peer sent what the protocol does not allow.
	ErrProtocol = errors.New("go-back-n protocol violated")
	// ErrTooLong: the message given to Send exceeds Options.MaxMessage. The
	// connection goes on.
	ErrTooLong = errors.New("message too long")
)

// Pipe carries packets, one go-back-n packet each time. It may lose, repeat
// and delay them; an error is final. Send may keep the packet, which nobody
// changes any more; Recv gives its packet away. Both return soon after their context has ended. The
// connection never calls Send, or Recv, twice at once.
type Pipe interface {
	Send(ctx context.Context, packet []byte) error
	Recv(ctx context.Context) ([]byte, error)
}

// Options of a connection; zero values mean the defaults, which are what other
// implementations use (specs/lnc.md section 3.6).
type Options struct {
	// Window is how many packets may be under way, 1 to 254; default 20. Only
	// Dial uses it: the accepting side takes what it is offered.
	Window int
	// Handshake is how long an answer is awaited before the first SYN is
	// repeated; default 2 s. Each further time it is half of that longer.
	Handshake time.Duration
	// Resend is the least time after which packets are sent again; default 1 s.
	// On a slow way it is five times the measured response time.
	Resend time.Duration
	// Ping is the silence after which a sign of life is asked for; default 7 s
	// for Dial and 5 s for Accept.
	Ping time.Duration
	// Pong is how long that sign is awaited before the connection ends;
	// default 5 s. Others wait 3 s and whatever sending again takes; a peer
	// whose way out was cut unseen needs a bit more than 3 s to open another.
	Pong time.Duration
	// Probe is how long nothing may have been acknowledged before a packet is
	// sent for that purpose, and how long the rest of a message is awaited;
	// default 20 s. So a forged acknowledgement is found out.
	Probe time.Duration
	// FIN is how long the end of a connection may take; default 1 s.
	FIN time.Duration
	// MaxMessage is the length of the longest message, in bytes; default
	// 131072.
	MaxMessage int
	// SYN is the packet that ended the connection before (Conn.SYN), for
	// Accept to answer at once; nil: none.
	SYN []byte
}

const (
	defaultWindow     = 20
	maxWindow         = 254
	defaultMaxMessage = 128 << 10
	// maxResend bounds the resend timeout, however slow the way was measured.
	maxResend = time.Minute
)

func (o Options) withDefaults(client bool) Options {
	ping := 5 * time.Second
	if client {
		ping = 7 * time.Second
	}
	or := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	or(&o.Handshake, 2*time.Second)
	or(&o.Resend, time.Second)
	or(&o.Ping, ping)
	or(&o.Pong, 5*time.Second)
	or(&o.Probe, 20*time.Second)
	or(&o.FIN, time.Second)
	if o.Window == 0 {
		o.Window = defaultWindow
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = defaultMaxMessage
	}
	return o
}
