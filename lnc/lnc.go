// Package lnc is Lightning Node Connect: an end-to-end encrypted connection
// between a client and a node that both reach out to a relay, so that neither
// needs an open port, paired by ten words.
//
// A Listener, on the node, is a net.Listener whose connections come through the
// relay; a Dialer, on the client, makes them. Both meet by the phrase once,
// learn each other's key, and from then on need the keys alone, which the
// caller keeps (Identity, Persist). A connection (Conn) is a net.Conn over
// which the two speak gRPC, or anything else.
//
// It promises that data arrives whole, in order and from the one with the
// right key, or that the connection ends with an error; that the relay, or
// whoever is between, can deny service and learn sizes and times, and nothing
// else; and that what is kept for a connection is bounded. The protocol's end
// of a connection is not authenticated: Read reports it as
// io.ErrUnexpectedEOF, and protocols above must say themselves when they are
// through, as HTTP/2 does.
//
// It leaves out who may do what: a session's rights are in the auth data that
// the node hands to the client (a macaroon), and are checked above.
package lnc

import (
	"errors"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/relay"
)

var (
	// ErrNotFound says that the relay knows no such session: the words are
	// wrong, the session is over, or the node is away.
	ErrNotFound = relay.ErrNotFound

	// ErrOccupied says that somebody else uses the session at the relay.
	ErrOccupied = relay.ErrOccupied

	// ErrUnreachable says that the relay cannot be reached, or not be used.
	ErrUnreachable = errors.New("the relay cannot be reached")

	// ErrAnotherNode says that whoever answered to the phrase is not the node
	// that the client paired with before.
	ErrAnotherNode = errors.New("the node has another key than the one paired with")
)

// Identity is what a side must keep for as long as the session is to live:
// without it nothing reaches the other side any more.
type Identity struct {
	// Static is this side's key, made for this session alone.
	Static *btcec.PrivateKey
	// Remote is the other side's key, nil until the two have paired.
	Remote *btcec.PublicKey
	// Confirmed says that the two have met again by these keys, so that the
	// phrase is of no more use. Until then a client tries both. A node has no
	// need of it.
	Confirmed bool
}

// Status is what a side knows of its session at the relay.
type Status int

const (
	// StatusDisconnected: the relay cannot be reached.
	StatusDisconnected Status = iota
	// StatusNotFound: the relay knows no such session.
	StatusNotFound
	// StatusOccupied: somebody else uses the session.
	StatusOccupied
	// StatusIdle: the relay listens for this side.
	StatusIdle
	// StatusInUse: something has come through the relay. That is before
	// anybody has proved anything.
	StatusInUse
)

// String returns a word for people.
func (s Status) String() string {
	switch s {
	case StatusDisconnected:
		return "disconnected"
	case StatusNotFound:
		return "not found"
	case StatusOccupied:
		return "occupied"
	case StatusIdle:
		return "idle"
	}
	return "in use"
}
