package front

import (
	"net"
	"net/netip"
	"sync"

	"google.golang.org/grpc"
)

// window is how many bytes of a call's messages are taken before somebody reads
// them; gRPC makes room for a longer one while that is read. Its own window grows to
// 16 MB with a fast client, and is measured by a ping with each message.
const window = 64 << 10

func (l Limits) options() []grpc.ServerOption {
	most := l.Message
	if most == 0 {
		most = maxRequest
	}
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(most), grpc.StaticStreamWindowSize(window)}
	if l.Streams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(l.Streams))
	}
	return options
}

// listener bounds the connections of one address, if they are.
func (l Limits) listener(inner net.Listener) net.Listener {
	if l.Conns == 0 {
		return inner
	}
	return &limitedListener{Listener: inner, most: l.Conns, open: make(map[netip.Prefix]int)}
}

// limitedListener closes connections of an address that has enough.
type limitedListener struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// Accept is part of net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := network(clientAddr(c.RemoteAddr()))
		if l.enter(from) {
			return &countedConn{c, sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		_ = c.Close() // refused
	}
}

func (l *limitedListener) enter(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++
	return true
}

func (l *limitedListener) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// network is what somebody who has the address can choose addresses from.
func network(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // fails only for more bits than there are
	return prefix
}

type countedConn struct {
	net.Conn
	leave func()
}

// Close is part of net.Conn.
func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
