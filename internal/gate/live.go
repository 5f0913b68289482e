package gate

import (
	"context"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

// Live is what only the running gate knows.
type Live struct {
	// OpenInvoices are unpaid, those being made included.
	OpenInvoices int `json:"open_invoices"`

	// RequestsNow are under way with the configuration of this moment.
	RequestsNow int64 `json:"requests_now"`

	// Requests are those since the start, by service ("" for none) and
	// outcome. What never happened is left out.
	Requests map[string]map[string]uint64 `json:"requests"`

	// Shadow is what shadow mode would have asked for since the start.
	Shadow []ShadowTotals `json:"shadow"`

	Health Health `json:"health"`

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
	l := Live{RequestsNow: now.inside.Load(), Requests: g.observer.counts.snapshot(), Health: g.health(),
		Shadow: append([]ShadowTotals{}, g.observer.shadow.totals()...), Certificate: now.certificate()}
	if g.seller != nil {
		l.OpenInvoices = g.seller.OpenInvoices()
	}
	return l
}

// snapshot returns the requests that were counted.
func (c *counts) snapshot() map[string]map[string]uint64 {
	all := map[string]map[string]uint64{}
	for service, figures := range *c.services.Load() {
		for outcome, counter := range figures.requests {
			var m dto.Metric
			if err := counter.Write(&m); err != nil || m.GetCounter().GetValue() == 0 {
				continue
			}
			if all[service] == nil {
				all[service] = map[string]uint64{}
			}
			all[service][string(outcome)] = uint64(m.GetCounter().GetValue())
		}
	}
	return all
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
