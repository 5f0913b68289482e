package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// idlePerHost is how many connections to a backend are kept open between
// requests: Go's default of 2 dials anew for most requests under load.
const idlePerHost = 64

// proxies makes the handlers that pass requests on.
type proxies struct {
	log        *slog.Logger
	buffers    bufferPool
	transports []*http.Transport
	expand     func(string) (string, error)
}

// to returns the handler that passes requests on to a service's backend.
func (p *proxies) to(s *Service) (http.Handler, error) {
	transport, err := p.transport(s)
	if err != nil {
		return nil, err
	}
	headers, err := p.headers(s)
	if err != nil {
		return nil, err
	}
	target := &url.URL{Scheme: string(s.Protocol), Host: s.Address}
	proxy := &httputil.ReverseProxy{
		Transport:  transport,
		BufferPool: &p.buffers,
		ErrorLog:   slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
			r.SetXForwarded()
			for name, value := range headers {
				r.Out.Header[name] = value
			}
			if host := headers["Host"]; host != nil {
				r.Out.Host = host[0]
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			p.backendFailed(w, r, s, err)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Over HTTP/1 Go's server otherwise closes the request's body as the
		// answer begins. The transport, which looks for the body's end once
		// more after its last byte, then drops the backend's connection in the
		// middle of the answer. HTTP/2 needs no asking, and says so.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	}), nil
}

func (p *proxies) backendFailed(w http.ResponseWriter, r *http.Request, s *Service, err error) {
	if r.Context().Err() != nil || errors.Is(err, context.Canceled) {
		return // the client has gone
	}
	p.log.Warn("backend failed", "service", s.Name, "backend", s.Address, "err", err)
	writeError(w, http.StatusBadGateway, "backend_unreachable",
		"the service behind the gate does not answer: try again with the same token")
}

func (p *proxies) transport(s *Service) (*http.Transport, error) {
	t := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   idlePerHost,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		ForceAttemptHTTP2:     true,
	}
	if s.TLSCertPath != "" {
		pem, err := os.ReadFile(s.TLSCertPath)
		if err != nil {
			return nil, fault.New(CodeBadConfig, "", "service %q: tlscertpath: %w", s.Name, err)
		}
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.New(CodeBadConfig, "", "service %q: tlscertpath: %q holds no PEM certificate",
				s.Name, s.TLSCertPath)
		}
	}
	p.transports = append(p.transports, t)
	return t, nil
}

// close ends the idle connections.
func (p *proxies) close() {
	for _, t := range p.transports {
		t.CloseIdleConnections()
	}
}

// headers returns what is to be set on requests, files read.
func (p *proxies) headers(s *Service) (http.Header, error) {
	h := http.Header{}
	for name, value := range s.Headers {
		value, err := p.headerValue(value)
		if err != nil {
			return nil, fault.New(CodeBadConfig, "", "service %q: header %s: %w", s.Name, name, err)
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return nil, fault.New(CodeBadConfig, "", "service %q: header %s has a control character", s.Name, name)
		}
		h.Set(name, value)
	}
	return h, nil
}

func (p *proxies) headerValue(value string) (string, error) {
	for prefix, encode := range map[string]func([]byte) string{
		"!file+hex:":    hex.EncodeToString,
		"!file+base64:": base64.StdEncoding.EncodeToString,
	} {
		if path, ok := strings.CutPrefix(value, prefix); ok {
			full, err := p.expand(path)
			if err != nil {
				return "", err
			}
			content, err := os.ReadFile(full)
			return encode(content), err
		}
	}
	if strings.HasPrefix(value, "!file") {
		return "", errors.New("want !file+hex:PATH or !file+base64:PATH")
	}
	return value, nil
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
