package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
)

// statusClientGone is what nginx logs for a client that did not wait.
const statusClientGone = 499

// proxies makes the handlers that pass requests on, and ends what they hold.
type proxies struct {
	log     *slog.Logger
	expand  func(string) (string, error)
	buffers bufferPool

	transports []interface{ CloseIdleConnections() }
	upgrades   *upgrades
}

// newProxies makes a maker of proxies. expand makes a path of the
// configuration absolute.
func newProxies(log *slog.Logger, expand func(string) (string, error), u *upgrades) *proxies {
	return &proxies{log: log, expand: expand, upgrades: u}
}

// to returns the handler that passes requests on to a service's backend,
// without the buyer's credential, streaming both ways. What the backend has
// begun to send without saying how long it will be, server-sent events and
// gRPC among it, is handed on at once; the rest as buffers fill.
func (p *proxies) to(s *Service) (http.Handler, error) {
	transport, err := p.transport(s)
	if err != nil {
		return nil, err
	}
	outgoing, err := p.outgoing(s)
	if err != nil {
		return nil, err
	}
	target := &url.URL{Scheme: string(s.Protocol), Host: s.Address}
	prefix := strings.TrimSuffix(s.Rewrite.Prefix, "/")
	proxy := &httputil.ReverseProxy{
		Transport:  transport,
		BufferPool: &p.buffers,
		ErrorLog:   slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
			r.Out.URL.Path = prefix + r.Out.URL.Path
			r.Out.URL.RawQuery = r.In.URL.RawQuery // nothing is decided by it
			outgoing.apply(r)
		},
		ModifyResponse: checkAnswer,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			p.failed(w, r, s, err)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// Over HTTP/1 Go's server otherwise closes the request's body as the
			// answer begins. The transport, which looks for the body's end once
			// more after its last byte, then drops the backend's connection in
			// the middle of the answer. Then it is for us to see that what is
			// left of the body is not taken for a request: see hasRest. HTTP/2
			// needs no asking, and says so.
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
		if r.Header["Upgrade"] != nil {
			var leave func()
			r, leave = p.upgrades.enter(r)
			defer leave()
		}
		proxy.ServeHTTP(w, r)
	}), nil
}

// checkAnswer refuses an answer whose status net/http reads but cannot write.
// One that does not wait for the request's end is the last on its connection.
func checkAnswer(resp *http.Response) error {
	if resp.StatusCode < 100 {
		return fmt.Errorf("the backend answers with status %q", resp.Status)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols && hasRest(resp.Request) {
		resp.Header.Set("Connection", "close")
	}
	return nil
}

// failed answers a request that the backend did not answer, or whose body did
// not arrive.
func (p *proxies) failed(w http.ResponseWriter, r *http.Request, s *Service, err error) {
	if hasRest(r) {
		w.Header().Set("Connection", "close")
	}
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		writeTooLarge(w, tooLarge.Limit)
	case fellSilent(r) && (r.Context().Err() != nil || errors.Is(err, os.ErrDeadlineExceeded)):
		w.Header().Set("Connection", "close")
		writeError(w, http.StatusRequestTimeout, "body_timeout", "the request's body stopped arriving")
	case r.Context().Err() != nil || errors.Is(err, context.Canceled):
		w.WriteHeader(statusClientGone) // for the log
	case sentBroken(r, err):
		w.Header().Set("Connection", "close")
		writeError(w, http.StatusBadRequest, "bad_body", "the request's body cannot be read")
	default:
		p.log.Warn("backend failed", "service", s.Name, "backend", s.Address, "err", err)
		writeError(w, http.StatusBadGateway, "backend_unreachable",
			"the service behind the gate does not answer: try again with the same token")
	}
}

// close ends the idle connections. Those in use end after their request, or
// some time later.
func (p *proxies) close() {
	for _, t := range p.transports {
		t.CloseIdleConnections()
	}
}

// bufferPool lends the buffers through which bodies are copied.
type bufferPool struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *bufferPool) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

func (b *bufferPool) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
