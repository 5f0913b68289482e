package gate

import (
	"context"
	"errors"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402"
)

// codeNeedsRestart is the code of a change that a running gate cannot make.
const codeNeedsRestart = "needs_restart"

// Reload reads the configuration again, with the files that it names: master
// keys, certificates, backends' certificates, files in headers. New requests
// go by it, those under way end as they began. After an error nothing has
// changed. Codes: those of Load and Start, and needs_restart.
func (g *Gate) Reload(ctx context.Context) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	old := g.now.Load()
	if err := g.reload(ctx, old); err != nil {
		g.log.Error("not reloaded: the gate goes on as before", "config", old.cfg.path,
			"err", err, "code", fault.Code(err), "hint", fault.Hint(err))
		return err
	}
	g.log.Info("reloaded", "config", old.cfg.path, "services", len(g.now.Load().cfg.Services))
	return nil
}

func (g *Gate) reload(ctx context.Context, old *generation) error {
	cfg, err := Load(old.cfg.path, old.cfg.dir)
	if err != nil {
		return err
	}
	if err := old.cfg.allows(cfg); err != nil {
		return err
	}
	keys, err := g.openKeys(ctx, cfg)
	if err != nil {
		return err
	}
	next, err := g.build(cfg)
	if err != nil {
		return err
	}
	lines, err := cfg.openAccessLog()
	if err != nil {
		return err
	}
	if err := g.takeOver(next, old, keys); err != nil {
		next.endUnlike(old)
		return errors.Join(err, closeLog(lines))
	}
	if err := g.observer.access.use(lines); err != nil {
		g.log.Error("close the access log", "err", err)
	}
	if g.level != nil {
		g.level.Set(cfg.level())
	}
	g.replace(next, old)
	return nil
}

// takeOver does what can still fail.
func (g *Gate) takeOver(next, old *generation, keys *l402.Keyring) error {
	if err := g.begin(next, old); err != nil || g.seller == nil {
		return err
	}
	return g.seller.Update(g.sellerConfig(next.cfg, keys))
}

// allows returns why the running gate cannot take over another configuration.
func (c *Config) allows(next *Config) error {
	for _, k := range []struct {
		key      string
		old, new any
	}{
		{"listenaddr", c.ListenAddr, next.ListenAddr},
		{"insecure", c.Insecure, next.Insecure},
		{"basedir", c.BaseDir, next.BaseDir},
		{"sqlite.dbfile", c.SQLite.DBFile, next.SQLite.DBFile},
		{"prometheus.enabled", c.Prometheus.Enabled, next.Prometheus.Enabled},
		{"prometheus.listenaddr", c.Prometheus.ListenAddr, next.Prometheus.ListenAddr},
		{"idletimeout", time.Duration(c.IdleTimeout), time.Duration(next.IdleTimeout)},
		{"readtimeout", time.Duration(c.ReadTimeout), time.Duration(next.ReadTimeout)},
		{"writetimeout", time.Duration(c.WriteTimeout), time.Duration(next.WriteTimeout)},
		{"limits.maxconnections", c.Limits.MaxConnections, next.Limits.MaxConnections},
		{"limits.maxheaderbytes", c.Limits.MaxHeaderBytes, next.Limits.MaxHeaderBytes},
		{"limits.headertimeout", time.Duration(c.Limits.HeaderTimeout), time.Duration(next.Limits.HeaderTimeout)},
		{"limits.bodytimeout", time.Duration(c.Limits.BodyTimeout), time.Duration(next.Limits.BodyTimeout)},
		{"hashmail.enabled", c.HashMail.Enabled, next.HashMail.Enabled},
		{"hashmail.messagerate", time.Duration(c.HashMail.MessageRate), time.Duration(next.HashMail.MessageRate)},
		{"hashmail.messageburstallowance", c.HashMail.MessageBurstAllowance, next.HashMail.MessageBurstAllowance},
		{"hashmail.staletimeout", time.Duration(c.HashMail.StaleTimeout), time.Duration(next.HashMail.StaleTimeout)},
		{"authenticator.disable", c.Authenticator.Disable, next.Authenticator.Disable},
		{"authenticator.network", c.Authenticator.Network, next.Authenticator.Network},
		{"authenticator.lndhost", c.Authenticator.LndHost, next.Authenticator.LndHost},
		{"authenticator.tlspath", c.Authenticator.TLSPath, next.Authenticator.TLSPath},
		{"authenticator.macdir", c.Authenticator.MacDir, next.Authenticator.MacDir},
		{"authenticator.passphrase", c.Authenticator.Passphrase, next.Authenticator.Passphrase},
		{"authenticator.mailboxaddress", c.Authenticator.MailboxAddress, next.Authenticator.MailboxAddress},
		{"authenticator.devserver", c.Authenticator.DevServer, next.Authenticator.DevServer},
	} {
		if k.old != k.new {
			return fault.New(codeNeedsRestart, "leyden gate stop, then leyden gate start",
				"%s: line %d: %s cannot change from %v to %v while the gate runs",
				next.path, next.places.line(k.key), k.key, k.old, k.new)
		}
	}
	return nil
}
