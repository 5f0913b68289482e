package fetch

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

// networksInOrder is how a node with several networks is read.
var networksInOrder = []string{"mainnet", "testnet", "signet", "regtest", "simnet"}

// Found is a node on this machine, with the least powerful macaroon that can
// pay from it.
type Found struct {
	LND LNDConfig
	// Account says that the macaroon is bound to an account, Admin that it can
	// do more than pay.
	Account, Admin bool
}

// Search narrows what Detect looks for. The zero value is any node.
type Search struct {
	// Dir is the node's folder; "" is a Leyden node (LEYDEN_HOME, ~/.leyden),
	// with Macaroon its guard before an lnd, or else an lnd (~/.lnd).
	Dir string
	// Network is the node's, if it has several.
	Network string
	// Macaroon is a file to pay with, whatever else the node's folder has.
	Macaroon string
}

// Detect looks for a node. Errors: node_not_found, no_paying_macaroon,
// bad_macaroon.
func Detect(s Search) (Found, error) {
	var given *candidate
	if s.Macaroon != "" {
		var err error
		if given, err = readCandidate(s.Macaroon); err != nil {
			return Found{}, err
		}
	}
	places, err := nodePlaces(s.Dir)
	if err != nil {
		return Found{}, err
	}
	var first error
	for _, p := range places {
		found, err := p.detect(s.Network, given)
		if err == nil {
			return found, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && first == nil {
			first = err
		}
	}
	if first != nil {
		return Found{}, first
	}
	return Found{}, fault.New("node_not_found", "leyden node create && leyden node start, or pass --lnddir DIR",
		"no Lightning node with macaroons found in %s", joinPlaces(places))
}

// place is where a node may be. run is the file in which a running Leyden node,
// or guard, says where it listens, or "".
type place struct {
	dir, run string
	guard    bool
}

func nodePlaces(lnddir string) ([]place, error) {
	home, err := config.ResolveHome("")
	if err != nil {
		return nil, err
	}
	leyden := place{dir: home.Node(), run: filepath.Join(home.Run(), "node.json")}
	guard := place{dir: home.Guard(), run: filepath.Join(home.Run(), "guard.json"), guard: true}
	if lnddir != "" {
		abs, err := filepath.Abs(lnddir)
		if err != nil {
			return nil, fault.New("node_not_found", "pass --lnddir DIR", "folder %q: %w", lnddir, err)
		}
		if abs == leyden.dir {
			return []place{leyden}, nil
		}
		return []place{{dir: abs, run: filepath.Join(filepath.Dir(abs), "run", "node.json")}}, nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return nil, fault.New("no_home", "set HOME", "find the home folder: %w", err)
	}
	return []place{leyden, guard, {dir: filepath.Join(user, ".lnd")}}, nil
}

func joinPlaces(places []place) string {
	var dirs []string
	for _, p := range places {
		if p.guard {
			continue // beside a node's
		}
		dirs = append(dirs, p.dir)
	}
	return strings.Join(dirs, " or ")
}

// detect returns fs.ErrNotExist when there is no node at all. Without a given
// macaroon it takes one of the node's.
func (p place) detect(network string, given *candidate) (Found, error) {
	running := p.running()
	if p.guard {
		return running.guarded(network, given)
	}
	if network == "" {
		network = running.Network
	}
	var first error = fs.ErrNotExist
	for _, n := range networksInOrder {
		if network != "" && n != network {
			continue
		}
		dir := filepath.Join(p.dir, "data", "chain", "bitcoin", n)
		mac, err := given, error(nil)
		if given == nil {
			mac, err = leastPowerful(dir)
		} else {
			_, err = os.Stat(dir)
		}
		if err == nil {
			return mac.at(LNDConfig{Host: p.host(running), TLSCert: filepath.Join(p.dir, "tls.cert"), Network: n}), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			first = err
		}
	}
	return Found{}, first
}

// runningNode is what a running Leyden node or guard writes down.
type runningNode struct {
	Network string   `json:"network"`
	RPC     []string `json:"rpc"`
	TLSCert string   `json:"tls_cert"` // a guard's
}

// guarded is the guard before an lnd, for a macaroon that is given: there are
// none in its folder, and an account's is worth nothing at lnd's own port.
func (r runningNode) guarded(network string, given *candidate) (Found, error) {
	if given == nil || len(r.RPC) == 0 || network != "" && network != r.Network {
		return Found{}, fs.ErrNotExist
	}
	return given.at(LNDConfig{Host: dialable(r.RPC[0]), TLSCert: r.TLSCert, Network: r.Network}), nil
}

func (p place) running() runningNode {
	var r runningNode
	if data, err := os.ReadFile(p.run); err == nil {
		_ = json.Unmarshal(data, &r) // without it the defaults are tried
	}
	return r
}

// host is where the node listens: what it wrote down, what lnd.conf says, or
// the default.
func (p place) host(r runningNode) string {
	if len(r.RPC) > 0 {
		return dialable(r.RPC[0])
	}
	data, _ := os.ReadFile(filepath.Join(p.dir, "lnd.conf"))
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(key) == "rpclisten" {
			return dialable(strings.TrimSpace(value))
		}
	}
	return Default().LN.LND.Host
}

// dialable turns a listening address into one to connect to.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		host, port = listen, "10009"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// candidate is a macaroon's file and what it may do.
type candidate struct {
	path string
	power
}

// at is the macaroon together with the node it is for.
func (c *candidate) at(node LNDConfig) Found {
	node.Macaroon = c.path
	return Found{LND: node, Account: c.account, Admin: c.rank >= weight(op{"any", "write"}) && !c.account}
}

// readCandidate reads the macaroon that the user names, which must pay.
func readCandidate(path string) (*candidate, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.New("bad_macaroon", "pass --macaroon FILE", "macaroon %q: %w", path, err)
	}
	raw, err := os.ReadFile(abs)
	if err != nil {
		return nil, fault.New("bad_macaroon", "check the path to the macaroon file", "read the macaroon: %w", err)
	}
	p, err := readPower(raw)
	if err != nil {
		return nil, fault.New("bad_macaroon", "copy the macaroon file again", "%q: %w", abs, err)
	}
	if !p.pays {
		return nil, fault.New("no_paying_macaroon", "leyden accounts create BALANCE --save_to FILE",
			"the macaroon %q cannot pay", abs)
	}
	return &candidate{abs, p}, nil
}

// leastPowerful returns the macaroon of the folder that can pay and do least
// besides: bound to an account before all others; able to look payments up,
// which recovery needs, before those that are not.
func leastPowerful(dir string) (*candidate, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.macaroon"))
	if err != nil || len(paths) == 0 {
		return nil, fs.ErrNotExist
	}
	var found []candidate
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if p, err := readPower(raw); err == nil && p.pays {
			found = append(found, candidate{path, p})
		}
	}
	if len(found) == 0 {
		return nil, fault.New("no_paying_macaroon",
			"copy a macaroon that may pay there, or bake one: lncli bakemacaroon uri:/routerrpc.Router/SendPaymentV2 uri:/routerrpc.Router/TrackPaymentV2",
			"no readable macaroon in %q can pay", dir)
	}
	best := slices.MinFunc(found, func(a, b candidate) int {
		return cmp.Or(first(b.account, a.account), first(b.tracks, a.tracks), cmp.Compare(a.rank, b.rank),
			strings.Compare(a.path, b.path))
	})
	return &best, nil
}

// first orders true before false: first(b, a) is negative when only a holds.
func first(b, a bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
