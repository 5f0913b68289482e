package lnc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/gbn"
	"github.com/leydenln/leyden/lnc/internal/noise"
	"github.com/leydenln/leyden/lnc/internal/relay"
)

const (
	// afterFailure is the pause after a handshake that failed, so that a relay
	// cannot keep the processor busy with forged ones.
	afterFailure = 250 * time.Millisecond

	// lastRead is how long the user of a connection that has ended has to read
	// what came before, and close it, until the next one is made.
	lastRead = 2 * time.Second

	// farewellRead is how long the client has to read the end of a connection
	// before its box is deleted.
	farewellRead = 300 * time.Millisecond

	// boxTimeout is how long the relay has to make or delete a box.
	boxTimeout = 2 * time.Second
)

// ListenerConfig is a node's side of a session.
type ListenerConfig struct {
	Mailbox Mailbox

	// Phrase is needed until Identity has a Remote.
	Phrase Phrase

	// Identity is this side's key and, after the pairing, what Persist was
	// given.
	Identity Identity

	// Persist keeps the identity of the pairing for good before it returns; an
	// error ends the handshake. Nil means a session that ends with the process.
	Persist func(Identity) error

	// AuthData is what every client that connects is told, at most 64 KiB:
	// "Macaroon: <hex>".
	AuthData []byte

	// OnStatus is told the status when it is known, and each change of it. It
	// must not block.
	OnStatus func(Status)

	// Log gets what goes wrong in handshakes; nil: nobody.
	Log *slog.Logger
}

// Listener accepts the connections of one session, one at a time.
type Listener struct {
	config ListenerConfig
	log    *slog.Logger
	status *announcer

	life    context.Context
	end     context.CancelFunc
	conns   chan *Conn
	stopped chan struct{}

	// What follows belongs to the goroutine that runs.
	identity  Identity
	password  *password // nil: not needed
	transport relay.Transport
	pipe      *relay.Pipe
	ends      relay.Ends
	suspect   bool // the way to the relay may be dead
	used      bool // the pipe has carried a connection

	moving sync.WaitGroup // makes the boxes that the pairing leads to
}

// NewListener begins to listen at the relay. It does so for ever: a relay that
// is away is tried again.
func NewListener(config ListenerConfig) (*Listener, error) {
	l, err := newListener(config)
	if err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

func newListener(config ListenerConfig) (*Listener, error) {
	switch {
	case config.Identity.Static == nil:
		return nil, errors.New("this side's key of the session is missing")
	case config.Identity.Remote == nil && config.Phrase.IsZero():
		return nil, errors.New("the pairing phrase is missing")
	case config.Mailbox.WebSocket:
		return nil, errors.New("a node speaks gRPC with the relay: boxes cannot be deleted over WebSockets")
	case len(config.AuthData) > noise.MaxAuthData:
		return nil, fmt.Errorf("auth data of %d bytes, the limit is %d", len(config.AuthData), noise.MaxAuthData)
	}
	l := &Listener{
		config:   config,
		log:      config.Log,
		status:   &announcer{tell: config.OnStatus},
		conns:    make(chan *Conn),
		stopped:  make(chan struct{}),
		identity: config.Identity,
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if l.transport, err = config.Mailbox.open(); err != nil {
		return nil, err
	}
	l.life, l.end = context.WithCancel(context.Background())
	return l, nil
}

// Accept returns the next connection, secured. The error is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.stopped:
		return nil, net.ErrClosed
	}
}

// Close ends the connection that is open, deletes the boxes at the relay and
// stops, in a few seconds at most.
func (l *Listener) Close() error {
	l.end()
	<-l.stopped
	return nil
}

// Addr returns this side's key as an address.
func (l *Listener) Addr() net.Addr { return address(l.config.Identity.Static.PubKey()) }

func (l *Listener) run() {
	defer close(l.stopped)
	defer l.leave()
	if l.identity.Remote == nil && l.password == nil {
		l.password = stretch(l.life, l.config.Phrase)
	}
	var syn []byte
	for l.life.Err() == nil {
		before := l.ends
		if err := l.meet(); err != nil {
			l.log.Error("the relay cannot be used", "err", err)
			l.pause()
			continue
		}
		if l.ends != before {
			syn = nil // said at the other boxes
		}
		link, err := gbn.Accept(l.life, l.pipe, gbn.Options{SYN: syn})
		if err != nil {
			l.pause() // the end of this listener: nothing else ends the pipe
			continue
		}
		l.used = true
		conn, err := l.handshake(link)
		if err != nil {
			l.log.Warn("a client's handshake failed", "err", err)
			syn = l.hangUp(link)
			l.pause()
			continue
		}
		l.serve(conn)
		syn = l.hangUp(link)
	}
}

func (l *Listener) pause() {
	select {
	case <-time.After(afterFailure):
	case <-l.life.Done():
	}
}

// place returns the boxes where the client is, or will be next.
func (l *Listener) place() relay.Ends {
	toClient, toServer := l.config.Phrase.StreamIDs()
	if l.identity.Remote != nil {
		toClient, toServer = StaticStreamIDs(l.identity.Static, l.identity.Remote)
	}
	return relay.Ends{Send: relay.ID(toClient), Recv: relay.ID(toServer)}
}

// moveAhead makes the boxes of the next connection while this one, the pairing,
// goes on: a client that comes back at once finds them, and what it puts there
// waits.
func (l *Listener) moveAhead() {
	transport, ends := l.transport, l.place()
	for _, id := range []relay.ID{ends.Send, ends.Recv} {
		l.moving.Go(func() {
			ctx, cancel := context.WithTimeout(l.life, boxTimeout)
			defer cancel()
			if err := transport.Create(ctx, id); err != nil {
				l.log.Debug("a box is not made ahead", "err", err)
			}
		})
	}
}

// meet has the pipe where the client is: at the phrase's boxes, or at those of
// the keys once they are known.
func (l *Listener) meet() error {
	ends := l.place()
	moved := l.pipe != nil && l.ends != ends
	if l.pipe != nil && !moved && !l.suspect {
		return nil
	}
	l.hangUpPipe()
	if l.suspect {
		l.transport.Close()
		transport, err := l.config.Mailbox.open()
		if err != nil {
			return err
		}
		l.transport, l.suspect = transport, false
	}
	if moved {
		l.moving.Wait()
		l.deleteBoxes(l.ends)
	}
	l.ends = ends
	l.pipe = relay.NewPipe(l.transport, ends, relay.Options{Create: true, OnEvent: l.status.event})
	return nil
}

func (l *Listener) handshake(link *gbn.Conn) (*Conn, error) {
	keys := noise.Keys{Static: l.identity.Static, Remote: l.identity.Remote, AuthData: l.config.AuthData}
	if keys.Remote == nil {
		var err error
		if keys.Password, err = l.password.await(l.life); err != nil {
			return nil, err
		}
	}
	h, err := noise.NewResponder(keys)
	if err != nil {
		return nil, err
	}
	err = secure(l.life, link, h, func(remote *btcec.PublicKey) error {
		identity := l.identity
		identity.Remote = remote
		if l.config.Persist != nil {
			if err := l.config.Persist(identity); err != nil {
				return fmt.Errorf("keep the session's keys: %w", err)
			}
		}
		l.identity, l.password = identity, nil
		l.moveAhead()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newConn(link, h, l.identity.Static, false)
}

// serve hands a connection over and waits for its end.
func (l *Listener) serve(conn *Conn) {
	defer conn.Close()
	select {
	case l.conns <- conn:
	case <-conn.link.Done():
		return
	case <-l.life.Done():
		return
	}
	select {
	case <-conn.closed:
	case <-l.life.Done():
	case <-conn.link.Done():
		select {
		case <-conn.closed:
		case <-time.After(lastRead):
		case <-l.life.Done():
		}
	}
}

// hangUp closes the connection below, and returns the packet by which the
// client has begun the next one, if it has.
func (l *Listener) hangUp(link *gbn.Conn) []byte {
	link.Close()
	if errors.Is(link.Err(), gbn.ErrDead) {
		l.suspect = true
	} else if l.pipe.Err() == nil {
		l.status.set(StatusIdle)
	}
	return link.SYN()
}

func (l *Listener) hangUpPipe() {
	if l.pipe != nil {
		l.pipe.Close()
		l.pipe = nil
	}
}

// leave cleans up at the relay.
func (l *Listener) leave() {
	used := l.pipe != nil && l.used
	l.hangUpPipe()
	if used {
		time.Sleep(farewellRead)
	}
	l.moving.Wait()
	l.deleteBoxes(l.ends)
	if next := l.place(); next != l.ends {
		l.deleteBoxes(next)
	}
	l.transport.Close()
	l.status.set(StatusDisconnected)
}

// deleteBoxes deletes boxes, if the relay can be reached.
func (l *Listener) deleteBoxes(ends relay.Ends) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.life), boxTimeout)
	defer cancel()
	var wait sync.WaitGroup
	for _, id := range []relay.ID{ends.Send, ends.Recv} {
		wait.Go(func() {
			if err := l.transport.Delete(ctx, id); err != nil {
				l.log.Info("a box is left at the relay", "err", err)
			}
		})
	}
	wait.Wait()
}
