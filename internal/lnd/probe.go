package lnd

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// probeTimeout bounds the look whether the chain backend listens.
const probeTimeout = 5 * time.Second

// rpcPorts are the default RPC ports of btcd and bitcoind.
var rpcPorts = map[string]map[string]string{
	"btcd": {"mainnet": "8334", "testnet": "18334", "testnet4": "48334", "regtest": "18334",
		"simnet": "18556", "signet": "38334"},
	"bitcoind": {"mainnet": "8332", "testnet": "18332", "testnet4": "48332", "regtest": "18443",
		"signet": "38332"},
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
	addr := c.backendAddr()
	if addr == "" {
		return nil
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fault.New("backend_unreachable", "start "+c.backend+", or use --backend neutrino",
			"chain backend %s: %w", c.backend, err)
	}
	return conn.Close()
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
			addrs = append(addrs, withPort(o.Value, "9735"))
		}
	}
	if len(addrs) == 0 {
		return []string{":9735"}
	}
	return addrs
}

// backendAddr is the RPC address of btcd or bitcoind; "" for neutrino, and
// for a backend behind a proxy, which only lnd can reach.
func (c *Config) backendAddr() string {
	ports, ok := rpcPorts[c.backend]
	if tor, set := find(c.options, "tor.active"); !ok || set && tor.Value != "false" {
		return ""
	}
	host := "localhost"
	if o, ok := find(c.options, c.backend+".rpchost"); ok {
		host = o.Value
	}
	return withPort(host, ports[c.network])
}

// withPort adds the port to an address that has none.
func withPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
}
