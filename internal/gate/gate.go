package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/mailbox"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

const shutdownTimeout = 10 * time.Second

// lockFile is the file in the gate's folder that a running gate holds.
const lockFile = "gate.lock"

// Gate is one running gate. What a reload replaces is in its generation.
type Gate struct {
	log         *slog.Logger
	level       *slog.LevelVar // of log; nil when it is none of ours
	lock        *daemon.Lock
	db          *gatedb.DB
	link        *link
	watcher     *watcher
	seller      *l402http.Seller // nil when nobody is charged
	redemptions *redemptions
	journal     *journal // of seller
	server      *http.Server
	listener    net.Listener
	upgrades    *upgrades
	relay       *mailbox.Relay // nil for none
	observer    *observer
	metrics     *metricsServer // nil for none
	cancel      context.CancelFunc
	tasks       sync.WaitGroup
	stop        sync.Once
	stopErr     error
	failed      chan error

	reloading sync.Mutex
	now       atomic.Pointer[generation]
}

// Start opens everything and serves. A node that does not answer now is fine:
// tokens sold earlier pass. Errors: already_running, bad_config,
// insecure_file, key_missing, bad_key_file, bad_tls, port_in_use, those of the
// database, and of a node that answers but refuses our certificate or macaroon.
func Start(ctx context.Context, cfg *Config, log *slog.Logger) (*Gate, error) {
	return start(ctx, cfg, log, cfg.dialNode)
}

func start(ctx context.Context, cfg *Config, log *slog.Logger, dial func() (Node, error)) (*Gate, error) {
	g := &Gate{log: log, upgrades: newUpgrades(), observer: newObserver(log), failed: make(chan error, 1)}
	if err := g.open(ctx, cfg, dial); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

// open builds the gate up to where it serves. What it has opened Stop closes,
// also after an error.
func (g *Gate) open(ctx context.Context, cfg *Config, dial func() (Node, error)) error {
	err := files.MkdirPrivate(cfg.BaseDir)
	if err != nil {
		return err
	}
	if g.lock, err = cfg.lock(); err != nil {
		return err
	}
	if g.db, err = gatedb.Open(ctx, cfg.SQLite.DBFile); err != nil {
		return err
	}
	if err := g.observer.open(cfg); err != nil {
		return err
	}
	if err := g.openSeller(ctx, cfg, dial); err != nil {
		return err
	}
	if err := g.openRelay(cfg); err != nil {
		return err
	}
	first, err := g.build(cfg)
	if err != nil {
		return err
	}
	if g.listener, err = g.listen(ctx, cfg); err != nil {
		return err
	}
	g.install(first)
	if err := g.begin(first, nil); err != nil {
		return err
	}
	first.warnOfExpiry(g.log)
	if g.metrics, err = g.serveMetrics(ctx, cfg); err != nil {
		return err
	}
	g.server = &http.Server{
		Handler: g, Protocols: new(http.Protocols), HTTP2: cfg.http2(), ConnState: observe, ConnContext: withConn,
		ReadHeaderTimeout: time.Duration(cfg.Limits.HeaderTimeout), MaxHeaderBytes: int(cfg.Limits.MaxHeaderBytes),
		ReadTimeout: time.Duration(cfg.ReadTimeout), WriteTimeout: time.Duration(cfg.WriteTimeout),
		IdleTimeout: time.Duration(cfg.IdleTimeout), DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	if !cfg.Insecure {
		g.server.TLSConfig = g.tlsConfig()
	}
	g.server.Protocols.SetHTTP1(true)
	g.server.Protocols.SetHTTP2(!cfg.Insecure)
	g.server.Protocols.SetUnencryptedHTTP2(cfg.Insecure)
	g.serve(!cfg.Insecure)
	return nil
}

// lock makes this the one process that uses the gate's folder: a second gate,
// of another home, would restore the payments that the first is about to
// answer. Code already_running.
func (c *Config) lock() (*daemon.Lock, error) {
	lock, err := daemon.Acquire(filepath.Join(c.BaseDir, lockFile))
	if fault.Code(err) == "already_running" {
		return nil, fault.New("already_running", "leyden gate stop, with the --home that it was started with",
			"another gate uses the folder %s: %w", c.BaseDir, err)
	}
	return lock, err
}

// openSeller makes the part that charges, if anybody is charged.
func (g *Gate) openSeller(ctx context.Context, cfg *Config, dial func() (Node, error)) error {
	keys, err := g.openKeys(ctx, cfg)
	if err != nil {
		return err
	}
	g.watcher = &watcher{db: g.db, log: g.log, started: time.Now(), honours: g.honours}
	if err := g.watcher.loadRevocations(ctx); err != nil || cfg.Authenticator.Disable {
		return err
	}
	g.link = &link{dial: dial, network: cfg.Authenticator.Network, settled: g.watcher.settle, log: g.log,
		broken: make(chan error, 1)}
	g.watcher.link = g.link
	g.journal = &journal{db: g.db}
	if g.redemptions, err = openRedemptions(ctx, g.db, g.log); err != nil {
		return err
	}
	if g.seller, err = l402http.NewSeller(g.sellerConfig(cfg, keys)); err != nil {
		return err
	}
	g.watcher.seller = g.seller
	open, err := g.db.OpenTransactions(ctx)
	if err != nil {
		return err
	}
	for _, t := range open {
		g.seller.Restore([]l402http.OpenChallenge{openChallenge(t, "")})
	}
	return g.checkNode(ctx)
}

// openKeys reads the master keys and records which of them mints.
func (g *Gate) openKeys(ctx context.Context, cfg *Config) (*l402.Keyring, error) {
	known, err := g.db.Keys(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := openKeys(filepath.Join(cfg.BaseDir, keyFile), known)
	if err != nil {
		return nil, err
	}
	return keys, g.db.SawKey(ctx, keys.Current(), time.Now())
}

// sellerConfig says how the gate sells.
func (g *Gate) sellerConfig(cfg *Config, keys *l402.Keyring) l402http.SellerConfig {
	return l402http.SellerConfig{
		Keys: keys, Invoicer: g.link, Revoked: g.watcher.isRevoked, Journal: g.journal,
		MaxOpen: int(cfg.Challenges.MaxOpen), InvoiceExpiry: time.Duration(cfg.Challenges.Expiry),
		SameAddress: cfg.Challenges.SameAddress, Body: answerBody, Log: g.log,
		Redemptions: g.redemptions, Realm: cfg.Authenticator.MPPRealm, Network: cfg.Authenticator.Network.payment(),
	}
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
		g.tasks.Go(func() { g.redemptions.record(ctx) })
	}
	g.tasks.Go(func() { g.watcher.sweep(ctx) })
	g.tasks.Go(func() { g.renewOwn(ctx) })
	g.tasks.Go(func() { g.observer.work(ctx) })
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
	if g.relay != nil { // whose streams would not end by themselves
		errs = append(errs, g.relay.Close())
	}
	switch {
	case g.server == nil && g.listener != nil:
		errs = append(errs, g.listener.Close())
	case g.server != nil:
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := g.server.Shutdown(ctx); err != nil {
			g.redemptions.cutShort()
			errs = append(errs, g.server.Close())
		}
	}
	g.upgrades.close()
	if g.cancel != nil {
		g.cancel()
	}
	g.tasks.Wait()
	errs = append(errs, g.metrics.close(), g.observer.close())
	if last := g.now.Load(); last != nil {
		last.end()
	}
	if g.link != nil {
		errs = append(errs, g.link.close())
	}
	if g.db != nil {
		errs = append(errs, g.db.Close())
	}
	if g.lock != nil {
		errs = append(errs, g.lock.Release())
	}
	return errors.Join(errs...)
}

// listen opens the port. Code port_in_use names the address.
func (g *Gate) listen(ctx context.Context, cfg *Config) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.ListenAddr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.New("port_in_use", "stop what listens there, or change listenaddr",
			"address %s is in use", cfg.ListenAddr)
	case errors.Is(err, syscall.EACCES):
		return nil, fault.New("listen_failed", "a port below 1024 needs CAP_NET_BIND_SERVICE: setcap, or systemd's AmbientCapabilities",
			"listen on %s: %w", cfg.ListenAddr, err)
	case err != nil:
		return nil, fault.New("listen_failed", "change listenaddr", "listen on %s: %w", cfg.ListenAddr, err)
	}
	return cfg.bound(schemeListener{l, !cfg.Insecure, g.answerAuthority}, cfg.Insecure), nil
}

// answerAuthority answers the HTTP-01 challenges of the authority.
func (g *Gate) answerAuthority(w http.ResponseWriter, r *http.Request) bool {
	a := g.now.Load().authority
	return a != nil && a.AnswerHTTP(w, r)
}
