package gate

import (
	"net/http"
	"sync"
	"time"

	"github.com/leydenln/leyden/l402"
)

// limits are the rate limits of all services. A rule for all services counts
// what a client asks of any of them. Who has paid and who has not are counted
// apart, so that no number of strangers can touch a buyer's bucket.
type limits struct {
	clock *limitClock
	rules map[ruleName]*rule
}

// limitClock is the time of a gate's rules, and the lock under which a request
// takes from all of them or from none.
type limitClock struct {
	sync.Mutex
	zero time.Time
}

func (c *limitClock) now() instant { return instant(time.Since(c.zero)) }

// ruleName tells rules apart: an equal one of the last configuration goes on
// with its buckets.
type ruleName struct {
	service, pattern string // service "" for all
	rate             rate
	nth              int // among equal ones
}

// rule is one rate limit.
type rule struct {
	pattern           pattern
	rate              rate
	tokens, addresses *buckets
}

// newLimits makes the limits of a configuration. last, which may be nil, are
// those of the one before.
func newLimits(c *Config, last *limits) *limits {
	l := &limits{rules: map[ruleName]*rule{}}
	if last != nil {
		l.clock = last.clock
	} else {
		l.clock = &limitClock{zero: time.Now()}
	}
	l.add(c.RateLimits, "", last)
	for _, s := range c.Services {
		l.add(s.RateLimits, string(s.Name), last)
	}
	return l
}

func (l *limits) add(configured []RateLimit, service string, last *limits) {
	for name, pattern := range named(configured, service) {
		if last != nil && last.rules[name] != nil {
			l.rules[name] = last.rules[name]
			continue
		}
		l.rules[name] = &rule{pattern, name.rate, newBuckets(), newBuckets()}
	}
}

// named yields the names of rules, in their order.
func named(configured []RateLimit, service string) func(func(ruleName, pattern) bool) {
	return func(yield func(ruleName, pattern) bool) {
		seen := map[ruleName]int{}
		for _, c := range configured {
			n := ruleName{service: service, rate: newRate(int(c.Requests), int(c.Burst), time.Duration(c.Per))}
			if c.PathRegexp.re != nil {
				n.pattern = c.PathRegexp.re.String()
			}
			n.nth = seen[n]
			seen[ruleName{n.service, n.pattern, n.rate, 0}]++
			if !yield(n, c.PathRegexp) {
				return
			}
		}
	}
}

// of returns the limiter of a service, nil when nothing limits it.
func (l *limits) of(c *Config, s *Service) limiter {
	own := &serviceLimits{clock: l.clock}
	for name := range named(c.RateLimits, "") {
		own.rules = append(own.rules, l.rules[name])
	}
	for name := range named(s.RateLimits, string(s.Name)) {
		own.rules = append(own.rules, l.rules[name])
	}
	if len(own.rules) == 0 {
		return nil
	}
	return own
}

// serviceLimits are the rules of one service. It is a limiter.
type serviceLimits struct {
	clock *limitClock
	rules []*rule
}

func (s *serviceLimits) allowToken(r *http.Request, id l402.TokenID) (grant, time.Duration, bool) {
	// The gate has chosen the id at random, so half of it tells tokens apart.
	return s.allow(r, clientID(id[:16]), func(r *rule) *buckets { return r.tokens })
}

func (s *serviceLimits) allowAddress(r *http.Request) (grant, time.Duration, bool) {
	return s.allow(r, household(r), func(r *rule) *buckets { return r.addresses })
}

func (s *serviceLimits) allow(r *http.Request, id clientID, kind func(*rule) *buckets) (grant, time.Duration, bool) {
	var matching []*rule
	plain := withoutParameters(r.URL.Path) // for a backend that drops them
	for _, rule := range s.rules {
		if rule.pattern.matchEither(r.URL.Path, plain) {
			matching = append(matching, rule)
		}
	}
	if matching == nil {
		return nil, 0, true
	}
	s.clock.Lock()
	defer s.clock.Unlock()
	now, wait := s.clock.now(), time.Duration(0)
	for _, rule := range matching {
		wait = max(wait, kind(rule).wait(id, rule.rate, now))
	}
	if wait > 0 {
		return nil, wait, false
	}
	for _, rule := range matching {
		kind(rule).take(id, rule.rate, now)
	}
	return &taken{s.clock, id, matching, kind}, 0, true
}

// taken is what a request has taken from its buckets.
type taken struct {
	clock *limitClock
	id    clientID
	rules []*rule
	kind  func(*rule) *buckets
}

func (t *taken) giveBack() {
	t.clock.Lock()
	defer t.clock.Unlock()
	for _, rule := range t.rules {
		t.kind(rule).giveBack(t.id, rule.rate)
	}
}
