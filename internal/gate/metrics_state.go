package gate

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leydenln/leyden/internal/store/gatedb"
)

const (
	totalsAge     = 10 * time.Second // how old sums of the records may be
	totalsTimeout = 5 * time.Second
)

// stateCollector gives the figures that are not of requests, when they are
// asked for: of the records, the node and shadow mode.
type stateCollector struct {
	gate *Gate

	mu     sync.Mutex
	read   time.Time
	totals []gatedb.ServiceTotals
}

// The figures.
var (
	openInvoices = newDesc("leyden_gate_open_invoices", "Unpaid invoices on the node.")
	nodeUp       = newDesc("leyden_gate_node_up", "1 when the node answers, so that tokens can be sold.")
	certExpiry   = newDesc("leyden_gate_certificate_expiry_seconds", "When the certificate that is served ends, in Unix time.")
	logLost      = newDesc("leyden_gate_accesslog_lost_total", "Lines of the access log that could not be written.")
	settledCount = newDesc("leyden_gate_settled_total", "Invoices that were paid, since the records began.", "service")
	settledMsat  = newDesc("leyden_gate_settled_msat_total", "What was paid, in msat, since the records began.", "service")
	shadowCount  = newDesc("leyden_gate_shadow_requests_total", "Requests that shadow mode did not charge for.", "service")
	shadowMsat   = newDesc("leyden_gate_shadow_msat_total", "The price of those requests, in msat.", "service")
)

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{openInvoices, nodeUp, certExpiry, logLost, settledCount, settledMsat, shadowCount, shadowMsat} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	if c.gate.seller != nil {
		up := 0.0
		if c.gate.link.Ready() == nil {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(nodeUp, prometheus.GaugeValue, up)
		to <- prometheus.MustNewConstMetric(openInvoices, prometheus.GaugeValue, float64(c.gate.seller.OpenInvoices()))
	}
	if cert := c.gate.now.Load().certificate(); cert != nil {
		to <- prometheus.MustNewConstMetric(certExpiry, prometheus.GaugeValue, float64(cert.Expires.Unix()))
	}
	counter(logLost, c.gate.observer.access.lost.Load())
	for _, t := range c.sums() {
		counter(settledCount, uint64(t.Settled), t.Service)
		counter(settledMsat, uint64(t.Received), t.Service)
	}
	for _, t := range c.gate.observer.shadow.totals() {
		counter(shadowCount, t.Requests, t.Service)
		counter(shadowMsat, t.RequestsMsat, t.Service)
	}
}

// sums returns the sums of the records, which are read anew at intervals.
func (c *stateCollector) sums() []gatedb.ServiceTotals {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read.IsZero() && time.Since(c.read) < totalsAge {
		return c.totals
	}
	ctx, cancel := context.WithTimeout(context.Background(), totalsTimeout)
	defer cancel()
	totals, err := c.gate.db.TotalsByService(ctx, time.Time{})
	if err != nil {
		c.gate.log.Warn("metrics: read records", "err", err)
		return c.totals
	}
	c.read, c.totals = time.Now(), totals
	return totals
}
