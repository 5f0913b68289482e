package gate

import (
	"context"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

// Live is what only the running gate knows.
type Live struct {
	// OpenInvoices are unpaid, those being made included.
	OpenInvoices int `json:"open_invoices"`

	// RequestsNow are under way with the configuration of this moment.
	RequestsNow int64 `json:"requests_now"`

	// Certificate is nil when the gate speaks plain HTTP.
	Certificate *CertificateStatus `json:"certificate,omitempty"`
}

// CertificateStatus is the certificate that the gate serves.
type CertificateStatus struct {
	// Source is "file", "self-signed" or "authority".
	Source  string    `json:"source"`
	Names   []string  `json:"names"`
	Expires time.Time `json:"expires"`

	// Error says why the authority gave none, or no new one.
	Error string `json:"error,omitempty"`
}

func (g *Gate) live() Live {
	now := g.now.Load()
	l := Live{RequestsNow: now.inside.Load(), Certificate: now.certificate()}
	if g.seller != nil {
		l.OpenInvoices = g.seller.OpenInvoices()
	}
	return l
}

// Reload tells the running gate to read its configuration again. Codes: those
// of Gate.Reload, not_running and no_control.
func Reload(ctx context.Context, home config.Home) error {
	_, on, err := readRecord(home)
	if err == nil && !on {
		err = notRunning(home)
	}
	if err != nil {
		return err
	}
	return callControl(ctx, home, controlReload, nil)
}

func notRunning(home config.Home) error {
	return fault.New("not_running", "leyden gate start", "no gate is running for %q", string(home))
}
