package lnc

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/gbn"
	"github.com/leydenln/leyden/lnc/internal/noise"
)

// memoryLink is one end of a link that loses nothing.
type memoryLink struct {
	in, out chan []byte
	once    sync.Once
	closed  chan struct{}
	peer    *memoryLink

	// sent sees each message on its way out; what it returns is sent.
	sent func(msg []byte) []byte
}

func newLinks(room int) (a, b *memoryLink) {
	one, two := make(chan []byte, room), make(chan []byte, room)
	a = &memoryLink{in: one, out: two, closed: make(chan struct{})}
	b = &memoryLink{in: two, out: one, closed: make(chan struct{}), peer: a}
	a.peer = b
	return a, b
}

func (l *memoryLink) Send(ctx context.Context, msg []byte) error {
	msg = bytes.Clone(msg)
	if l.sent != nil {
		msg = l.sent(msg)
	}
	select {
	case <-l.closed:
		return net.ErrClosed
	default:
	}
	select {
	case l.out <- msg:
		return nil
	case <-l.closed:
		return net.ErrClosed
	case <-l.peer.closed:
		return gbn.ErrPeerClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *memoryLink) Recv(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-l.in:
		return msg, nil
	case <-l.peer.closed:
		select {
		case msg := <-l.in:
			return msg, nil
		default:
			return nil, gbn.ErrPeerClosed
		}
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *memoryLink) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryLink) Done() <-chan struct{} { return l.closed }

func (l *memoryLink) Err() error { return nil }

func newKey(t testing.TB) *btcec.PrivateKey {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// handshakes returns both sides of a handshake by a phrase, or by keys.
func handshakes(t testing.TB, kk bool, auth []byte) (client, server *noise.Handshake, clientKey, serverKey *btcec.PrivateKey) {
	t.Helper()
	clientKey, serverKey = newKey(t), newKey(t)
	clientKeys := noise.Keys{Static: clientKey, Password: [32]byte{1}}
	serverKeys := noise.Keys{Static: serverKey, Password: [32]byte{1}, AuthData: auth}
	if kk {
		clientKeys.Remote, serverKeys.Remote = serverKey.PubKey(), clientKey.PubKey()
	}
	client, err := noise.NewInitiator(clientKeys)
	if err != nil {
		t.Fatal(err)
	}
	if server, err = noise.NewResponder(serverKeys); err != nil {
		t.Fatal(err)
	}
	return client, server, clientKey, serverKey
}

// connect makes a connection of two links.
func connect(t testing.TB, a, b link, kk bool, auth []byte) (client, server *Conn) {
	t.Helper()
	clientSide, serverSide, clientKey, serverKey := handshakes(t, kk, auth)
	nothing := func(*btcec.PublicKey) error { return nil }
	done := make(chan error, 1)
	go func() { done <- secure(t.Context(), b, serverSide, nothing) }()
	if err := secure(t.Context(), a, clientSide, nothing); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	client, err := newConn(a, clientSide, clientKey, true)
	if err != nil {
		t.Fatal(err)
	}
	if server, err = newConn(b, serverSide, serverKey, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}
