package child

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/pires/go-proxyproto"
)

// preambleTimeout bounds the wait for the first byte of a connection.
const preambleTimeout = 10 * time.Second

// local is the address of a caller that came without a PROXY preamble.
var local = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}

// listen serves on a unix socket (mode 0600; its folder must be private). Each
// connection may begin with a PROXY protocol preamble (version 1 or 2,
// haproxy.org proxy-protocol.txt) and then reports the address in it, which is
// what lnd's ipaddr and iprange caveats see; without one it counts as local.
// The preamble is trusted because only our parent can reach the socket.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// A successor may already listen under this name when we close.
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &listener{proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: preambleTimeout,
		ValidateHeader:    requireTCP,
	}}, nil
}

// requireTCP refuses preambles that name no address a caveat could judge.
func requireTCP(h *proxyproto.Header) error {
	if h.Command.IsLocal() {
		return nil
	}
	if addr, ok := h.SourceAddr.(*net.TCPAddr); !ok || addr.IP == nil {
		return fmt.Errorf("PROXY preamble without a TCP address")
	}
	return nil
}

type listener struct {
	proxyproto.Listener
}

// Accept is part of net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type conn struct {
	net.Conn
}

// RemoteAddr returns the preamble's address, or loopback. It waits for the
// first byte of the connection.
func (c conn) RemoteAddr() net.Addr {
	if addr, ok := c.Conn.RemoteAddr().(*net.TCPAddr); ok {
		return addr
	}
	return local
}
