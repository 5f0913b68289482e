package mailbox

import (
	"net/netip"
	"sync"
)

// clients keeps an account of every client address that has anything here.
type clients struct {
	limits Limits

	mu          sync.Mutex
	known       map[netip.Prefix]*client
	connections int
	streams     int
}

// client is one network: an IPv4 address, or an IPv6 /64, which is what one
// customer gets.
type client struct {
	of     *clients
	prefix netip.Prefix
	bytes  *budget
	pace   *pace

	// Guarded by of.mu.
	uses, boxes, connections, streams int
}

// networkOf returns the network of a remote address, host:port; an address
// that is none (a unix socket) counts as one network.
func networkOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// get returns the account of an address; drop must be called when done.
func (c *clients) get(remote string) *client {
	prefix := networkOf(remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.known[prefix]
	if one == nil {
		one = &client{of: c, prefix: prefix, bytes: newBudget(c.limits.ClientBytes), pace: newPace(c.limits.ClientRate, burstSeconds*c.limits.ClientRate)}
		if c.known == nil {
			c.known = map[netip.Prefix]*client{}
		}
		c.known[prefix] = one
	}
	one.uses++
	return one
}

// count changes a number of a client's and one of all clients', which may be
// nil, unless either would exceed its limit.
func (c *client) count(own *int, most int, all *int, mostInAll int) bool {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if *own >= most || all != nil && *all >= mostInAll {
		return false
	}
	*own++
	c.uses++
	if all != nil {
		*all++
	}
	return true
}

func (c *client) uncount(own, all *int) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	*own--
	if all != nil {
		*all--
	}
	c.release()
}

// release is called with of.mu held. An account that nobody uses is forgotten:
// who comes back within seconds gets a full bucket, and pays for it with a new
// connection.
func (c *client) release() {
	if c.uses--; c.uses == 0 {
		delete(c.of.known, c.prefix)
	}
}

func (c *client) use() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.uses++
}

func (c *client) drop() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.release()
}

func (c *client) takeBox() bool { return c.count(&c.boxes, c.of.limits.ClientBoxes, nil, 0) }
func (c *client) giveBox()      { c.uncount(&c.boxes, nil) }

func (c *client) takeConnection() bool {
	return c.count(&c.connections, c.of.limits.ClientConnections, &c.of.connections, c.of.limits.Connections)
}
func (c *client) giveConnection() { c.uncount(&c.connections, &c.of.connections) }

func (c *client) takeStream() bool {
	return c.count(&c.streams, c.of.limits.ClientStreams, &c.of.streams, c.of.limits.Streams)
}
func (c *client) giveStream() { c.uncount(&c.streams, &c.of.streams) }
