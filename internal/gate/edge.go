package gate

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// maxStack is how much of a panic's stack is logged, in bytes.
const maxStack = 4 << 10

// edge is the first to see a request and the last to leave it. It finds out who
// the client is, turns the blocked away, makes the request's visit, and keeps a
// panic from taking more than its own request along.
type edge struct {
	next     http.Handler
	blocked  []netip.Prefix
	trusted  []netip.Prefix
	observer *observer
	log      *slog.Logger
}

// ServeHTTP serves a request whose RemoteAddr, from here on, is the client's,
// and whose TLS is not nil when the client speaks that, be it only to the proxy
// that is trusted.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, claimed, ok := e.admit(w, r)
	if !ok {
		return
	}
	v := &visit{ResponseWriter: w, began: time.Now(), client: client, freeLeft: -1}
	r = r.WithContext(visitContext{r.Context(), v})
	if claimed {
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
		if r.TLS == nil && strings.EqualFold(r.Header.Get(headerProto), "https") {
			r.TLS = new(tls.ConnectionState)
		}
	}
	defer e.leave(v, r)
	e.next.ServeHTTP(v, r)
}

// admit finds out who the client of a request is, see clientOf. One that is
// blocked it turns away.
func (e *edge) admit(w http.ResponseWriter, r *http.Request) (client netip.Addr, claimed, ok bool) {
	client, claimed = clientOf(r, e.trusted)
	if !e.blocks(client) {
		return client, claimed, true
	}
	e.observer.blocked()
	w.Header().Set("Connection", "close")
	writeError(w, http.StatusForbidden, "blocked", "this address gets nothing here")
	return client, claimed, false
}

func (e *edge) blocks(client netip.Addr) bool {
	return slices.ContainsFunc(e.blocked, func(p netip.Prefix) bool { return p.Contains(client) })
}

// leave records the visit. A request whose handler has panicked is answered
// with a 500, or, when its answer has begun, broken off: the client must not
// take a part for the whole.
func (e *edge) leave(v *visit, r *http.Request) {
	fell := recover()
	if fell != nil {
		v.panicked(e.log, r, fell)
	}
	e.observer.end(v, r)
	if fell != nil && v.aborted {
		panic(http.ErrAbortHandler)
	}
}

// panicked answers for a handler that has panicked.
func (v *visit) panicked(log *slog.Logger, r *http.Request, fell any) {
	//nolint:errorlint // net/http compares it like this, too
	if fell == http.ErrAbortHandler {
		v.aborted = true
		return
	}
	stack := debug.Stack()
	log.Error("a request's handler panicked", "panic", fell, "service", v.service,
		"stack", string(stack[:min(len(stack), maxStack)]))
	if v.status != 0 {
		v.aborted = true
		return
	}
	h := v.Header()
	h.Del("Content-Length")
	h.Del("Content-Encoding")
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
	writeError(v, http.StatusInternalServerError, "internal_error", "the gate could not serve this request")
}
