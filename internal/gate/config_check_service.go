package gate

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/leydenln/leyden/l402"
)

func (c *Config) checkServices() error {
	if len(c.Services) == 0 && !c.ServeStatic && !c.HashMail.Enabled {
		return at("services", "is missing: there is nothing to sell")
	}
	names := map[serviceName]bool{}
	for i, s := range c.Services {
		key := "services." + strconv.Itoa(i)
		if s == nil || s.Name == "" {
			return &keyError{key, fmt.Sprintf("service %d has no name", i+1)}
		}
		if names[s.Name] {
			return &keyError{key + ".name",
				fmt.Sprintf("service %q is there twice: tokens of one would open the other", s.Name)}
		}
		names[s.Name] = true
		if err := s.complete(c); err != nil {
			return mistakeIn(key, fmt.Sprintf("service %q: ", s.Name), err)
		}
	}
	return nil
}

// complete fills in a service's defaults and checks it.
func (s *Service) complete(c *Config) error {
	setDefault(&s.Price, 1)
	setDefault(&s.Protocol, "http")
	setDefault(&s.MaxBodyBytes, c.Limits.MaxBodyBytes)
	s.Shadow = s.Shadow || c.Shadow
	if c.Authenticator.EnableMPP {
		setDefault(&s.AuthScheme, schemeBoth)
	}
	setDefault(&s.AuthScheme, schemeL402)
	switch {
	case s.Address == "":
		return at("address", "is missing: the backend's host:port")
	case s.TLSCertPath != "" && s.Protocol != "https":
		return at("tlscertpath", "needs protocol: https")
	case s.AuthScheme.payment() && !c.Authenticator.EnableMPP:
		return at("authscheme", "%q needs authenticator.enablempp: true", s.AuthScheme)
	case s.Rewrite.Prefix != "" && !validPrefix(s.Rewrite.Prefix):
		return at("rewrite.prefix", "%q: want a plain path such as /v1", s.Rewrite.Prefix)
	}
	if err := checkHostPort(s.Address, false); err != nil {
		return at("address", "%q: %v", s.Address, err)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		if !validHeaderName(name) {
			return at("headers."+name, "is no header's name")
		}
	}
	if err := s.checkCaveats(); err != nil {
		return err
	}
	return checkRateLimits(s.RateLimits)
}

// checkCaveats checks what goes into the service's tokens.
func (s *Service) checkCaveats() error {
	names := s.capabilities()
	if len(names) > 0 {
		if _, err := l402.CapabilitiesCaveat(string(s.Name), names...); err != nil {
			return at("capabilities", "%q: %v", s.Capabilities, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.CapabilityPaths)) {
		if !slices.Contains(names, name) {
			return at("capabilitypaths."+name, "is not among capabilities: no token would open the path")
		}
		if s.CapabilityPaths[name].re == nil {
			return at("capabilitypaths."+name, "is empty: want a regular expression")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Constraints)) {
		if key == "services" || key == "preimage" || strings.HasSuffix(key, "_capabilities") || strings.HasSuffix(key, "_valid_until") {
			return at("constraints."+key, "is the gate's own caveat: use capabilities or timeout")
		}
		if c, err := l402.ParseCaveat(key + "=" + s.Constraints[key]); err != nil {
			return at("constraints."+key, "%q: %v", s.Constraints[key], err)
		} else if c.Key != key {
			return at("constraints."+key, "has an equals sign in its name")
		}
	}
	if _, err := s.sale(); err != nil {
		return &keyError{"constraints." + constraintValidUntil, err.Error()}
	}
	return nil
}

// capabilities returns what a token of the service may do; nil for no limit.
func (s *Service) capabilities() []string {
	var names []string
	for name := range strings.SplitSeq(s.Capabilities, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// validPrefix reports whether a path can stand before another: absolute, in
// one spelling, without what a URL gives a meaning.
func validPrefix(prefix string) bool {
	return strings.HasPrefix(prefix, "/") && path.Clean(prefix) == strings.TrimSuffix(prefix, "/") &&
		!strings.ContainsFunc(prefix, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`?#%\`, c) })
}
