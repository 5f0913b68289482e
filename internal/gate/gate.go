package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402/l402http"
)

const (
	readHeaderTimeout = 10 * time.Second
	maxHeaderBytes    = 64 << 10
	shutdownTimeout   = 10 * time.Second
)

// Gate is one running gate.
type Gate struct {
	cfg      *Config
	log      *slog.Logger
	db       *gatedb.DB
	link     *link
	watcher  *watcher
	proxies  *proxies
	server   *http.Server
	listener net.Listener
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	stop     sync.Once
	stopErr  error
	failed   chan error
}

// Start opens everything and serves. A node that does not answer now is fine:
// tokens sold earlier pass. Errors: bad_config, insecure_file, key_missing,
// bad_key_file, bad_tls, port_in_use, those of the database, and of a node
// that answers but refuses our certificate or macaroon.
func Start(ctx context.Context, cfg *Config, log *slog.Logger) (*Gate, error) {
	return start(ctx, cfg, log, func() (Node, error) { return dialLnd(cfg.Authenticator) })
}

func start(ctx context.Context, cfg *Config, log *slog.Logger, dial func() (Node, error)) (*Gate, error) {
	g := &Gate{cfg: cfg, log: log, failed: make(chan error, 1)}
	if err := g.open(ctx, dial); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

// open builds the gate up to where it serves. What it has opened Stop closes,
// also after an error.
func (g *Gate) open(ctx context.Context, dial func() (Node, error)) error {
	if err := files.MkdirPrivate(g.cfg.BaseDir); err != nil {
		return err
	}
	tlsConfig, err := g.cfg.serverTLS()
	if err != nil {
		return err
	}
	if g.db, err = gatedb.Open(ctx, g.cfg.SQLite.DBFile); err != nil {
		return err
	}
	seller, err := g.openSeller(ctx, dial)
	if err != nil {
		return err
	}
	g.proxies = &proxies{log: g.log, expand: g.cfg.expand}
	handler, err := newRouter(g.cfg, seller, g.proxies)
	if err != nil {
		return err
	}
	if g.listener, err = listen(ctx, g.cfg.ListenAddr, tlsConfig != nil); err != nil {
		return err
	}
	g.server = &http.Server{
		Handler: handler, TLSConfig: tlsConfig, Protocols: new(http.Protocols),
		ReadHeaderTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout: time.Duration(g.cfg.ReadTimeout), WriteTimeout: time.Duration(g.cfg.WriteTimeout),
		IdleTimeout: time.Duration(g.cfg.IdleTimeout),
		ErrorLog:    slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	g.server.Protocols.SetHTTP1(true)
	g.server.Protocols.SetHTTP2(tlsConfig != nil)
	g.server.Protocols.SetUnencryptedHTTP2(tlsConfig == nil)
	g.serve(tlsConfig != nil)
	return nil
}

// openSeller makes the part that charges; nil when nobody is charged.
func (g *Gate) openSeller(ctx context.Context, dial func() (Node, error)) (*l402http.Seller, error) {
	known, err := g.db.Keys(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := openKeys(filepath.Join(g.cfg.BaseDir, keyFile), known)
	if err != nil {
		return nil, err
	}
	if err := g.db.SawKey(ctx, keys.Current(), time.Now()); err != nil {
		return nil, err
	}
	g.watcher = &watcher{db: g.db, log: g.log, started: time.Now()}
	if err := g.watcher.loadRevocations(ctx); err != nil || g.cfg.Authenticator.Disable {
		return nil, err
	}
	g.link = &link{dial: dial, network: g.cfg.Authenticator.Network, settled: g.watcher.settle, log: g.log,
		broken: make(chan error, 1)}
	g.watcher.link = g.link
	seller, err := l402http.NewSeller(l402http.SellerConfig{
		Keys: keys, Invoicer: g.link, Revoked: g.watcher.isRevoked, Journal: journal{g.db},
		MaxOpen: int(g.cfg.Challenges.MaxOpen), InvoiceExpiry: time.Duration(g.cfg.Challenges.Expiry),
		SameAddress: g.cfg.Challenges.SameAddress, Log: g.log,
	})
	if err != nil {
		return nil, err
	}
	g.watcher.seller = seller
	open, err := g.db.OpenTransactions(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range open {
		seller.Restore([]l402http.OpenChallenge{openChallenge(t, "")})
	}
	return seller, g.checkNode(ctx)
}

// checkNode asks the node once. Only what waiting does not cure is an error.
func (g *Gate) checkNode(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := g.link.probe(ctx)
	switch fault.Code(err) {
	case lightning.CodeBadCertificate, lightning.CodeBadMacaroon, lightning.CodePermissionDenied:
		return err
	}
	g.link.report(err)
	return nil
}

func (g *Gate) serve(withTLS bool) {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	if g.link != nil {
		g.tasks.Go(func() { g.watcher.follow(ctx) })
	}
	g.tasks.Go(func() { g.watcher.sweep(ctx) })
	g.tasks.Go(func() {
		var err error
		if withTLS {
			err = g.server.ServeTLS(g.listener, "", "")
		} else {
			err = g.server.Serve(g.listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			g.failed <- err
		}
	})
}

// Addr is the address that is listened on.
func (g *Gate) Addr() net.Addr { return g.listener.Addr() }

// Failed yields the error that ended the server, if one does.
func (g *Gate) Failed() <-chan error { return g.failed }

// Stop lets requests end, for ten seconds at most, and closes everything in
// reverse order. Safe to call twice.
func (g *Gate) Stop() error {
	g.stop.Do(func() { g.stopErr = g.close() })
	return g.stopErr
}

func (g *Gate) close() error {
	var errs []error
	if g.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := g.server.Shutdown(ctx); err != nil {
			errs = append(errs, g.server.Close())
		}
	}
	if g.cancel != nil {
		g.cancel()
	}
	g.tasks.Wait()
	if g.proxies != nil {
		g.proxies.close()
	}
	if g.link != nil {
		errs = append(errs, g.link.close())
	}
	if g.db != nil {
		errs = append(errs, g.db.Close())
	}
	return errors.Join(errs...)
}

// listen opens the port. Code port_in_use names the address.
func listen(ctx context.Context, addr string, withTLS bool) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.New("port_in_use", "stop what listens there, or change listenaddr",
			"address %s is in use", addr)
	case err != nil:
		return nil, fault.New("listen_failed", "change listenaddr", "listen on %s: %w", addr, err)
	}
	return schemeListener{l, withTLS}, nil
}
