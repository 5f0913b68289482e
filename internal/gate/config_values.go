package gate

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/l402"
)

// maxPrice is the largest price in sat: all bitcoin there will be.
const maxPrice = 21_000_000 * 100_000_000

// bad is an error of one value, with its place, that the decoder gathers with
// those of other values. places.name puts the key for the column.
func bad(n *yaml.Node, format string, args ...any) error {
	place := fmt.Sprintf("line %d, column %d: ", n.Line, n.Column)
	return &yaml.TypeError{Errors: []string{place + fmt.Sprintf(format, args...)}}
}

// scalar returns a value's text.
func scalar(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", bad(n, "want one value, not a list or a mapping")
	}
	if n.Tag == "!!null" {
		return "", nil
	}
	return n.Value, nil
}

// choice returns a value that must be one of the words, or empty.
func choice(n *yaml.Node, words ...string) (string, error) {
	text, err := scalar(n)
	if err != nil || text == "" {
		return "", err
	}
	for _, w := range words {
		if strings.EqualFold(text, w) {
			return w, nil
		}
	}
	return "", bad(n, "%q: want one of %s", text, strings.Join(words, ", "))
}

// pattern is a regular expression. The zero value matches everything.
type pattern struct{ re *regexp.Regexp }

func (p *pattern) UnmarshalYAML(n *yaml.Node) error {
	text, err := scalar(n)
	if err != nil || text == "" {
		return err
	}
	if p.re, err = regexp.Compile(text); err != nil {
		return bad(n, "bad expression %q: %v", text, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return nil
}

func (p pattern) match(s string) bool { return p.re == nil || p.re.MatchString(s) }

// matchEither matches a path as it stands or without its parameters, which is
// the same for most.
func (p pattern) matchEither(path, plain string) bool {
	return p.match(path) || plain != path && p.match(plain)
}

// String is the expression, empty for the one that matches everything.
func (p pattern) String() string {
	if p.re == nil {
		return ""
	}
	return p.re.String()
}

// serviceName is a name that a token's caveats can carry.
type serviceName string

func (s *serviceName) UnmarshalYAML(n *yaml.Node) error {
	text, err := scalar(n)
	if err != nil || text == "" {
		return err
	}
	if _, err := l402.ServicesCaveat(l402.Service{Name: text}); err != nil {
		return bad(n, "%q: %v", text, err)
	}
	*s = serviceName(text)
	return nil
}

// price is an amount in sat.
type price int64

func (p *price) UnmarshalYAML(n *yaml.Node) error {
	v, err := integer(n, maxPrice)
	*p = price(v)
	return err
}

func (p price) msat() lnwire.MilliSatoshi { return lnwire.MilliSatoshi(p) * 1000 }

// seconds is a whole number of them.
type seconds int64

func (s *seconds) UnmarshalYAML(n *yaml.Node) error {
	v, err := integer(n, math.MaxInt64/int64(time.Second))
	*s = seconds(v)
	return err
}

func (s seconds) duration() time.Duration { return time.Duration(s) * time.Second }

// duration is a length of time with its unit, such as "90s". Not negative.
type duration time.Duration

func (d *duration) UnmarshalYAML(n *yaml.Node) error {
	text, err := scalar(n)
	if err != nil || text == "" {
		return err
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return bad(n, "%q: want a time with its unit, such as 90s or 5m", text)
	}
	*d = duration(v)
	return nil
}

// positive is a whole number, 0 for the default.
type positive int

func (p *positive) UnmarshalYAML(n *yaml.Node) error {
	v, err := integer(n, 1_000_000)
	*p = positive(v)
	return err
}

// byteCount is a number of bytes, with KiB, MiB or GiB if one likes.
type byteCount int64

func (b *byteCount) UnmarshalYAML(n *yaml.Node) error {
	text, err := scalar(n)
	if err != nil || text == "" {
		return err
	}
	number, unit := text, int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if cut, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = strings.TrimSpace(cut), size
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < 0 || v > math.MaxInt64/unit {
		return bad(n, "%q: want a number of bytes, such as 4096 or 32KiB", text)
	}
	*b = byteCount(v * unit)
	return nil
}

// prefixes are networks.
type prefixes []netip.Prefix

func (p *prefixes) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return bad(n, "want a list of addresses and networks")
	}
	for _, item := range n.Content {
		text, err := scalar(item)
		if err != nil {
			return err
		}
		prefix, err := parsePrefix(text)
		if err != nil {
			return bad(item, "%q: want an address, or a network such as 192.0.2.0/24", text)
		}
		*p = append(*p, prefix)
	}
	return nil
}

// parsePrefix reads an address, which is a network of one, or a network. An
// IPv4 address mapped into IPv6 is the IPv4 address.
func parsePrefix(text string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil && !prefix.Addr().Is4In6() {
		return prefix.Masked(), nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, errors.New("no address")
	}
	addr = addr.Unmap()
	return addr.Prefix(addr.BitLen())
}

func integer(n *yaml.Node, most int64) (int64, error) {
	text, err := scalar(n)
	if err != nil || text == "" {
		return 0, err
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || v > most {
		return 0, bad(n, "%q: want a whole number from 0 to %d", text, most)
	}
	return v, nil
}

// protocol is how a backend is spoken to.
type protocol string

func (p *protocol) UnmarshalYAML(n *yaml.Node) error {
	text, err := choice(n, "http", "https")
	*p = protocol(text)
	return err
}

// authLevel says whether a service costs anything, and how many requests of a
// client are free.
type authLevel struct {
	off  bool
	free int
}

// maxFree is the most free requests.
const maxFree = 1_000_000

func (a *authLevel) UnmarshalYAML(n *yaml.Node) error {
	if count, ok := strings.CutPrefix(strings.ToLower(n.Value), "freebie "); ok {
		free, err := strconv.ParseUint(strings.TrimSpace(count), 10, 64)
		if err != nil || free == 0 || free > maxFree {
			return bad(n, "%q: want freebie and a number from 1 to %d", n.Value, maxFree)
		}
		a.free = int(free)
		return nil
	}
	text, err := choice(n, "on", "off", "true", "false", "freebie N")
	if text == "freebie N" {
		return bad(n, "%q: want freebie and a number from 1 to %d", n.Value, maxFree)
	}
	a.off = text == "off" || text == "false"
	return err
}

// authScheme says by which schemes a service is sold. Empty is the default.
type authScheme string

const (
	schemeL402    authScheme = "l402"
	schemePayment authScheme = "mpp"
	schemeBoth    authScheme = "l402+mpp"
)

func (a *authScheme) UnmarshalYAML(n *yaml.Node) error {
	text, err := choice(n, string(schemeL402), string(schemePayment), string(schemeBoth))
	*a = authScheme(text)
	return err
}

// names are those of the schemes, as in headers but in lower case.
func (a authScheme) names() []string {
	names := []string{}
	if a.l402() {
		names = append(names, "l402")
	}
	if a.payment() {
		names = append(names, "payment")
	}
	return names
}

// l402 reports whether L402 credentials are sold.
func (a authScheme) l402() bool { return a != schemePayment }

// payment reports whether Payment credentials are sold.
func (a authScheme) payment() bool { return a == schemePayment || a == schemeBoth }

// network is a Bitcoin network.
type network string

// invoicePrefixes are what comes after "ln" in the networks' invoices (BOLT
// 11), by the names that lnd uses.
var invoicePrefixes = map[network]string{
	"mainnet": "bc", "testnet": "tb", "testnet4": "tb", "signet": "tbs", "regtest": "bcrt", "simnet": "sb",
}

// payment is the network's name in challenges of the Payment scheme.
func (w network) payment() string {
	if w == "testnet4" {
		return "testnet"
	}
	return string(w)
}

func (w *network) UnmarshalYAML(n *yaml.Node) error {
	text, err := choice(n, "mainnet", "testnet", "testnet4", "signet", "regtest", "simnet")
	*w = network(text)
	return err
}

// owns reports whether the invoice is for the network: its prefix is followed
// by an amount, or by the separator.
func (w network) owns(bolt11 string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(bolt11), "ln"+invoicePrefixes[w])
	return ok && rest != "" && '0' <= rest[0] && rest[0] <= '9'
}

// onlyValue is a key of aperture's of which we have one value.
type onlyValue struct{}

func (*onlyValue) UnmarshalYAML(n *yaml.Node) error {
	text, err := scalar(n)
	if err == nil && text != "" && text != "sqlite" {
		return bad(n, "%q is not available: the gate keeps its records in sqlite", text)
	}
	return err
}

// logLevel is one of aperture's levels.
type logLevel struct {
	level slog.Level
	set   bool
}

// levelOff is above every level.
const levelOff = slog.Level(math.MaxInt32)

func (l *logLevel) UnmarshalYAML(n *yaml.Node) error {
	text, err := choice(n, "trace", "debug", "info", "warn", "error", "critical", "off")
	l.set = text != ""
	l.level = map[string]slog.Level{"trace": slog.LevelDebug - 4, "debug": slog.LevelDebug,
		"info": slog.LevelInfo, "": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		"critical": slog.LevelError + 4, "off": levelOff}[text]
	return err
}
