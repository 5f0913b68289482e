package mailbox

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// listener admits connections within the limits, and hands out those that have
// done their TLS handshake. That is done in goroutines that end with it: the
// stack it needs would stay with the connection's otherwise.
type listener struct {
	net.Listener
	relay  *Relay
	config *tls.Config

	ready  chan net.Conn
	failed chan error // why nothing more comes; one value, then closed
	ctx    context.Context
	cancel context.CancelFunc
}

func newListener(relay *Relay, l net.Listener, config *tls.Config) *listener {
	a := &listener{
		Listener: l, relay: relay, config: config, ready: make(chan net.Conn), failed: make(chan error, 1),
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	go a.admit()
	return a
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case err := <-l.failed:
		l.failed <- err
		return nil, err
	}
}

// Close closes the port.
func (l *listener) Close() error {
	l.cancel()
	return l.Listener.Close()
}

func (l *listener) admit() {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if l.ctx.Err() == nil && isTemporary(err) {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			l.failed <- err
			return
		}
		from := l.relay.clients.get(conn.RemoteAddr().String())
		if !from.takeConnection() {
			from.drop()
			l.relay.metrics.refused.WithLabelValues("connections").Inc()
			conn.Close()
			continue
		}
		go l.handshake(tls.Server(&countedConn{Conn: conn, from: from}, l.config))
	}
}

// isTemporary says whether a listener that failed may be asked again: too many
// files are open, or a client has gone already.
func isTemporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

func (l *listener) handshake(conn *tls.Conn) {
	ctx, cancel := context.WithTimeout(l.ctx, l.relay.helloWithin)
	defer cancel()
	if conn.HandshakeContext(ctx) != nil {
		conn.Close()
		return
	}
	select {
	case l.ready <- conn:
	case <-l.ctx.Done():
		conn.Close()
	}
}

// countedConn counts until it is closed.
type countedConn struct {
	net.Conn
	from *client
	once sync.Once
}

// Close closes the connection.
func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.from.giveConnection()
		c.from.drop()
	})
	return c.Conn.Close()
}
