package lnd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// Networks are the chains lnd knows, by lncli's names.
var Networks = []string{"mainnet", "testnet", "testnet4", "signet", "regtest", "simnet"}

// Backends are the chain backends. neutrino is a light client inside lnd; the
// others are full nodes reached over RPC.
var Backends = []string{"neutrino", "btcd", "bitcoind"}

// CommitInterval is our default of lnd's --channel-commit-interval. lnd's own
// 50 ms adds about 50 ms to every payment over an idle channel.
const CommitInterval = 5 * time.Millisecond

// mainnetFees is the fee source that lnd's documentation gives for neutrino,
// which has none of its own; lnd refuses to run on mainnet without one.
const mainnetFees = "https://nodes.lightning.computer/fees/v1/btc-fee-estimates.json"

// profiles are named sets of options, as in the seed documents.
var profiles = map[string][]Option{
	"default": nil,
	"debug":   {{Name: "debuglevel", Value: "debug"}},
	"wumbo":   {{Name: "protocol.wumbo-channels", Value: "true"}},
	"taproot": {{Name: "protocol.simple-taproot-chans", Value: "true"}},
}

// Settings say how lnd runs. Build checks them and makes a Config.
type Settings struct {
	// Network is one of Networks, Backend one of Backends. Empty means what
	// Args or Conf say, else mainnet and neutrino.
	Network, Backend string

	// Profiles are applied in order: default, debug, wumbo, taproot.
	Profiles []string

	// Listen are the addresses for Lightning peers, host:port; empty leaves
	// it to Conf, and then to lnd (port 9735 on all interfaces).
	Listen []string

	// Conf is lnd.conf, Args what was given on the command line: the later
	// wins, and both win over the profiles.
	Conf, Args []Option

	// Signer makes lnd a watch-only one, whose keys are there. Nil: lnd has its
	// own.
	Signer *RemoteSigner

	// NoChain makes lnd a signer: it only holds keys. Backend must be empty; what
	// Conf and Args say about chain and peers is left out.
	NoChain bool
}

// Config is what Build makes of Settings.
type Config struct {
	// Front are the options that concern the front's ports and not lnd.
	Front FrontOptions

	network, backend string
	options          []Option
	signer           *RemoteSigner
}

// Build checks the settings and merges them: our defaults, profiles, lnd.conf,
// command line. Codes: unknown_network, unknown_backend, unknown_profile,
// bad_option, refused_option, network_conflict.
func Build(s Settings) (*Config, error) {
	s = s.resolve()
	if err := oneOf("network", s.Network, Networks); err != nil {
		return nil, err
	}
	if err := oneOf("backend", s.Backend, Backends); err != nil && !s.NoChain {
		return nil, err
	}
	profile, err := resolveProfiles(s.Profiles)
	if err != nil {
		return nil, err
	}
	merged := merge(defaults(s), profile, s.Conf, s.Args, listenOptions(s.Listen))
	c := &Config{network: s.Network, backend: s.Backend, signer: s.Signer}
	if err := checkNetwork(merged, s.Network); err != nil {
		return nil, err
	}
	merged = merge(merged, []Option{{Name: "bitcoin.node", Value: s.Backend, Origin: "--backend"}})
	if s.NoChain {
		merged = withoutChain(merged)
	}
	if c.Front, c.options, err = splitFront(merged); err != nil {
		return nil, err
	}
	if err := refuse(c.options, s.NoChain); err != nil {
		return nil, err
	}
	if s.Signer != nil {
		c.options = append(c.options, s.Signer.options()...)
	}
	return c, nil
}

// Network is the chain's name.
func (c *Config) Network() string { return c.network }

// Backend is the chain backend's name.
func (c *Config) Backend() string { return c.backend }

func oneOf(what, value string, known []string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return fault.New("unknown_"+what, "use one of "+strings.Join(known, ", "),
		"unknown %s %q", what, value)
}

// resolveProfiles joins the profiles' options, later ones winning.
func resolveProfiles(names []string) ([]Option, error) {
	var layers [][]Option
	for _, name := range names {
		options, ok := profiles[name]
		if !ok {
			return nil, fault.New("unknown_profile", "use default, debug, wumbo or taproot",
				"unknown profile %q", name)
		}
		layers = append(layers, from("profile "+name, options))
	}
	return merge(layers...), nil
}

// from returns a copy of the options with that origin.
func from(origin string, options []Option) []Option {
	named := slices.Clone(options)
	for i := range named {
		named[i].Origin = origin
	}
	return named
}

// defaults is the lowest layer.
func defaults(s Settings) []Option {
	options := []Option{
		{Name: "bitcoin." + s.Network, Value: "true"},
		{Name: "channel-commit-interval", Value: CommitInterval.String()},
		{Name: "gc-canceled-invoices-on-startup", Value: "true"},
		{Name: "logging.console.disable", Value: "true"},
	}
	if s.Network == "mainnet" && s.Backend == "neutrino" {
		options = append(options, Option{Name: "fee.url", Value: mainnetFees})
	}
	if s.Signer != nil {
		options = append(options, Option{Name: "remotesigner.timeout", Value: signTimeout.String()})
	}
	return from("our default", options)
}

func listenOptions(addrs []string) []Option {
	var options []Option
	for _, addr := range addrs {
		options = append(options, Option{Name: "listen", Value: addr, Origin: "--listen"})
	}
	return options
}

// checkNetwork makes sure that no lnd.conf of another network is used: the
// wallet of one chain must never be opened on another.
func checkNetwork(options []Option, network string) error {
	for _, o := range options {
		if name, ok := chosenNetwork(o); ok && name != network {
			return fault.New("network_conflict", "remove one of the two",
				"%s says %s but the node is on %s", o.Origin, o.Name, network)
		}
	}
	return nil
}

// chosenNetwork says which network an option such as bitcoin.regtest=1 turns on.
func chosenNetwork(o Option) (network string, ok bool) {
	name, ok := strings.CutPrefix(o.Name, "bitcoin.")
	if !ok || !slices.Contains(Networks, name) {
		return "", false
	}
	on, valid := parseSwitch(o.Value)
	return name, on || !valid
}

// resolve fills in what was left empty.
func (s Settings) resolve() Settings {
	given := merge(s.Conf, s.Args)
	if s.Network == "" {
		s.Network = "mainnet"
		for _, o := range given {
			if name, ok := chosenNetwork(o); ok {
				s.Network = name
			}
		}
	}
	if s.NoChain {
		s.Backend = noChain
	}
	if s.Backend == "" {
		s.Backend = "neutrino"
		if node, ok := find(given, "bitcoin.node"); ok {
			s.Backend = node.Value
		}
	}
	return s
}

// explain rewrites a complaint of the child about its configuration file, of
// the form "FILE:LINE: MESSAGE", to name where the line came from.
func (c *Config) explain(message string) string {
	_, rest, ok := strings.Cut(message, childConf+":")
	if !ok {
		return message
	}
	var line int
	if _, err := fmt.Sscanf(rest, "%d:", &line); err != nil || line < 1 || line > len(c.options) {
		return message
	}
	_, what, _ := strings.Cut(rest, ": ")
	return c.options[line-1].Origin + ": " + what
}
