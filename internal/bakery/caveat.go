package bakery

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// The names of the caveats that lnd itself judges (macaroon-bakery checkers; lnd
// macaroons/constraints.go).
const (
	timeBefore = "time-before"
	ipAddr     = "ipaddr"
	ipRange    = "iprange"
	lndCustom  = "lnd-custom"
)

// Bounds tighten a macaroon. The zero value leaves it as it is.
type Bounds struct {
	// Expires is when it ends; zero: never.
	Expires time.Time

	// IP is the one address that it works from; zero: any.
	IP netip.Addr

	// IPRange is the network that it works from; zero: any.
	IPRange netip.Prefix
}

// Caveats returns the bounds as lnd reads them. Bounds that leave nothing are
// bad_bounds.
func (b Bounds) Caveats(now time.Time) ([]string, error) {
	var caveats []string
	if !b.Expires.IsZero() {
		if !b.Expires.After(now) {
			return nil, fault.New("bad_bounds", "give a time to come", "the macaroon would have expired at %s", moment(b.Expires))
		}
		if b.Expires.UTC().Year() > 9999 {
			return nil, fault.New("bad_bounds", "give an earlier time, or none", "lnd cannot read a time so far away")
		}
		caveats = append(caveats, timeBefore+" "+b.Expires.UTC().Format(time.RFC3339Nano))
	}
	if b.IP.IsValid() {
		caveats = append(caveats, ipAddr+" "+b.IP.Unmap().String())
	}
	if b.IPRange.IsValid() {
		if b.IP.IsValid() && !b.IPRange.Contains(b.IP.Unmap()) {
			return nil, fault.New("bad_bounds", "give one of them", "address %s is not in %s: the macaroon would work from nowhere", b.IP, b.IPRange)
		}
		caveats = append(caveats, ipRange+" "+b.IPRange.Masked().String())
	}
	return caveats, nil
}

// ParseBounds reads the addresses of bounds as people write them; empty: any.
// Code: bad_bounds.
func ParseBounds(ip, ipRange string) (b Bounds, err error) {
	if ip != "" {
		if b.IP, err = netip.ParseAddr(ip); err != nil || b.IP.Zone() != "" {
			return b, fault.New("bad_bounds", "give an address such as 192.0.2.7", "%q is no IP address", ip)
		}
	}
	if ipRange != "" {
		if b.IPRange, err = netip.ParsePrefix(ipRange); err != nil || b.IPRange.Addr().Is4In6() {
			return b, fault.New("bad_bounds", "give a network such as 192.0.2.0/24", "%q is no network", ipRange)
		}
	}
	return b, nil
}

// Caveat is a caveat in words.
type Caveat struct {
	Text  string `json:"text"`
	Words string `json:"words"`

	// Void means that lnd refuses every macaroon with it.
	Void bool `json:"void,omitempty"`
}

// explain puts a caveat into words. expires is zero for all but time-before.
func explain(c macaroon.Caveat, now time.Time) (_ Caveat, expires time.Time) {
	words, void := "", true
	name, value, _ := strings.Cut(c.Text, " ")
	switch {
	case c.ThirdParty:
		words = "asks another service, which lnd never does"
	case name == timeBefore:
		at, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			words = "ends at a time that nobody can read"
			break
		}
		expires, void, words = at, !at.After(now), "only until "+moment(at)
		if void {
			words = "expired at " + moment(at)
		}
	case name == ipAddr:
		_, err := netip.ParseAddr(value)
		void, words = err != nil, "only from address "+value
	case name == ipRange:
		_, err := netip.ParsePrefix(value)
		void, words = err != nil, "only from network "+value
	case name == lndCustom && strings.HasPrefix(value, "account "):
		void, words = false, "held to account "+strings.TrimPrefix(value, "account ")
	case name == lndCustom:
		void, words = false, fmt.Sprintf("only while lnd has the middleware %q", value)
	default:
		words = "unknown to lnd"
	}
	return Caveat{Text: c.Text, Words: words, Void: void}, expires
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
