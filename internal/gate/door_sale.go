package gate

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// constraintValidUntil is the constraint that ends all tokens of a service at
// one time. It becomes the caveat that timeout becomes.
const constraintValidUntil = "valid_until"

// sale is what a service sells, as its configuration says. Constraints become
// caveats as they stand, as in aperture.
func (s *Service) sale() (l402http.Sale, error) {
	sale := l402http.Sale{
		Service: string(s.Name), Price: s.Price.msat(), TokenLife: s.Timeout.duration(),
		Capabilities: s.capabilities(),
	}
	if s.AuthScheme.l402() {
		sale.Schemes |= l402http.SchemeL402
	}
	if s.AuthScheme.payment() {
		sale.Schemes |= l402http.SchemePayment
	}
	if len(s.CapabilityPaths) > 0 {
		sale.Capability = s.capabilityOf
	}
	for _, key := range slices.Sorted(maps.Keys(s.Constraints)) {
		value := s.Constraints[key]
		if key == constraintValidUntil {
			var err error
			if sale.ValidUntil, err = parseTime(value); err != nil {
				return sale, fmt.Errorf("constraints.%s: %w", key, err)
			}
			continue
		}
		sale.Constraints = append(sale.Constraints, l402.Caveat{Key: key, Value: value})
		sale.Conditions = append(sale.Conditions, l402.Narrowing(key))
	}
	return sale, nil
}

// honours reports whether paying for an open challenge still buys what it was
// for: since it was made the service may have gone, become free, changed its
// schemes, or cost more than a Payment credential was sold for.
func (g *Gate) honours(c l402http.OpenChallenge) bool {
	for _, s := range g.now.Load().cfg.Services {
		if string(s.Name) != c.Service {
			continue
		}
		token, payment := s.AuthScheme.l402(), s.AuthScheme.payment()
		if s.Auth.off || c.Token.IsZero() && !payment || !c.Token.IsZero() && !token {
			return false
		}
		return !payment || c.Price >= s.Price.msat()
	}
	return false
}

// capabilityOf returns the capabilities that a request needs: all whose paths
// match, also where only a backend that drops a path's parameters would see
// it.
func (s *Service) capabilityOf(r *http.Request) string {
	path := r.URL.Path
	plain := withoutParameters(path)
	needed := ""
	for name, p := range s.CapabilityPaths {
		switch {
		case !p.matchEither(path, plain):
		case needed == "":
			needed = name
		default:
			needed += "," + name
		}
	}
	return needed
}

// parseTime reads Unix seconds, a day or a time of RFC 3339.
func parseTime(value string) (time.Time, error) {
	if n, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Unix(int64(n), 0), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, value); err == nil && t.Unix() > 0 {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want Unix seconds, or a day such as 2027-01-31", value)
}
