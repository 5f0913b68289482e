package lnc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/gbn"
	"github.com/leydenln/leyden/lnc/internal/noise"
	"github.com/leydenln/leyden/lnc/internal/relay"
)

const (
	// retryAbsent is the pause before the other meeting place is tried.
	retryAbsent = 250 * time.Millisecond
	// retryFailed is the pause after an attempt that was interrupted.
	retryFailed = time.Second
)

var errAbsent = errors.New("nobody is at this meeting place")

// Dialer makes connections of one session, one at a time. Its fields are set
// before the first Dial.
type Dialer struct {
	Mailbox Mailbox

	// Phrase is needed until Identity is confirmed.
	Phrase Phrase

	// Identity is what Persist was last given, the zero value before. A missing
	// Static is drawn.
	Identity Identity

	// Persist keeps an identity for good before it returns. It is called in
	// the first handshake, before the node can have what it needs to go on,
	// and once more when the node has come back with it. An error ends the
	// handshake. Nil means a session that ends with this Dialer.
	Persist func(Identity) error

	// OnStatus is told the status when it is known, and each change of it. It
	// must not block.
	OnStatus func(Status)

	setup     sync.Once
	turn      chan struct{} // held by the one Dial that runs
	status    *announcer
	life      context.Context
	end       context.CancelFunc
	last      *Conn
	met       bool            // the node certainly has this side's key
	transport relay.Transport // nil: none is open
	password  *password       // nil: not yet needed, or no longer

	mu       sync.Mutex
	identity Identity
	headers  map[string]string // of each call, which the node told last; not changed
}

func (d *Dialer) init() {
	d.setup.Do(func() {
		d.turn = make(chan struct{}, 1)
		d.status = &announcer{tell: d.OnStatus}
		d.identity = d.Identity
		d.life, d.end = context.WithCancel(context.Background())
	})
}

// Dial connects to the node, which it waits for until ctx ends: then the error
// also says what the trouble is, ErrNotFound, ErrOccupied or ErrUnreachable.
// While another connection of this Dialer is open it waits for its end. A node
// that proves to be another, and keys that cannot be kept, end it at once.
func (d *Dialer) Dial(ctx context.Context) (*Conn, error) {
	d.init()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("another connection is being made: %w", ctx.Err())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	if err := d.awaitLast(ctx); err != nil {
		return nil, err
	}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	conn, err := d.persevere(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the node through %q: %w", d.Mailbox.Addr, err)
	}
	d.keepConn(conn)
	return conn, nil
}

// persevere tries until ctx ends, or until it is sure that trying is of no use.
func (d *Dialer) persevere(ctx context.Context) (*Conn, error) {
	paired := d.current().Remote != nil
	var trouble error // of the attempt before
	for {
		conn, err := d.attempt(ctx, paired)
		pause := retryFailed
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, errAbsent):
			paired, pause, err = !paired, retryAbsent, ErrNotFound
		case ctx.Err() != nil && trouble != nil:
			return nil, fmt.Errorf("%w: %w", trouble, ctx.Err())
		case ctx.Err() != nil || !errors.Is(err, errInterrupted):
			return nil, err
		}
		trouble = err
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", trouble, ctx.Err())
		}
	}
}

// Close ends the connection, a Dial that runs and the Dialer.
func (d *Dialer) Close() error {
	d.init()
	d.end()
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.last != nil {
		d.last.Close()
	}
	d.forget()
	return nil
}

func (d *Dialer) current() Identity {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.identity
}

func (d *Dialer) keepConn(conn *Conn) {
	d.last = conn
	d.mu.Lock()
	defer d.mu.Unlock()
	d.headers = AuthHeaders(conn.AuthData())
}

func (d *Dialer) callHeaders() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.headers
}

// keep makes an identity durable, and then what this Dialer goes by.
func (d *Dialer) keep(identity Identity) error {
	if d.Persist != nil {
		if err := d.Persist(identity); err != nil {
			return fmt.Errorf("keep the session's keys: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.identity = identity
	return nil
}

// awaitLast waits until the connection before has left the relay: there is one
// place for this side.
func (d *Dialer) awaitLast(ctx context.Context) error {
	if d.last == nil {
		return nil
	}
	select {
	case <-d.last.closed:
	case <-d.last.link.Done():
	case <-ctx.Done():
		return fmt.Errorf("another connection of this session is open: %w", ctx.Err())
	}
	d.met = d.met || d.last.heard.Load()
	d.last.Close()
	if errors.Is(d.last.link.Err(), gbn.ErrDead) {
		// The way to the relay may be what died.
		d.forget()
	}
	d.last = nil
	return nil
}

func (d *Dialer) prepare() error {
	if d.life.Err() != nil {
		return net.ErrClosed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.identity.Static == nil {
		if d.identity.Remote != nil {
			return errors.New("this side's key of the session is missing")
		}
		key, err := btcec.NewPrivateKey()
		if err != nil {
			return fmt.Errorf("draw a key: %w", err)
		}
		d.identity.Static = key
	}
	if d.identity.Remote == nil && d.Phrase.IsZero() {
		return errors.New("the pairing phrase is missing")
	}
	if d.transport == nil {
		transport, err := d.Mailbox.open()
		if err != nil {
			return err
		}
		d.transport = transport
	}
	return nil
}

// forget has the next Dial reach the relay anew.
func (d *Dialer) forget() {
	if d.transport != nil {
		d.transport.Close()
		d.transport = nil
	}
}

// attempt tries one of the two meeting places, that of the phrase or that of
// the keys. The error is errAbsent if nobody is there and the other remains.
func (d *Dialer) attempt(ctx context.Context, paired bool) (*Conn, error) {
	identity := d.current()
	if d.transport == nil {
		if err := d.prepare(); err != nil {
			return nil, err
		}
	}
	toClient, toServer := d.Phrase.StreamIDs()
	if paired {
		toClient, toServer = StaticStreamIDs(identity.Static, identity.Remote)
	}
	pipe := relay.NewPipe(d.transport, relay.Ends{Send: relay.ID(toServer), Recv: relay.ID(toClient)},
		relay.Options{OnEvent: d.status.event})
	conn, err := d.connect(ctx, pipe, identity, paired)
	if err != nil {
		trouble := pipe.Err()
		pipe.Close()
		if errors.Is(err, errAbsent) {
			return nil, err
		}
		d.forget()
		d.status.set(StatusDisconnected)
		if trouble != nil && ctx.Err() != nil {
			if !errors.Is(trouble, ErrNotFound) && !errors.Is(trouble, ErrOccupied) {
				trouble = fmt.Errorf("%w: %w", ErrUnreachable, trouble)
			}
			err = fmt.Errorf("%w: %w", trouble, err)
		}
		return nil, err
	}
	conn.afterward = func() {
		pipe.Close()
		d.status.set(StatusDisconnected)
	}
	return conn, nil
}

func (d *Dialer) connect(ctx context.Context, pipe *relay.Pipe, identity Identity, paired bool) (*Conn, error) {
	if !paired && d.password == nil {
		d.password = stretch(d.life, d.Phrase)
	}
	link, err := d.reach(ctx, pipe, identity)
	if err != nil {
		return nil, err
	}
	keys := noise.Keys{Static: identity.Static}
	if paired {
		keys.Remote = identity.Remote
	} else if keys.Password, err = d.password.await(ctx); err != nil {
		link.Close()
		return nil, err
	}
	conn, err := d.handshake(ctx, link, keys)
	if err != nil {
		link.Close()
		return nil, err
	}
	return conn, nil
}

// reach makes the connection below the handshake. It gives up with errAbsent if
// the relay has no box of the node and there is another place to try.
func (d *Dialer) reach(ctx context.Context, pipe *relay.Pipe, identity Identity) (*gbn.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if identity.Remote != nil && !identity.Confirmed && !d.met && !d.Phrase.IsZero() {
		go func() {
			select {
			case <-pipe.Missing():
				cancel(errAbsent)
			case <-ctx.Done():
			}
		}()
	}
	link, err := gbn.Dial(ctx, pipe, gbn.Options{})
	switch {
	case err == nil:
		return link, nil
	case errors.Is(context.Cause(ctx), errAbsent):
		return nil, errAbsent
	}
	return nil, fmt.Errorf("%w: %w", errInterrupted, err)
}

func (d *Dialer) handshake(ctx context.Context, link *gbn.Conn, keys noise.Keys) (*Conn, error) {
	h, err := noise.NewInitiator(keys)
	if err != nil {
		return nil, err
	}
	identity := d.current()
	err = secure(ctx, link, h, func(remote *btcec.PublicKey) error {
		if identity.Remote != nil && !identity.Remote.IsEqual(remote) {
			return ErrAnotherNode
		}
		identity.Remote = remote
		return d.keep(identity)
	})
	if err != nil {
		return nil, err
	}
	if keys.Remote != nil && !identity.Confirmed {
		identity.Confirmed = true
		if err := d.keep(identity); err != nil {
			return nil, err
		}
		d.password = nil
	}
	return newConn(link, h, keys.Static, true)
}
