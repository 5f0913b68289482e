package gate

import (
	"crypto/tls"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/leydenln/leyden/internal/acme"
)

// generation is what one reading of the configuration made. A reload replaces
// it whole: requests that began with the old one end with it.
type generation struct {
	cfg     *Config
	handler http.Handler
	tls     *tls.Config // nil when the gate speaks plain HTTP
	proxies *proxies
	limits  *limits
	free    map[string]*freeBook // by service

	authority *acme.Authority // nil when there is none to ask

	inside  atomic.Int64 // requests
	retired atomic.Bool
}

// build makes a generation. It touches nothing that serves now.
func (g *Gate) build(cfg *Config) (*generation, error) {
	next := &generation{cfg: cfg, proxies: newProxies(g.log, cfg.expand, g.upgrades)}
	if last := g.now.Load(); last != nil {
		next.limits, next.free = newLimits(cfg, last.limits), newFreeBooks(cfg, last.free)
	} else {
		next.limits, next.free = newLimits(cfg, nil), newFreeBooks(cfg, nil)
	}
	router, err := newRouter(cfg, g.seller, next.proxies, g.doorParts(next))
	if err != nil {
		return nil, err
	}
	first := &edge{router, cfg.BlockList, cfg.TrustedProxies, g.observer, g.log}
	next.handler = cfg.patience(first)
	if g.relay != nil {
		next.handler = &relayDoor{g.relay.Handler(), next.handler, first, time.Duration(cfg.Limits.BodyTimeout)}
	}
	return next, g.secure(next)
}

// doorParts are what surrounds the doors of a generation.
func (g *Gate) doorParts(next *generation) doorParts {
	return doorParts{
		limits:   func(s *Service) limiter { return next.limits.of(next.cfg, s) },
		freebies: func(s *Service) freebies { return freeShare{next.free[string(s.Name)], s.Auth.free} },
		decided:  g.observer.decided,
	}
}

// install makes a generation the one that serves.
func (g *Gate) install(next *generation) {
	g.observer.counts.know(next.cfg.Services)
	g.now.Store(next)
}

// ServeHTTP serves a request with the generation of this moment.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := g.now.Load()
	now.inside.Add(1)
	defer now.leave()
	now.handler.ServeHTTP(w, r)
}

// leave ends a request. The last one of a retired generation closes what that
// kept open.
func (n *generation) leave() {
	if n.inside.Add(-1) == 0 && n.retired.Load() {
		n.close()
	}
}

// retire says that no more requests come, but for those that are just coming.
func (n *generation) retire() {
	n.retired.Store(true)
	if n.inside.Load() == 0 {
		n.close()
	}
}

// begin starts what a generation does by itself and the one before it, if any,
// did not.
func (g *Gate) begin(next, last *generation) error {
	if next.authority == nil || last != nil && next.authority == last.authority {
		return nil
	}
	return next.authority.Begin(g.listener.Addr())
}

// replace puts a generation in place of the one that serves.
func (g *Gate) replace(next, last *generation) {
	g.install(next)
	last.retire()
	last.endUnlike(next)
	next.warnOfExpiry(g.log)
}

// endUnlike ends what a generation does by itself and another one, which goes
// on, does not.
func (n *generation) endUnlike(other *generation) {
	if n.authority != nil && n.authority != other.authority {
		n.authority.End()
	}
}

// close ends connections that no request uses. It may be called more than
// once, and while a request still comes.
func (n *generation) close() { n.proxies.close() }

// end is for the last generation, when the gate stops.
func (n *generation) end() {
	n.close()
	if n.authority != nil {
		n.authority.End()
	}
}

// tlsConfig asks the generation of the moment for its certificate.
func (g *Gate) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return g.now.Load().tls, nil },
	}
}
