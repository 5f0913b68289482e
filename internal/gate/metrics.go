package gate

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/leydenln/leyden/internal/buildinfo"
)

// outcomes are all there are, so that every label is known beforehand.
var outcomes = []outcome{outcomeFree, outcomePaid, outcomeFreebie, outcomeShadow, outcomeChallenged, outcomeRefused,
	outcomeLimited, outcomeUnsold, outcomeBlocked, outcomeRejected, outcomeStatic}

// outcomesWithout are those of requests that are for no service.
var outcomesWithout = []outcome{outcomeBlocked, outcomeRejected, outcomeStatic}

// secondsBuckets are the bounds of the histogram of how long requests take.
var secondsBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}

// counts are the figures of requests. Labels are the services of the
// configuration and the outcomes above: nothing that a stranger chooses.
type counts struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	failures    *prometheus.CounterVec
	redemptions *prometheus.CounterVec
	services    atomic.Pointer[map[string]*serviceCounts]
}

// serviceCounts are the figures of one service; "" has what is for none.
type serviceCounts struct {
	requests    map[outcome]prometheus.Counter
	seconds     prometheus.Observer
	failures    prometheus.Counter
	redemptions prometheus.Counter
}

func newCounts() *counts {
	c := &counts{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	c.requests = counter("leyden_gate_requests_total",
		"Requests by service (empty: for none) and outcome.", "service", "outcome")
	c.failures = counter("leyden_gate_given_back_total",
		"Requests that the backend failed, so that nothing was used up.", "service")
	c.redemptions = counter("leyden_gate_redemptions_total",
		"Payment credentials used up.", "service")
	c.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "leyden_gate_request_seconds",
		Help: "How long requests took, streams to their end.", Buckets: secondsBuckets}, []string{"service"})
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "leyden_build_info", Help: "1, with the program's version.",
		ConstLabels: prometheus.Labels{"version": buildinfo.Version(), "commit": buildinfo.Commit()}})
	build.Set(1)
	c.registry.MustRegister(c.requests, c.failures, c.redemptions, c.seconds, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c.know(nil)
	return c
}

// know makes the figures of services that are new. Those of services that are
// gone stay until the gate ends.
func (c *counts) know(services []*Service) {
	all := map[string]*serviceCounts{}
	if last := c.services.Load(); last != nil {
		for name, s := range *last {
			all[name] = s
		}
	} else {
		all[""] = c.newService("", outcomesWithout)
	}
	for _, s := range services {
		if all[string(s.Name)] == nil {
			all[string(s.Name)] = c.newService(string(s.Name), outcomes)
		}
	}
	c.services.Store(&all)
}

func (c *counts) newService(name string, outcomes []outcome) *serviceCounts {
	s := &serviceCounts{requests: map[outcome]prometheus.Counter{}, seconds: c.seconds.WithLabelValues(name),
		failures: c.failures.WithLabelValues(name), redemptions: c.redemptions.WithLabelValues(name)}
	for _, o := range outcomes {
		s.requests[o] = c.requests.WithLabelValues(name, string(o))
	}
	return s
}

// of returns the figures of a service that is known.
func (c *counts) of(service string) *serviceCounts { return (*c.services.Load())[service] }
