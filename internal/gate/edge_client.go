package gate

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientOf returns the address of the client: the peer's, or, behind a proxy
// that is trusted, the right-most address of X-Forwarded-For that is no such
// proxy's. claimed: the address is from the header. What stands to the left of
// that the client may have written itself, and is not read; nor is what stands
// to the left of a value that is no address: then the client is the last hop
// that is known. The zero Addr stands for a peer that is not known.
func clientOf(r *http.Request, trusted []netip.Prefix) (client netip.Addr, claimed bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	client = plainAddr(peer.Addr())
	if len(trusted) == 0 {
		return client, false
	}
	lines := r.Header["X-Forwarded-For"]
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			if !within(trusted, client) {
				return client, claimed
			}
			var hop string
			hop, line, more = cutLast(line)
			addr, ok := parseHop(hop)
			if !ok {
				return client, claimed
			}
			client, claimed = addr, true
		}
	}
	return client, claimed
}

// cutLast cuts the last element of a list with commas off.
func cutLast(list string) (last, rest string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return list, "", false
	}
	return list[i+1:], list[:i], true
}

// parseHop reads an element of X-Forwarded-For: an address, which proxies also
// write with a port or, IPv6, in brackets.
func parseHop(hop string) (netip.Addr, bool) {
	hop = strings.Trim(hop, " \t")
	if addr, err := netip.ParseAddr(hop); err == nil {
		return plainAddr(addr), true
	}
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return plainAddr(withPort.Addr()), true
	}
	inner, opened := strings.CutPrefix(hop, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	addr, err := netip.ParseAddr(inner)
	if !opened || !closed || err != nil || !addr.Is6() {
		return netip.Addr{}, false
	}
	return plainAddr(addr), true
}

// plainAddr gives an address its one spelling.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// clientID is what a client is counted by: 16 bytes of an address or a token's
// id.
type clientID [16]byte

// household is what one client of the network has to itself: an IPv4 address,
// the first 64 bits of an IPv6 one. RemoteAddr is the client's, by the edge.
func household(r *http.Request) clientID {
	addr := addrOf(r)
	if addr.Is6() {
		return masked(addr, 64)
	}
	return masked(addr, 32)
}

// neighbourhood is the network of a household: /24 and /48.
func neighbourhood(r *http.Request) clientID {
	addr := addrOf(r)
	if addr.Is6() {
		return masked(addr, 48)
	}
	return masked(addr, 24)
}

func addrOf(r *http.Request) netip.Addr {
	if v := visitOf(r.Context()); v != nil {
		return v.client
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return plainAddr(peer.Addr())
}

func masked(addr netip.Addr, bits int) clientID {
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return clientID{} // not known: all of those together
	}
	return prefix.Addr().As16()
}
