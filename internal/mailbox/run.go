package mailbox

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/acme"
	"github.com/leydenln/leyden/internal/cert"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/footprint"
)

// DefaultListen is where a relay listens: every address.
const DefaultListen = "0.0.0.0:11110"

// Options of a relay that runs as a program.
type Options struct {
	// Listen is host:port (default DefaultListen).
	Listen string
	// Names are DNS names and addresses by which clients reach it, beside the
	// machine's own, for a certificate of our making.
	Names []string
	// CertPath and KeyPath are PEM files of a certificate of another making,
	// both or neither. They are read again when they change.
	CertPath, KeyPath string
	// Authority, where it has a Name, is asked for a certificate for that name,
	// and must reach the relay as port 443 of it. Folder and TLSOnly are ours.
	Authority acme.Terms
	// Metrics is where figures are served to Prometheus, host:port; "": nowhere.
	Metrics string
	Limits  Limits
}

// Running is what a relay that runs has written down for other commands.
type Running struct {
	PID     int       `json:"pid"`
	Listen  string    `json:"listen"`
	Cert    string    `json:"tls_cert"`
	Metrics string    `json:"metrics,omitempty"`
	Started time.Time `json:"started"`
}

func pidFile(home config.Home) string    { return filepath.Join(home.Run(), "mailbox.pid") }
func recordFile(home config.Home) string { return filepath.Join(home.Run(), "mailbox.json") }

// LogFile is where a relay in the background writes.
func LogFile(home config.Home) string { return filepath.Join(home.Mailbox(), "mailbox.log") }

// Run starts a relay, tells ready, and serves until ctx ends. Codes:
// already_running, port_in_use, listen_failed, bad_certificate, bad_tls, bad_limit.
func Run(ctx context.Context, home config.Home, opts Options, log *slog.Logger, ready func(Running)) error {
	if err := files.MkdirPrivate(home.Mailbox()); err != nil {
		return err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if fault.Code(err) == "already_running" {
		return fault.New("already_running", "leyden mailbox stop", "%w", err)
	}
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, home, opts, log, ready), lock.Release())
}

func run(ctx context.Context, home config.Home, opts Options, log *slog.Logger, ready func(Running)) error {
	or(&opts.Listen, DefaultListen)
	keeper, err := openCertificate(home, &opts, log)
	if err != nil {
		return err
	}
	relay, err := New(opts.Limits, log)
	if err != nil {
		return err
	}
	l, err := listen(ctx, "--listen", opts.Listen)
	if err != nil {
		return errors.Join(err, relay.Close())
	}
	config, end, err := withAuthority(home, opts.Authority, l, keeper.TLSConfig(), log)
	if err != nil {
		return errors.Join(err, l.Close(), relay.Close())
	}
	defer end()
	server := Serve(relay, l, config)
	figures, err := serveMetrics(ctx, &opts.Metrics, relay)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	record := daemon.NewRecord(recordFile(home), Running{}, log)
	record.Update(func(r *Running) {
		*r = Running{PID: os.Getpid(), Listen: l.Addr().String(), Cert: opts.CertPath, Metrics: opts.Metrics,
			Started: time.Now().Truncate(time.Second)}
	})
	log.Info("the relay is open", "listen", l.Addr().String())
	ready(record.Get())
	footprint.ReleaseProgram()
	err = relay.settleUntil(ctx, server.Failed(), footprint.Settle)
	if err == nil {
		log.Info("the relay closes")
	}
	if figures != nil {
		err = errors.Join(err, figures.Close())
	}
	return errors.Join(err, record.Remove(), server.Close())
}

// openCertificate opens the given certificate, or ours, which it makes.
func openCertificate(home config.Home, opts *Options, log *slog.Logger) (*cert.Keeper, error) {
	keep := cert.Options{CertPath: opts.CertPath, KeyPath: opts.KeyPath, Logger: log}
	if opts.CertPath == "" {
		opts.CertPath = filepath.Join(home.Mailbox(), "tls.cert")
		keep.CertPath, keep.KeyPath = opts.CertPath, filepath.Join(home.Mailbox(), "tls.key")
	} else if _, err := os.Stat(opts.CertPath); err != nil {
		return nil, fault.New("bad_certificate", "check --tlscert", "certificate: %w", err)
	}
	for _, name := range opts.Names {
		if net.ParseIP(name) != nil {
			keep.ExtraIPs = append(keep.ExtraIPs, name)
		} else {
			keep.ExtraDomains = append(keep.ExtraDomains, name)
		}
	}
	return cert.Open(keep)
}

// withAuthority has a certificate got, if one is wanted, for as long as end is
// not called.
func withAuthority(home config.Home, terms acme.Terms, l net.Listener, own *tls.Config, log *slog.Logger) (_ *tls.Config, end func(), err error) {
	if terms.Name == "" {
		return own, func() {}, nil
	}
	terms.Folder, terms.TLSOnly = filepath.Join(home.Mailbox(), "acme"), true
	authority, err := acme.New(terms, log)
	if err != nil {
		return nil, nil, err
	}
	if err := authority.Begin(l.Addr()); err != nil {
		return nil, nil, err
	}
	return authority.Extend(own), authority.End, nil
}

func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.New("port_in_use", "choose another with "+flag+" HOST:PORT", "address %s is in use", addr)
	case err != nil:
		return nil, fault.New("listen_failed", "choose another with "+flag+" HOST:PORT", "listen on %s: %w", addr, err)
	}
	return l, nil
}

// serveMetrics serves the figures at an address, which it completes; nil when
// none is given.
func serveMetrics(ctx context.Context, addr *string, relay *Relay) (*http.Server, error) {
	if *addr == "" {
		return nil, nil
	}
	l, err := listen(ctx, "--metrics", *addr)
	if err != nil {
		return nil, err
	}
	*addr = l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", relay.Metrics())
	s := &http.Server{Handler: mux, ReadTimeout: metricsTimeout, WriteTimeout: metricsTimeout, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(relay.log.Handler(), slog.LevelDebug)}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			relay.log.Error("metrics", "err", err)
		}
	}()
	return s, nil
}

// Stop ends the running relay, within ctx. Code not_running.
func Stop(ctx context.Context, home config.Home) error {
	err := daemon.Stop(ctx, pidFile(home))
	if fault.Code(err) == "not_running" {
		return notRunning()
	}
	return err
}

// Status returns the record of the running relay. Code not_running.
func Status(home config.Home) (Running, error) {
	var r Running
	if _, ok := daemon.Running(pidFile(home)); !ok {
		return r, notRunning()
	}
	text, err := os.ReadFile(recordFile(home))
	if errors.Is(err, fs.ErrNotExist) {
		return r, fault.New("not_running", "wait a moment", "the relay is starting or stopping")
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

func notRunning() error {
	return fault.New("not_running", "leyden mailbox start --detach", "no relay is running")
}
