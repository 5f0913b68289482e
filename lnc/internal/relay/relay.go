// Package relay is the client of a relay of Lightning Node Connect: streams of
// messages to and from its boxes, over gRPC or WebSockets, and a Pipe, which
// opens such streams again for ever.
//
// It promises that a Pipe that is not closed always comes back to a relay that
// does, that both streams are closed when its Close returns, and that what a
// relay sends is bounded. It leaves out everything that makes the messages
// reliable or secret: a relay may lose, repeat, alter and read them.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
)

// ID names a box.
type ID = [64]byte

var (
	// ErrNotFound says that there is no such box.
	ErrNotFound = errors.New("no such session at the relay")

	// ErrOccupied says that somebody else reads, or fills, the box.
	ErrOccupied = errors.New("the session is in use at the relay")
)

// maxMessage is the longest message in bytes that is taken from a relay. The
// longest that other implementations send has 65560.
const maxMessage = 96 << 10

// Transport speaks with one relay. Streams end with the context that opened
// them.
type Transport interface {
	// Create makes a box, or finds it made.
	Create(ctx context.Context, id ID) error
	// Delete deletes a box, or finds it gone.
	Delete(ctx context.Context, id ID) error
	// Send begins to fill a box. Some errors show only later, in the stream.
	Send(ctx context.Context, id ID) (Sender, error)
	// Recv begins to empty a box.
	Recv(ctx context.Context, id ID) (Receiver, error)
	// Close ends all streams.
	Close() error
}

// Sender is a stream to a box.
type Sender interface {
	// Send hands over a message, which it does not keep, and waits while the
	// relay takes none. That it returns nil does not mean that it has arrived.
	Send(msg []byte) error
	// Finish ends the stream when what was sent has been taken, for which it
	// waits until ctx ends.
	Finish(ctx context.Context)
	// Done is closed when the stream has ended, and Err then says why.
	Done() <-chan struct{}
	Err() error
	// Abort ends the stream at once.
	Abort()
}

// Receiver is a stream from a box.
type Receiver interface {
	// Recv returns the next message, which the caller may keep.
	Recv() ([]byte, error)
	// Abort ends the stream at once.
	Abort()
}

// Config says where a relay is.
type Config struct {
	// Addr is its host and port, which may be left out where it is 443.
	Addr string
	// TLS is for its certificate; nil means the authorities of the system.
	TLS *tls.Config
	// Plaintext means no TLS at all.
	Plaintext bool
	// Dial makes the connections; nil means directly, or through the proxy
	// that the environment names.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (c Config) hostPort() string {
	if _, _, err := net.SplitHostPort(c.Addr); err == nil {
		return c.Addr
	}
	return net.JoinHostPort(strings.Trim(c.Addr, "[]"), "443")
}

func (c Config) tls() *tls.Config {
	if c.TLS != nil {
		return c.TLS.Clone()
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}
}

// refusal gives the relay's words for an error their meaning. All relays use
// these words, and all of them one code.
func refusal(message string) error {
	switch {
	case strings.Contains(message, "stream not found"):
		return ErrNotFound
	case strings.Contains(message, "stream occupied"):
		return ErrOccupied
	}
	return fmt.Errorf("the relay says %q", shorten(message))
}

func shorten(message string) string {
	const most = 200
	if len(message) > most {
		return strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}
