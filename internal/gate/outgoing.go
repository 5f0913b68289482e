package gate

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// claims are headers by which a proxy tells its backend who the client is or
// what it asked for. A client that could write them would be believed, so they
// never pass, nor does any X-Forwarded-*.
var claims = map[string]bool{
	"Forwarded": true,
	"X-Real-Ip": true, "X-Client-Ip": true, "X-Cluster-Client-Ip": true, "X-Originating-Ip": true,
	"X-Remote-Ip": true, "X-Remote-Addr": true, "X-Envoy-External-Address": true, "Client-Ip": true,
	"True-Client-Ip": true, "Cf-Connecting-Ip": true, "Cf-Connecting-Ipv6": true, "Fastly-Client-Ip": true,
	"X-Original-Url": true, "X-Original-Uri": true, "X-Original-Path": true, "X-Original-Host": true,
	"X-Rewrite-Url": true, "X-Envoy-Original-Path": true, "X-Script-Name": true, "Script-Name": true,
	"X-Path-Info": true, "Path-Info": true, "X-Host": true, "X-Http-Host-Override": true,
	"Proxy": true, "Http2-Settings": true,
}

const (
	claimPrefix = "X-Forwarded-"
	headerProto = "X-Forwarded-Proto"
)

// credentialNames are headers of the buyer's whose names have a "-". They are
// taken out by their own names elsewhere.
var credentialNames = map[string]bool{
	l402.HeaderClient: true, "Grpc-Metadata-Token": true, "Grpc-Metadata-Macaroon": true,
}

// outgoing is what is changed on the header of a service's requests.
type outgoing struct {
	set            http.Header
	passCredential bool
}

// outgoing returns what is to be changed, files read.
func (p *proxies) outgoing(s *Service) (*outgoing, error) {
	o := &outgoing{set: http.Header{}, passCredential: s.PassCredential}
	for name, value := range s.Headers {
		value, err := p.headerValue(value)
		if err != nil {
			return nil, fault.New(CodeBadConfig, "correct gate.yaml", "service %q: header %s: %w", s.Name, name, err)
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return nil, fault.New(CodeBadConfig, "correct gate.yaml", "service %q: header %s has a control character", s.Name, name)
		}
		o.set.Set(name, value)
	}
	return o, nil
}

// apply changes the header of a request that goes out. What Connection names
// has been removed before, so that it cannot name what is set here.
func (o *outgoing) apply(r *httputil.ProxyRequest) {
	h := r.Out.Header
	for name := range h {
		if o.forbids(name) {
			delete(h, name)
		}
	}
	if !o.passCredential {
		l402http.Strip(h)
	}
	if h["Upgrade"] != nil && !isWebSocket(r.In) {
		h.Del("Upgrade")
		h.Del("Connection")
	}
	r.SetXForwarded()
	for name, value := range o.set {
		h[name] = value
	}
	if host := o.set["Host"]; host != nil {
		r.Out.Host = host[0]
	}
	o.trailers(r)
}

// forbids reports whether a client's header must not reach the backend. Where a
// backend reads "_" as "-", as CGI and WSGI do, it also must not as that.
func (o *outgoing) forbids(name string) bool {
	if strings.IndexByte(name, '_') >= 0 {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		if o.set[name] != nil || credentialNames[name] && !o.passCredential {
			return true
		}
	}
	return claims[name] || strings.HasPrefix(name, claimPrefix)
}

// trailers lets the fields that follow a body pass, under the same rules.
func (o *outgoing) trailers(r *httputil.ProxyRequest) {
	if len(r.Out.Trailer) == 0 {
		return
	}
	for name := range r.Out.Trailer {
		if o.forbids(name) || o.set[name] != nil {
			delete(r.Out.Trailer, name)
		}
	}
	if !o.passCredential {
		l402http.Strip(r.Out.Trailer)
	}
	r.Out.Body = &trailingBody{ReadCloser: r.Out.Body, from: r.In, to: r.Out.Trailer}
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
