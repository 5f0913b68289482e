package gate

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/leydenln/leyden/internal/fault"
)

const metricsTimeout = 10 * time.Second

// Health is what /healthz answers: status 200 when the gate sells, 503 when it
// cannot.
type Health struct {
	// Status is "ok", or "degraded" when no new token can be sold.
	Status string `json:"status"`

	// Reason and Code say why not.
	Reason string `json:"reason,omitempty"`
	Code   string `json:"code,omitempty"`

	// PaidPass: requests with a token that is paid for are served all the same.
	PaidPass bool `json:"paid_pass"`
}

// health says how the gate is.
func (g *Gate) health() Health {
	if g.link != nil {
		if err := g.link.Ready(); err != nil {
			return Health{"degraded", "the node cannot be used: " + err.Error(), fault.Code(err), true}
		}
		if err := g.journal.trouble(); err != nil {
			return Health{"degraded", "nothing can be recorded: " + err.Error(), fault.Code(err), true}
		}
	}
	return Health{Status: "ok", PaidPass: true}
}

// metricsServer serves /metrics and /healthz on the loopback.
type metricsServer struct {
	server   *http.Server
	listener net.Listener
	done     chan struct{}
}

// serveMetrics opens the port, if it is wanted. Code port_in_use.
func (g *Gate) serveMetrics(ctx context.Context, cfg *Config) (*metricsServer, error) {
	if !cfg.Prometheus.Enabled {
		return nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Prometheus.ListenAddr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.New("port_in_use", "stop what listens there, or change prometheus.listenaddr",
			"address %s is in use", cfg.Prometheus.ListenAddr)
	case err != nil:
		return nil, fault.New("listen_failed", "change prometheus.listenaddr", "listen on %s: %w", cfg.Prometheus.ListenAddr, err)
	}
	g.observer.counts.registry.MustRegister(&stateCollector{gate: g})
	m := &metricsServer{listener: l, done: make(chan struct{})}
	m.server = &http.Server{Handler: g.metricsHandler(), ReadTimeout: metricsTimeout, WriteTimeout: metricsTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(m.done)
		if err := m.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("metrics", "err", err)
		}
	}()
	return m, nil
}

func (g *Gate) metricsHandler() http.Handler {
	figures := prometheus.Gatherers{g.observer.counts.registry}
	if g.relay != nil {
		figures = append(figures, g.relay.Gatherer())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(figures, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4, Timeout: metricsTimeout}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h := g.health()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if h.Status != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(h) // an error means that the caller has gone
	})
	return mux
}

// close ends the server; nil is closed.
func (m *metricsServer) close() error {
	if m == nil {
		return nil
	}
	err := m.server.Close()
	<-m.done
	return err
}
