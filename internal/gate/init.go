package gate

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// InitOptions say what configuration to write. Zero values mean the default.
type InitOptions struct {
	// Insecure serves plain HTTP, on the loopback alone. Default: TLS on all
	// addresses.
	Insecure bool

	// Port to listen on. Default 8081.
	Port int

	// Network of the node. Default: the one it has macaroons for.
	Network string

	// Backend is the service's address. Default 127.0.0.1:8080.
	Backend string

	// Price of a token in sat. Default 100.
	Price int64

	// LndHost is the node's gRPC address. Default localhost:10009.
	LndHost string

	// LndDir is the node's folder, as lncli expects it. Needed.
	LndDir string

	// Force overwrites a configuration that is there.
	Force bool
}

// Init writes gate.yaml into the gate's folder, connected to the node, and
// returns its path. Codes: config_exists, bad_config, no_network.
func Init(dir string, o InitOptions) (string, error) {
	path := filepath.Join(dir, "gate.yaml")
	if _, err := os.Lstat(path); err == nil && !o.Force {
		return "", fault.New("config_exists", "to replace it: leyden gate init --force", "%s is there already", path)
	}
	if err := o.complete(); err != nil {
		return "", err
	}
	text := o.render()
	if _, err := Parse(path, []byte(text), dir); err != nil {
		return "", err
	}
	if err := files.MkdirPrivate(dir); err != nil {
		return "", err
	}
	return path, files.Write(path, []byte(text), 0o600)
}

func (o *InitOptions) complete() error {
	if o.Port == 0 {
		o.Port = 8081
	}
	if o.Backend == "" {
		o.Backend = "127.0.0.1:8080"
	}
	if o.Price == 0 {
		o.Price = 100
	}
	if o.LndHost == "" {
		o.LndHost = "localhost:10009"
	}
	for flag, address := range map[string]string{"--backend": o.Backend, "--lndhost": o.LndHost} {
		if err := checkHostPort(address, false); err != nil {
			return fault.New(CodeBadConfig, "host and port alone, without http:// and path", "%s %q: %v", flag, address, err)
		}
	}
	if o.Network == "" {
		found, err := networkOf(o.LndDir)
		if err != nil {
			return err
		}
		o.Network = found
	}
	if _, ok := invoicePrefixes[network(o.Network)]; !ok {
		return fault.New(CodeBadConfig, "--network mainnet, testnet, signet, regtest or simnet",
			"unknown network %q", o.Network)
	}
	return nil
}

// networkOf finds the one network that the node has an invoice macaroon for.
func networkOf(lndDir string) (string, error) {
	pattern := filepath.Join(lndDir, "data", "chain", "bitcoin", "*", invoiceMacaroon)
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	switch len(found) {
	case 1:
		return filepath.Base(filepath.Dir(found[0])), nil
	case 0:
		return "", fault.New("no_network", "leyden node create --mode standalone, or pass --network",
			"there is no node in %q yet: no %s", lndDir, invoiceMacaroon)
	}
	var names []string
	for _, f := range found {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	return "", fault.New("no_network", "pass --network", "the node in %q has several networks: %s",
		lndDir, strings.Join(names, ", "))
}

func (o *InitOptions) render() string {
	host := ""
	if o.Insecure {
		host = "localhost"
	}
	return fmt.Sprintf(`# The gate: charges for an HTTP service. Every key: docs/gate.md. After a change:
# leyden gate reload.

# Where buyers connect. insecure: plain HTTP, for development.
listenaddr: %q
insecure: %t

# The node that is paid. macdir holds its invoice.macaroon, which can make
# invoices and addresses, and spend nothing.
authenticator:
  network: %q
  lndhost: %q
  tlspath: %q
  macdir: %q

# What is sold. The first service that matches a request counts.
services:
  - name: "api"
    hostregexp: '.*'
    pathregexp: '^/.*$'
    address: %q
    protocol: http
    price: %d # sat for a token
    authwhitelistpaths:
      - '^/health$'
`, net.JoinHostPort(host, strconv.Itoa(o.Port)), o.Insecure, o.Network, o.LndHost,
		filepath.Join(o.LndDir, "tls.cert"),
		filepath.Join(o.LndDir, "data", "chain", "bitcoin", o.Network), o.Backend, o.Price)
}
