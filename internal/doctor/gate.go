package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/gate"
)

// keyAge is how old a gate's key may be before changing it is advised.
const keyAge = 365 * 24 * time.Hour

// gateConfig reads the configuration that a gate runs by, or would; nil where there
// is no gate.
func (e *Env) gateConfig() (*gate.Config, error) {
	path := filepath.Join(e.Home.Gate(), "gate.yaml")
	if r, on := e.record(aGate); on && r.Config != "" {
		path = r.Config
	}
	if !has(path) {
		return nil, nil
	}
	return gate.Load(path, e.Home.Gate())
}

// checkGate looks at what a gate's configuration lets buyers do.
func checkGate(_ context.Context, e *Env) (found []Finding) {
	conf, err := e.gateConfig()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(e.asOperator(), "cannot read the gate's configuration: %v", err)}
	case err != nil:
		return []Finding{fail("correct it: docs/gate.md describes every key", "the gate's configuration is refused, so that it will not start again: %v", err)}
	case conf == nil:
		return nil
	}
	edit := "leyden gate reload, after a change of " + conf.Path()
	if conf.Insecure && !loopback(conf.ListenAddr) {
		found = append(found, fail("remove insecure: true; "+edit, "the gate serves plain HTTP at %s: whoever is between it and a buyer takes the buyer's token", conf.ListenAddr))
	}
	if conf.Authenticator.Disable {
		found = append(found, warn("remove authenticator.disable; "+edit, "the gate asks nobody for money"))
	}
	for _, p := range conf.TrustedProxies {
		if p.Bits() == 0 {
			found = append(found, fail("name the proxies in trustedproxies; "+edit, "the gate believes everybody's X-Forwarded-For: rate limits and free requests bound nobody"))
		}
	}
	found = append(found, services(conf, edit)...)
	if len(found) == 0 {
		found = append(found, ok("the gate's configuration charges for every service, and bounds requests"))
	}
	if !conf.Prometheus.Enabled {
		found = append(found, info("set prometheus.enabled; "+edit, "nobody can watch the gate: it serves no figures"))
	}
	return found
}

func services(conf *gate.Config, edit string) (found []Finding) {
	for _, s := range conf.Services {
		if conf.Shadow || s.Shadow {
			found = append(found, warn("remove shadow: true; "+edit, "service %s charges nobody: shadow only logs what would have been charged", s.Name))
		}
		if len(conf.RateLimits)+len(s.RateLimits) == 0 {
			found = append(found, warn("set ratelimits; "+edit, "service %s has no rate limit: one token buys any number of requests at once", s.Name))
		}
		if s.Timeout == 0 {
			found = append(found, info("set timeout; "+edit, "tokens of service %s never expire", s.Name))
		}
		if s.PassCredential {
			found = append(found, info("remove passcredential: true; "+edit, "the backend of service %s sees the buyers' credentials, which it could use itself", s.Name))
		}
		if host, _, err := net.SplitHostPort(s.Address); err == nil && s.Protocol == "http" && !loopback(host) {
			found = append(found, warn("set protocol: https and tlscertpath; "+edit, "the gate speaks plain HTTP with the backend of service %s at %s", s.Name, s.Address))
		}
	}
	return found
}

// loopback says whether an address, with or without its port, is this machine's
// alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// checkGateKey looks how old the key of a gate's tokens is.
func checkGateKey(_ context.Context, e *Env) []Finding {
	path := filepath.Join(e.Home.Gate(), "master.key")
	info_, err := os.Stat(path)
	if err != nil {
		return nil
	}
	age := e.Now.Sub(info_.ModTime())
	if age > keyAge {
		return []Finding{info("leyden gate rotate-key", "the gate's key, of which all tokens are made, is %d days old", int(age.Hours()/24))}
	}
	return []Finding{ok("the gate's key is %d days old", int(age.Hours()/24))}
}
