package l402

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The keys and suffixes of keys that this package understands.
const (
	keyServices        = "services"
	keyPreimage        = "preimage"
	suffixCapabilities = "_capabilities"
	suffixValidUntil   = "_valid_until"
)

// Caveat is one restriction of a token, "key=value" on the wire.
type Caveat struct {
	Key, Value string
}

// ParseCaveat reads "key=value"; the first "=" separates. A caveat without a
// key or a "=" is an error of [ReasonMalformed].
func ParseCaveat(s string) (Caveat, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return Caveat{}, refuse(ReasonMalformed, "malformed caveat %s: want key=value", quote(s))
	}
	return Caveat{Key: key, Value: value}, nil
}

// String returns "key=value".
func (c Caveat) String() string { return c.Key + "=" + c.Value }

// validate reports whether String gives something that ParseCaveat reads back.
func (c Caveat) validate() error {
	if c.Key == "" || strings.Contains(c.Key, "=") {
		return fmt.Errorf("malformed caveat: key %s", quote(c.Key))
	}
	return nil
}

// Service is a service that a token opens, with the tier it was sold for. Tiers
// are the seller's; 0 is the base tier.
type Service struct {
	Name string
	Tier uint8
}

// String returns "name:tier".
func (s Service) String() string { return s.Name + ":" + strconv.Itoa(int(s.Tier)) }

// ServicesCaveat names the services a token opens, at most [MaxListItems]. A
// name must not be empty, longer than 128 bytes, or contain a space, a control
// character or one of ",:=".
func ServicesCaveat(services ...Service) (Caveat, error) {
	if len(services) == 0 || len(services) > MaxListItems {
		return Caveat{}, fmt.Errorf("services caveat: %d services, want 1 to %d", len(services), MaxListItems)
	}
	items := make([]string, len(services))
	for i, s := range services {
		if err := validateName(s.Name); err != nil {
			return Caveat{}, fmt.Errorf("services caveat: %w", err)
		}
		items[i] = s.String()
	}
	return Caveat{Key: keyServices, Value: strings.Join(items, ",")}, nil
}

// CapabilitiesCaveat names what of a service a token opens, at most
// [MaxListItems]. The rules for a capability are those for a service name.
func CapabilitiesCaveat(service string, capabilities ...string) (Caveat, error) {
	if len(capabilities) == 0 || len(capabilities) > MaxListItems {
		return Caveat{}, fmt.Errorf("capabilities caveat: %d capabilities, want 1 to %d",
			len(capabilities), MaxListItems)
	}
	for _, name := range append([]string{service}, capabilities...) {
		if err := validateName(name); err != nil {
			return Caveat{}, fmt.Errorf("capabilities caveat: %w", err)
		}
	}
	return Caveat{Key: service + suffixCapabilities, Value: strings.Join(capabilities, ",")}, nil
}

// ValidUntilCaveat ends a token's use of a service at a time, in whole Unix
// seconds: it is refused from that second on.
func ValidUntilCaveat(service string, until time.Time) (Caveat, error) {
	if err := validateName(service); err != nil {
		return Caveat{}, fmt.Errorf("valid_until caveat: %w", err)
	}
	if until.Unix() < 0 {
		return Caveat{}, fmt.Errorf("valid_until caveat: %v is before 1970", until)
	}
	return Caveat{Key: service + suffixValidUntil, Value: strconv.FormatInt(until.Unix(), 10)}, nil
}

// ParseServices reads the value of a services caveat, "name:tier[,name:tier]".
func ParseServices(value string) ([]Service, error) {
	var services []Service
	for item := range strings.SplitSeq(value, ",") {
		s, ok := parseService(item)
		if !ok || len(services) == MaxListItems {
			return nil, refuse(ReasonMalformed, "malformed services %s", quote(value))
		}
		services = append(services, s)
	}
	return services, nil
}

func parseService(item string) (Service, bool) {
	name, tier, ok := strings.Cut(item, ":")
	if !ok || validateName(name) != nil {
		return Service{}, false
	}
	n, err := strconv.ParseUint(tier, 10, 8)
	if err != nil {
		return Service{}, false
	}
	return Service{Name: name, Tier: uint8(n)}, true
}

// validateName refuses names that could be read back as something else.
func validateName(name string) error {
	if name == "" {
		return errors.New("malformed name: empty")
	}
	if len(name) > maxServiceName {
		return fmt.Errorf("malformed name %s: over %d bytes", quote(name), maxServiceName)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || c == ',' || c == ':' || c == '=' {
			return fmt.Errorf("malformed name %q: character %q", name, c)
		}
	}
	return nil
}
