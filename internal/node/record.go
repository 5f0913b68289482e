package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/lnd"
)

// Running is what the running node has written down about itself, for our
// other commands. It holds no secrets.
type Running struct {
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Network string    `json:"network"`
	Backend string    `json:"backend"`

	// Record is lnd's.
	lnd.Record

	// Signer is the host:port of a watch-only node's; SignerError says why it
	// counts as away.
	Signer      string `json:"signer,omitempty"`
	SignerError string `json:"signer_error,omitempty"`

	// Guard is "attached" while accounts are held to their limits and calls
	// pass, else empty; GuardError says why the guard is not attached although
	// lnd serves.
	Guard      string `json:"guard,omitempty"`
	GuardError string `json:"guard_error,omitempty"`

	// RPC, REST, P2P and API, the operator's, are host:port.
	RPC  []string `json:"rpc"`
	REST []string `json:"rest,omitempty"`
	P2P  []string `json:"p2p,omitempty"`
	API  string   `json:"api"`

	Dir      string `json:"lnddir"`
	TLSCert  string `json:"tls_cert"`
	Macaroon string `json:"admin_macaroon"`

	// Socket and SocketCert are for our own commands alone.
	Socket     string `json:"socket"`
	SocketCert string `json:"socket_cert"`
}

// recorder keeps the file in step.
type recorder struct{ *daemon.Record[Running] }

func newRecorder(home config.Home, p *plan, open ports, e lnd.Endpoint, log *slog.Logger) recorder {
	return recorder{daemon.NewRecord(recordFile(home), Running{
		PID: os.Getpid(), Since: time.Now().Truncate(time.Second),
		Network: p.config.Network(), Backend: p.config.Backend(),
		Record: lnd.Status{}.Record(), Signer: p.signerAddr(),
		RPC: lnd.Addrs(open.rpc), REST: lnd.Addrs(open.rest), P2P: p.config.PeerAddrs(), API: open.api.Addr().String(),
		Dir: home.Node(), TLSCert: certFile(home), Macaroon: filepath.Join(p.kept.folder(home, p.config.Network()).NetworkDir(), "admin.macaroon"),
		Socket: e.Socket, SocketCert: e.CertPath,
	}, log)}
}

// lnd writes the child's status down.
func (r recorder) lnd(s lnd.Status) {
	r.Update(func(now *Running) {
		now.Record, now.SignerError = s.Record(), ""
		if s.SignerAway() {
			now.SignerError = s.SignerErr.Error()
		}
	})
}

// guard writes down whether the guard is attached, and if not, why.
func (r recorder) guard(attached bool, why error) {
	r.Update(func(now *Running) {
		now.Guard, now.GuardError = "", ""
		if attached {
			now.Guard = "attached"
		}
		if why != nil {
			now.GuardError = why.Error()
		}
	})
}
