package signer

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/internal/lnd"
)

// Running is what the running signer has written down about itself, for our other
// commands. It holds no secrets.
type Running struct {
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Network string    `json:"network"`

	// Record is lnd's.
	lnd.Record

	// RPC and REST are host:port.
	RPC  []string `json:"rpc"`
	REST []string `json:"rest,omitempty"`

	Dir     string `json:"dir"`
	TLSCert string `json:"tls_cert"`

	// Bundle is the folder of the credentials bundle. BundleCurrent is false when
	// it is missing, has another certificate than the signer shows, or a macaroon
	// that was rotated away.
	Bundle        string `json:"bundle"`
	BundleCurrent bool   `json:"bundle_current"`

	// Macaroon, Socket and SocketCert are for our own commands alone.
	Macaroon   string `json:"admin_macaroon"`
	Socket     string `json:"socket"`
	SocketCert string `json:"socket_cert"`
}

// recorder keeps the file in step.
type recorder struct{ *daemon.Record[Running] }

func newRecorder(p *plan, open ports, e lnd.Endpoint, log *slog.Logger) recorder {
	return recorder{daemon.NewRecord(recordFile(p.home), Running{
		PID: os.Getpid(), Since: time.Now().Truncate(time.Second),
		Network: p.config.Network(), Record: lnd.Status{}.Record(),
		RPC: lnd.Addrs(open.rpc), REST: lnd.Addrs(open.rest),
		Dir: p.home.Signer(), TLSCert: certFile(p.home),
		Bundle: BundleDir(p.home), BundleCurrent: bundleCurrent(p.home),
		Macaroon: adminMacaroon(p.folder.NetworkDir()), Socket: e.Socket, SocketCert: e.CertPath,
	}, log)}
}

func adminMacaroon(networkDir string) string { return filepath.Join(networkDir, "admin.macaroon") }

// bundleCurrent says whether the bundle has the certificate of the front, and a
// macaroon of the root key that counts.
func bundleCurrent(h config.Home) bool {
	shown, err := os.ReadFile(certFile(h))
	if err != nil {
		return false
	}
	given, err := os.ReadFile(filepath.Join(BundleDir(h), bundle.CertFile))
	if err != nil || !bytes.Equal(shown, given) {
		return false
	}
	kept, err := loadRemembered(h)
	if err != nil {
		return false
	}
	raw, err := os.ReadFile(filepath.Join(BundleDir(h), bundle.MacaroonFile))
	if err != nil {
		return false
	}
	m, err := macaroon.Parse(raw)
	if err != nil {
		return false
	}
	id, err := m.RootKeyID()
	return err == nil && id == kept.RootKeyID
}

// lnd writes the child's status down.
func (r recorder) lnd(s lnd.Status) {
	r.Update(func(now *Running) { now.Record = s.Record() })
}
