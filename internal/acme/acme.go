// Package acme gets the certificate of a server from an authority such as Let's
// Encrypt (RFC 8555), and renews it, while the server runs.
//
// It promises that a server which has a certificate of its own serves with that
// one until there is one of the authority's, and goes on with what it has when
// the authority refuses. It leaves out every challenge but TLS-ALPN-01 and
// HTTP-01, both answered on the server's own port.
package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/leydenln/leyden/internal/fault"
)

// acmeProtocol is how an authority asks for the answer to a TLS-ALPN-01
// challenge (RFC 8737).
const acmeProtocol = "acme-tls/1"

// Terms say which certificate, and from whom.
type Terms struct {
	// Name is the DNS name that the certificate is for.
	Name string
	// Email is what the authority may write to; Directory its URL, "" for Let's
	// Encrypt; Root a PEM file by which its own server is trusted, "" for the
	// system's.
	Email, Directory, Root string
	// Folder holds keys, certificates and the account.
	Folder string
	// TLSOnly leaves out HTTP-01, for a port on which nothing answers plain HTTP.
	TLSOnly bool
}

// Authority gets the certificate for one name from an authority, and renews
// it. The challenges are answered on the server's own port, so the authority
// must reach that as 443 or 80.
type Authority struct {
	terms Terms
	roots *x509.CertPool
	log   *slog.Logger

	// Made by prepare and manage, nil before.
	cache  *certmagic.Cache
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
	cancel context.CancelFunc

	mu   sync.Mutex
	last error // why there is no new certificate
}

// New makes one that does nothing yet. Code bad_tls.
func New(terms Terms, log *slog.Logger) (*Authority, error) {
	roots, err := terms.roots()
	return &Authority{terms: terms, roots: roots, log: log}, err
}

// Terms are those it was made with.
func (a *Authority) Terms() Terms { return a.terms }

// roots returns who the authority's server is trusted by; nil for the system's.
func (t Terms) roots() (*x509.CertPool, error) {
	if t.Root == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.Root)
	if err != nil {
		return nil, fault.New(codeBadTLS, "check autocertroot", "autocertroot: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(codeBadTLS, "check autocertroot", "autocertroot: %q holds no PEM certificate", t.Root)
	}
	return pool, nil
}

// Begin gets the certificate in the background, from the folder or from
// the authority, tries again until it has one, and keeps it new. addr is where
// the server listens already. To be called once, before the first handshake.
func (a *Authority) Begin(addr net.Addr) error {
	if err := a.prepare(addr); err != nil {
		return err
	}
	return a.manage()
}

// prepare makes what gets certificates.
func (a *Authority) prepare(addr net.Addr) error {
	logger := zap.New(slogCore{log: a.log})
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil },
		Logger:           logger,
	})
	a.config = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: a.terms.Folder}, Logger: logger,
		DefaultServerName: a.terms.Name, OnEvent: a.observe,
	})
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	a.issuer = certmagic.NewACMEIssuer(a.config, certmagic.ACMEIssuer{
		CA: a.terms.Directory, Email: a.terms.Email, Agreed: true, TrustedRoots: a.roots,
		ListenHost: host, AltHTTPPort: number, AltTLSALPNPort: number, Logger: logger,
		DisableHTTPChallenge: a.terms.TLSOnly,
	})
	a.config.Issuers = []certmagic.Issuer{a.issuer}
	return nil
}

// manage loads the certificate that is there, and has one got and renewed.
func (a *Authority) manage() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	return a.config.ManageAsync(ctx, []string{a.terms.Name})
}

// End stops getting and renewing.
func (a *Authority) End() {
	if a.cancel != nil {
		a.cancel()
		a.cache.Stop()
	}
}

// observe tells of certificates that came and that did not.
func (a *Authority) observe(_ context.Context, event string, data map[string]any) error {
	var failure error
	switch event {
	case "cert_obtained":
		a.log.Info("got a certificate", "name", a.terms.Name, "renewal", data["renewal"])
	case "cert_failed":
		err, _ := data["error"].(error)
		failure = fault.New(CodeNoCertificate, a.terms.reach(),
			"no certificate for %q: %w", a.terms.Name, err)
		a.log.Error("the authority gave no certificate: tried again later, with what there is until then",
			"name", a.terms.Name, "err", err, "hint", fault.Hint(failure))
	default:
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = failure
	return nil
}

// reach says what the operator can see to.
func (t Terms) reach() string {
	if t.TLSOnly {
		return "see that the authority reaches this port as port 443 of that name"
	}
	return "see that the authority reaches this port as port 443 or 80 of that name"
}

const (
	// CodeNoCertificate is the code of an authority that gives none.
	CodeNoCertificate = "no_certificate"

	codeBadTLS = "bad_tls"
)

// Extend returns the configuration of a server that has certificates of its
// own, which it serves while there is none of the authority's, and to clients
// that call it by another name.
func (a *Authority) Extend(own *tls.Config) *tls.Config {
	c := own.Clone()
	c.NextProtos = append(c.NextProtos, acmeProtocol)
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := a.config.GetCertificate(hello)
		switch {
		case err == nil || slices.Contains(hello.SupportedProtos, acmeProtocol):
			return cert, err
		case own.GetCertificate != nil:
			return own.GetCertificate(hello)
		}
		return &own.Certificates[0], nil
	}
	return c
}

// AnswerHTTP answers a request if it is an HTTP-01 challenge for the name.
func (a *Authority) AnswerHTTP(w http.ResponseWriter, r *http.Request) bool {
	return a.issuer.HandleHTTPChallenge(w, r)
}

// Leaf returns the authority's certificate, nil while there is none.
func (a *Authority) Leaf() *x509.Certificate {
	for _, c := range a.cache.AllMatchingCertificates(a.terms.Name) {
		if c.Leaf != nil {
			return c.Leaf
		}
	}
	return nil
}

// Failure returns why there is no certificate, or no new one; nil when the
// last attempt succeeded.
func (a *Authority) Failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}
