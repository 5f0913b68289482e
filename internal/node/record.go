package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// Running is what the running node has written down about itself, for our
// other commands. It holds no secrets.
type Running struct {
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Network string    `json:"network"`
	Backend string    `json:"backend"`

	// State is lnd's: see lnd.State.
	State string `json:"state"`

	// LndPID is 0 while lnd is down; Restarts counts its starts after the
	// first; Error says why it last ended or stays locked; NextStart is when it
	// will be started again.
	LndPID    int        `json:"lnd_pid,omitempty"`
	Restarts  int        `json:"restarts"`
	Error     string     `json:"error,omitempty"`
	NextStart *time.Time `json:"next_start,omitempty"`

	// RPC, REST and P2P are host:port.
	RPC  []string `json:"rpc"`
	REST []string `json:"rest,omitempty"`
	P2P  []string `json:"p2p,omitempty"`

	Dir      string `json:"lnddir"`
	TLSCert  string `json:"tls_cert"`
	Macaroon string `json:"admin_macaroon"`

	// Socket and SocketCert are for our own commands alone.
	Socket     string `json:"socket"`
	SocketCert string `json:"socket_cert"`
}

// recorder keeps the file in step.
type recorder struct {
	path string

	mu  sync.Mutex
	now Running
}

func newRecorder(home config.Home, p *plan, open ports, e lnd.Endpoint) *recorder {
	return &recorder{path: recordFile(home), now: Running{
		PID: os.Getpid(), Since: time.Now().Truncate(time.Second),
		Network: p.config.Network(), Backend: p.config.Backend(),
		State: lnd.Down.String(),
		RPC:   addrs(open.rpc), REST: addrs(open.rest), P2P: p.config.PeerAddrs(),
		Dir: home.Node(), TLSCert: certFile(home), Macaroon: networkDir(home, p.config.Network()) + "/admin.macaroon",
		Socket: e.Socket, SocketCert: e.CertPath,
	}}
}

func addrs(listeners []net.Listener) []string {
	var list []string
	for _, l := range listeners {
		list = append(list, l.Addr().String())
	}
	return list
}

func (r *recorder) running() Running {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// update writes the status down. A file that cannot be written only blinds
// our other commands, so the node goes on.
func (r *recorder) update(s lnd.Status, log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.State, r.now.LndPID, r.now.Restarts = s.State.String(), s.PID, s.Restarts
	r.now.Error, r.now.NextStart = "", nil
	if s.Err != nil {
		r.now.Error = s.Err.Error()
	}
	if !s.NextStart.IsZero() {
		r.now.NextStart = &s.NextStart
	}
	data, err := json.MarshalIndent(r.now, "", "  ")
	if err == nil {
		err = files.Write(r.path, append(data, '\n'), 0o600)
	}
	if err != nil {
		log.Error("status not written down", "error", err)
	}
}

func (r *recorder) remove() error {
	err := os.Remove(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
