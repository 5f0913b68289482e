// Package port reserves TCP ports on the loopback interface for programs that
// can only be told a number. A reserved port is not handed out by the kernel
// to anybody who asks for any free port, for about a minute; a program that
// binds it by number, as ours will, can. Somebody else who binds exactly that
// number can still take it.
package port

import (
	"fmt"
	"net"
)

// Reserve returns the address ("127.0.0.1:N") of a free port, reserved.
func Reserve() (string, error) { return reserve("127.0.0.1:0") }

// Keep reserves the given address again if it is free, else another one.
func Keep(addr string) (string, error) {
	if addr != "" {
		if got, err := reserve(addr); err == nil {
			return got, nil
		}
	}
	return Reserve()
}

// reserve binds the address and leaves a closed connection on it: while that
// is in TIME_WAIT (RFC 9293, 3.6.1) the kernel avoids the port when it
// chooses one, but lets a listener with SO_REUSEADDR, which Go sets, have it.
// The side that closes first is the one that waits: ours.
func reserve(addr string) (string, error) {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return "", fmt.Errorf("reserve a port: %w", err)
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return "", fmt.Errorf("reserve %s: %w", l.Addr(), err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return "", fmt.Errorf("reserve %s: %w", l.Addr(), err)
	}
	if err := server.Close(); err != nil {
		return "", fmt.Errorf("reserve %s: %w", l.Addr(), err)
	}
	// The client sees our end first, so that its own close comes second.
	if n, err := client.Read(make([]byte, 1)); n != 0 || err == nil {
		return "", fmt.Errorf("reserve %s: a stranger answered", l.Addr())
	}
	return l.Addr().String(), nil
}
