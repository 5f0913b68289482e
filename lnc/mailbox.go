package lnc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"github.com/leydenln/leyden/lnc/internal/relay"
)

// Mailbox says where the relay is and how it is spoken with.
type Mailbox struct {
	// Addr is its host and port.
	Addr string
	// TLS is for its certificate; nil means the authorities of the system.
	TLS *tls.Config
	// Plaintext means no TLS at all, for a relay on the same machine. What
	// passes is encrypted between client and node all the same.
	Plaintext bool
	// WebSocket is for clients whose network lets no gRPC through.
	WebSocket bool
	// Dial makes the connections to the relay; nil means directly, or through
	// the proxy that the environment names.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// transport takes the relay's place in tests.
	transport func() relay.Transport
}

func (m Mailbox) open() (relay.Transport, error) {
	config := relay.Config{Addr: m.Addr, TLS: m.TLS, Plaintext: m.Plaintext, Dial: m.Dial}
	switch {
	case m.transport != nil:
		return m.transport(), nil
	case m.Addr == "":
		return nil, errors.New("the relay's address is missing")
	case m.WebSocket:
		return relay.NewWebSocket(config), nil
	}
	return relay.NewGRPC(config)
}

// announcer tells of changes of the status, and nothing twice.
type announcer struct {
	tell func(Status)

	mu   sync.Mutex
	told bool
	last Status
}

// event turns what happens at the relay into a status.
func (a *announcer) event(e relay.Event) {
	switch e {
	case relay.Listening:
		a.set(StatusIdle)
	case relay.Received:
		a.set(StatusInUse)
	case relay.Missing:
		a.set(StatusNotFound)
	case relay.Occupied:
		a.set(StatusOccupied)
	default:
		a.set(StatusDisconnected)
	}
}

func (a *announcer) set(s Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s == a.last && a.told {
		return
	}
	a.last, a.told = s, true
	if a.tell != nil {
		a.tell(s)
	}
}
