package mailbox

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// streamBuffer is what net/http takes of a stream, and of a connection,
	// before the relay reads it, in bytes.
	streamBuffer = 128 << 10
	// connectionStreams is how many streams one connection may have.
	connectionStreams = 256
	// headerTable is what a connection keeps to compress the headers it sends,
	// in bytes: next to nothing, since streams are few and long. Those it
	// receives must have HTTP/2's own 4096: until a client has heard of less it
	// counts on them, and many begin several streams before they have heard anything.
	headerTable = 256
	// maxHeader is how long the headers of a request may be, in bytes.
	maxHeader = 8 << 10
	// shutdownTimeout is how long streams have to end in order.
	shutdownTimeout = time.Second
	metricsTimeout  = 10 * time.Second
)

// Server is a relay on a port of its own.
type Server struct {
	relay    *Relay
	listener net.Listener
	http     *http.Server
	failed   chan error
}

// Serve serves a relay on a listener, with TLS, until Close. Errors that end it
// later are in Failed.
func Serve(relay *Relay, l net.Listener, config *tls.Config) *Server {
	config = config.Clone()
	config.NextProtos = append(config.NextProtos, "h2", "http/1.1")
	config.DynamicRecordSizingDisabled = true // messages are large, and used only whole
	s := &Server{
		relay: relay, listener: l, failed: make(chan error, 1),
		http: &http.Server{
			Handler: relay.Handler(), ReadHeaderTimeout: relay.helloWithin, IdleTimeout: 2 * time.Minute,
			MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(relay.log.Handler(), slog.LevelDebug),
			HTTP2: &http.HTTP2Config{
				MaxConcurrentStreams: connectionStreams, MaxReceiveBufferPerConnection: streamBuffer,
				MaxReceiveBufferPerStream: streamBuffer, MaxEncoderHeaderTableSize: headerTable,
				SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: 30 * time.Second,
			},
		},
	}
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(true)
	go func() {
		if err := s.http.Serve(newListener(relay, l, config)); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return s
}

// Addr is where the relay listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Failed tells why the server ended by itself.
func (s *Server) Failed() <-chan error { return s.failed }

// Close ends the relay and its streams, within seconds.
func (s *Server) Close() error {
	err := s.relay.Close()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		return errors.Join(err, s.http.Close())
	}
	return err
}

// Gatherer gathers the figures, for who serves them with others.
func (r *Relay) Gatherer() prometheus.Gatherer { return r.metrics.registry }

// Metrics serves the figures in Prometheus' format.
func (r *Relay) Metrics() http.Handler {
	return promhttp.HandlerFor(r.metrics.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4, Timeout: metricsTimeout,
	})
}
