package node

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"time"

	"github.com/lightningnetwork/lnd/cert"

	"github.com/leydenln/leyden/internal/config"
)

func certFile(h config.Home) string { return filepath.Join(h.Node(), "tls.cert") }

// certificate is the front's.
func (p *plan) certificate() (*tls.Config, error) {
	certPath, keyPath := certFile(p.home), filepath.Join(p.home.Node(), "tls.key")
	if _, err := os.Stat(certPath); err != nil {
		c, k, err := cert.GenCertPair("leyden", p.config.Front.TLSExtraIPs, p.config.Front.TLSExtraDomains, p.config.Front.TLSDisableAutofill, 14*30*24*time.Hour)
		if err != nil {
			return nil, err
		}
		if err := cert.WriteCertPair(certPath, keyPath, c, k); err != nil {
			return nil, err
		}
	}
	c, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}, nil
}
