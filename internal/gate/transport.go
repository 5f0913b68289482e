package gate

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402"
)

const (
	// idlePerHost is how many connections to a backend are kept open between
	// requests: Go's default of 2 dials anew for most requests under load.
	idlePerHost = 256

	// maxAnswerHeader is the most bytes a backend's header may have.
	maxAnswerHeader = 1 << 20
)

// transport returns what carries requests to a service's backend. Over TLS the
// backend chooses between HTTP/1.1 and HTTP/2. Without TLS there is nobody to
// ask: gRPC calls, which exist only in HTTP/2, go by that with prior knowledge
// (RFC 9113 section 3.3), everything else by HTTP/1.1.
func (p *proxies) transport(s *Service) (http.RoundTripper, error) {
	if s.Protocol == "https" {
		trust, err := s.trust()
		if err != nil {
			return nil, err
		}
		t := p.newTransport()
		t.ForceAttemptHTTP2, t.TLSClientConfig = true, trust
		return t, nil
	}
	plain := plainTransport{p.newTransport(), p.newTransport(), &leanTransport{dial: dialer.DialContext}}
	plain.grpc.Protocols = new(http.Protocols)
	plain.grpc.Protocols.SetUnencryptedHTTP2(true)
	p.transports = append(p.transports, plain.lean)
	return plain, nil
}

// plainTransport is the way to a backend without TLS.
type plainTransport struct {
	http, grpc *http.Transport
	lean       *leanTransport
}

func (t plainTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case l402.IsGRPC(r.Header):
		return t.grpc.RoundTrip(r)
	case t.lean.suits(r):
		return t.lean.RoundTrip(r)
	}
	return t.http.RoundTrip(r)
}

// dialer connects to backends.
var dialer = &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}

func (p *proxies) newTransport() *http.Transport {
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleLife,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
	}
	p.transports = append(p.transports, t)
	return t
}

// trust says by whom a backend's certificate must be signed, nil for the
// system's authorities.
func (s *Service) trust() (*tls.Config, error) {
	if s.TLSCertPath == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(s.TLSCertPath)
	if err != nil {
		return nil, fault.New(CodeBadConfig, "correct gate.yaml", "service %q: tlscertpath: %w", s.Name, err)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !trust.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fault.New(CodeBadConfig, "correct gate.yaml", "service %q: tlscertpath: %q holds no PEM certificate",
			s.Name, s.TLSCertPath)
	}
	return trust, nil
}
