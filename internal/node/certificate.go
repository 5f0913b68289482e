package node

import (
	"crypto/tls"
	"log/slog"
	"path/filepath"

	"github.com/leydenln/leyden/internal/cert"
	"github.com/leydenln/leyden/internal/config"
)

func certFile(h config.Home) string { return filepath.Join(h.Node(), "tls.cert") }

// certificate opens the front's, where lncli looks for it.
func (p *plan) certificate(log *slog.Logger) (*tls.Config, error) {
	f := p.config.Front
	keeper, err := cert.Open(cert.Options{
		CertPath: certFile(p.home), KeyPath: filepath.Join(p.home.Node(), "tls.key"),
		ExtraIPs: f.TLSExtraIPs, ExtraDomains: f.TLSExtraDomains,
		DisableAutofill: f.TLSDisableAutofill, AutoRefresh: f.TLSAutoRefresh,
		Validity: f.TLSCertDuration, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return keeper.TLSConfig(), nil
}
