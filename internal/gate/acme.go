package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
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

// acmeTerms say which certificate, and from whom.
type acmeTerms struct {
	name, email, directory, root string
	folder                       string // keys, certificates and the account
}

// acmeTerms returns what the configuration asks for; false when it asks for
// nothing.
func (c *Config) acmeTerms() (acmeTerms, bool) {
	return acmeTerms{c.ServerName, c.AutoCertEmail, c.AutoCertCA, c.AutoCertRoot,
		filepath.Join(c.BaseDir, "acme")}, c.AutoCert
}

// authority gets the certificate for one name from an authority, and renews
// it. The challenges TLS-ALPN-01 and HTTP-01 are answered on the gate's own
// port, so the authority must reach that as 443 or 80.
type authority struct {
	terms acmeTerms
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

// newAuthority makes one that does nothing yet.
func newAuthority(terms acmeTerms, log *slog.Logger) (*authority, error) {
	roots, err := terms.roots()
	return &authority{terms: terms, roots: roots, log: log}, err
}

// roots returns who the authority's server is trusted by; nil for the system's.
func (t acmeTerms) roots() (*x509.CertPool, error) {
	if t.root == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.root)
	if err != nil {
		return nil, fault.New(codeBadTLS, "check autocertroot", "autocertroot: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(codeBadTLS, "check autocertroot", "autocertroot: %q holds no PEM certificate", t.root)
	}
	return pool, nil
}

// begin gets the certificate in the background, from the gate's folder or from
// the authority, tries again until it has one, and keeps it new. addr is where
// the gate listens already. To be called once, before the first handshake.
func (a *authority) begin(addr net.Addr) error {
	if err := a.prepare(addr); err != nil {
		return err
	}
	return a.manage()
}

// prepare makes what gets certificates.
func (a *authority) prepare(addr net.Addr) error {
	logger := zap.New(slogCore{log: a.log})
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil },
		Logger:           logger,
	})
	a.config = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: a.terms.folder}, Logger: logger,
		DefaultServerName: a.terms.name, OnEvent: a.observe,
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
		CA: a.terms.directory, Email: a.terms.email, Agreed: true, TrustedRoots: a.roots,
		ListenHost: host, AltHTTPPort: number, AltTLSALPNPort: number, Logger: logger,
	})
	a.config.Issuers = []certmagic.Issuer{a.issuer}
	return nil
}

// manage loads the certificate that is there, and has one got and renewed.
func (a *authority) manage() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	return a.config.ManageAsync(ctx, []string{a.terms.name})
}

// end stops getting and renewing.
func (a *authority) end() {
	if a.cancel != nil {
		a.cancel()
		a.cache.Stop()
	}
}

// observe tells of certificates that came and that did not.
func (a *authority) observe(_ context.Context, event string, data map[string]any) error {
	var failure error
	switch event {
	case "cert_obtained":
		a.log.Info("got a certificate", "name", a.terms.name, "renewal", data["renewal"])
	case "cert_failed":
		err, _ := data["error"].(error)
		failure = fault.New(codeNoCertificate, "see that the authority reaches the gate as port 443 or 80 of that name",
			"no certificate for %q: %w", a.terms.name, err)
		a.log.Error("the authority gave no certificate: tried again later, with what there is until then",
			"name", a.terms.name, "err", err, "hint", fault.Hint(failure))
	default:
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = failure
	return nil
}

// codeNoCertificate is the code of an authority that gives none.
const codeNoCertificate = "no_certificate"

// tlsConfig serves with the authority's certificate, and with our own while
// there is none, or to clients that call us by another name.
func (a *authority) tlsConfig(own tls.Certificate) *tls.Config {
	c := serving(own)
	c.NextProtos = append(c.NextProtos, acmeProtocol)
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := a.config.GetCertificate(hello)
		if err != nil && !slices.Contains(hello.SupportedProtos, acmeProtocol) {
			return &own, nil
		}
		return cert, err
	}
	return c
}

// leaf returns the authority's certificate, nil while there is none.
func (a *authority) leaf() *x509.Certificate {
	for _, c := range a.cache.AllMatchingCertificates(a.terms.name) {
		if c.Leaf != nil {
			return c.Leaf
		}
	}
	return nil
}

// failure returns why there is no certificate, or no new one; nil when the
// last attempt succeeded.
func (a *authority) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}
