package mailbox

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the relay's figures, for Prometheus. None says whose they are.
type metrics struct {
	registry *prometheus.Registry

	created, expired, dropped prometheus.Counter
	messages, bytes, delayed  prometheus.Counter
	readers, writers          prometheus.Gauge
	refused                   *prometheus.CounterVec
}

func newMetrics(r *Relay) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "leyden", Subsystem: "mailbox", Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "leyden", Subsystem: "mailbox", Name: name, Help: help})
		m.registry.MustRegister(g)
		return g
	}
	now := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "leyden", Subsystem: "mailbox", Name: name, Help: help}, f))
	}
	m.created = counter("boxes_created_total", "boxes made")
	m.expired = counter("boxes_expired_total", "boxes deleted because nobody used them")
	m.dropped = counter("messages_dropped_total", "messages dropped because nobody came for them, or took them when there was no room")
	m.messages = counter("messages_total", "messages taken")
	m.bytes = counter("message_bytes_total", "bytes of the messages taken")
	m.delayed = counter("messages_delayed_total", "messages delayed because there were too many a second")
	m.readers = gauge("readers", "streams that empty a box")
	m.writers = gauge("writers", "streams that fill a box")
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "leyden", Subsystem: "mailbox",
		Name: "refused_total", Help: "requests refused, and streams ended, by reason"}, []string{"reason"})
	m.registry.MustRegister(m.refused)
	now("boxes", "boxes there are", func() float64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return float64(len(r.boxes))
	})
	now("connections", "connections open", func() float64 {
		r.clients.mu.Lock()
		defer r.clients.mu.Unlock()
		return float64(r.clients.connections)
	})
	now("clients", "client networks that use the relay", func() float64 {
		r.clients.mu.Lock()
		defer r.clients.mu.Unlock()
		return float64(len(r.clients.known))
	})
	now("queued_messages", "messages that wait", func() float64 { n, _ := r.queued(); return n })
	now("queued_bytes", "bytes of the messages that wait", func() float64 { _, n := r.queued(); return n })
	return m
}

func (r *Relay) queued() (messages, bytes float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.boxes {
		b.mu.Lock()
		messages += float64(len(b.queue))
		for _, e := range b.queue {
			bytes += float64(len(e.msg))
		}
		b.mu.Unlock()
	}
	return messages, bytes
}
