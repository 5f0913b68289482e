package lnd

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// probeTimeout bounds the look whether the chain backend listens.
const probeTimeout = 5 * time.Second

// rpcPorts are the RPC ports that lnd tries by default, the first that answers
// being taken.
var rpcPorts = map[string]map[string][]string{
	"btcd": {"mainnet": {"8334"}, "testnet": {"18334"}, "testnet4": {"48334"}, "regtest": {"18334"},
		"simnet": {"18556"}, "signet": {"38332"}},
	"bitcoind": {"mainnet": {"8332"}, "testnet": {"18332"}, "testnet4": {"48332"},
		"regtest": {"18332", "18443"}, "signet": {"38330", "38332"}},
}

// probe finds what lnd would find late, and say less clearly: a peer port that
// is taken (port_in_use) and a chain backend that is not there
// (backend_unreachable).
func (c *Config) probe(ctx context.Context) error {
	for _, addr := range c.PeerAddrs() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return PortError("peer port", addr, "--listen", err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	var refusal error
	dialer := net.Dialer{Timeout: probeTimeout}
	for _, addr := range c.backendAddrs() {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		refusal = fault.New("backend_unreachable", "start "+c.backend+", or use --backend neutrino",
			"chain backend %s: %w", c.backend, err)
	}
	return refusal
}

// PortError is the fault of a listener that could not be opened: port_in_use
// or bad_address. flag is how to choose another.
func PortError(what, addr, flag string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.New("port_in_use", "choose another with "+flag+" HOST:PORT",
			"%s %q is taken by another program", what, addr)
	}
	return fault.New("bad_address", "choose another with "+flag+" HOST:PORT", "%s %q: %w", what, addr, err)
}

// PeerAddrs are the addresses on which lnd will listen for peers.
func (c *Config) PeerAddrs() []string {
	if off, ok := find(c.options, "nolisten"); ok {
		if on, valid := parseSwitch(off.Value); on && valid {
			return nil
		}
	}
	var addrs []string
	for _, o := range c.options {
		if o.Name == "listen" {
			addrs = append(addrs, WithPort(o.Value, "9735"))
		}
	}
	if len(addrs) == 0 {
		return []string{":9735"}
	}
	return addrs
}

// backendAddrs are the RPC addresses to try of btcd or bitcoind; none for
// neutrino, and for a backend behind a proxy, which only lnd can reach.
func (c *Config) backendAddrs() []string {
	if tor, set := find(c.options, "tor.active"); set {
		if on, valid := parseSwitch(tor.Value); on || !valid {
			return nil
		}
	}
	host := "localhost"
	if o, ok := find(c.options, c.backend+".rpchost"); ok {
		host = o.Value
	}
	var addrs []string
	for _, port := range rpcPorts[c.backend][c.network] {
		addrs = append(addrs, WithPort(host, port))
	}
	return addrs
}

// WithPort completes an address as lnd does: a bare number is a port of
// localhost, and a host without port gets the given one.
func WithPort(addr, port string) string {
	if host, own, err := net.SplitHostPort(addr); err == nil {
		if host == "" && own == "" {
			return ":" + port
		}
		return addr
	}
	if _, err := strconv.Atoi(addr); err == nil {
		return net.JoinHostPort("localhost", addr)
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
}
