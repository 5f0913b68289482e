package gate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402/l402http"
)

// router sends a request to the service that it is for.
type router struct {
	routes []*route
	static http.Handler // nil for none

	manifest http.Handler
}

// route is a service with its two ways in.
type route struct {
	*Service
	paid http.Handler
	free http.Handler
}

// newRouter makes the services' handlers. seller is nil when nothing is
// charged for.
func newRouter(c *Config, seller *l402http.Seller, proxies *proxies, parts doorParts) (*router, error) {
	manifest, err := newManifest(c).handler()
	if err != nil {
		return nil, err
	}
	r := &router{manifest: manifest}
	for _, s := range c.Services {
		backend, err := proxies.to(s)
		if err != nil {
			return nil, err
		}
		d, err := newDoor(c, s, seller, backend, parts)
		if err != nil {
			return nil, err
		}
		r.routes = append(r.routes, &route{s, d, http.HandlerFunc(d.serveFree)})
	}
	if c.ServeStatic {
		root, err := os.OpenRoot(c.StaticRoot)
		if err != nil {
			return nil, fault.New(CodeBadConfig, "correct gate.yaml", "staticroot: %w", err)
		}
		r.static = l402http.Anonymous(http.FileServerFS(root.FS()))
	}
	return r, nil
}

// way is a way into a service; the zero way leads nowhere.
type way struct {
	*route
	free bool
}

func (w way) handler() http.Handler {
	if w.free {
		return w.route.free
	}
	return w.route.paid
}

// ServeHTTP matches the request by the path and host that the backend gets.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodConnect, http.MethodTrace, "TRACK":
		// A tunnel would pass requests that nobody looks at; a trace would
		// show the buyer what the gate adds for the backend.
		writeError(w, http.StatusMethodNotAllowed, "bad_method", "the method "+r.Method+" is not passed on")
		return
	}
	if err := plainPath(r); err != nil {
		writeError(w, http.StatusBadRequest, "bad_path", err.Error())
		return
	}
	host, err := plainHost(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, "bad_host", err.Error())
		return
	}
	r.URL.RawPath = "" // one spelling from here on
	if r.URL.Path == manifestPath {
		rt.manifest.ServeHTTP(w, r)
		return
	}
	found := rt.find(host, r.URL.Path)
	switch {
	case strings.ContainsAny(r.URL.Path, ";?#") && rt.find(host, withoutParameters(r.URL.Path)) != found:
		writeError(w, http.StatusBadRequest, "bad_path", "without its parameters the path leads elsewhere")
	case found.route != nil && tooLarge(w, r, int64(found.MaxBodyBytes)):
		writeTooLarge(w, int64(found.MaxBodyBytes))
	case found.route != nil:
		found.handler().ServeHTTP(w, r)
	case rt.static != nil:
		rt.static.ServeHTTP(w, r)
	default:
		writeError(w, http.StatusNotFound, "no_service", fmt.Sprintf("there is no service at %q", r.URL.Path))
	}
}

// find returns the way into the first service that host and path match, or,
// when there is none, the free way into the first that whitelists the path.
func (rt *router) find(host, path string) way {
	for _, r := range rt.routes {
		if r.HostRegexp.match(host) && r.PathRegexp.match(path) {
			return way{r, r.whitelists(path)}
		}
	}
	for _, r := range rt.routes {
		if r.HostRegexp.match(host) && r.whitelists(path) {
			return way{r, true}
		}
	}
	return way{}
}

func (r *route) whitelists(path string) bool {
	for _, p := range r.AuthWhitelistPaths {
		if p.re != nil && p.match(path) {
			return true
		}
	}
	return false
}

// writeError answers in the form of the seller's own answers.
func writeError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error here means that the client has gone.
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
}
