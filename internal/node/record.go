package node

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
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

// Status returns what the running node has written down. Nobody there:
// not_running.
func Status(home config.Home) (Running, error) {
	var r Running
	pid, ok := daemon.Running(pidFile(home))
	if !ok {
		return r, notRunning(home)
	}
	data, err := os.ReadFile(recordFile(home))
	if errors.Is(err, fs.ErrNotExist) {
		return Running{PID: pid, Dir: home.Node(), State: lnd.Down.String()}, nil
	}
	if err != nil {
		return r, fault.New("no_status", "check the file's owner and mode", "status of the node: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fault.New("no_status", "leyden node stop", "status of the node in %q is malformed: %w", recordFile(home), err)
	}
	if r.PID != pid {
		// Left behind by a node that was killed; this one has yet to write.
		return Running{PID: pid, Dir: home.Node(), State: lnd.Down.String()}, nil
	}
	return r, nil
}

func notRunning(home config.Home) error {
	return fault.New("not_running", "leyden node start", "no node is running for %q", string(home))
}

// Stop ends the running node in order, within ctx.
func Stop(ctx context.Context, home config.Home) error {
	err := daemon.Stop(ctx, pidFile(home))
	if fault.Code(err) == "not_running" {
		return notRunning(home)
	}
	return err
}

// Unlock opens the running node's wallet and waits until it serves.
func Unlock(ctx context.Context, home config.Home, password []byte) (Running, error) {
	r, err := Status(home)
	if err != nil {
		return r, err
	}
	kept, err := loadRemembered(home)
	if err != nil {
		return r, err
	}
	e := lnd.Endpoint{Socket: r.Socket, CertPath: r.SocketCert}
	if err := lnd.Unlock(ctx, e, password, kept.RecoveryWindow); err != nil {
		return r, err
	}
	for {
		r, err := Status(home)
		if err != nil {
			return r, err
		}
		if r.State == lnd.RPCActive.String() || r.State == lnd.Active.String() {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, fault.New("start_timeout", "leyden node status", "the wallet is open but lnd is not ready: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Lncli returns the flags that point lncli at the node.
func Lncli(home config.Home) ([]string, error) {
	r, err := Status(home)
	network, addr := r.Network, DefaultRPC
	if err != nil || network == "" {
		kept, err := loadRemembered(home)
		if err != nil {
			return nil, fault.New("no_wallet", "leyden node create --mode standalone",
				"there is no node yet in %q", home.Node())
		}
		network = kept.Network
	}
	if len(r.RPC) > 0 {
		addr = dialable(r.RPC[0])
	}
	return []string{"--lnddir=" + home.Node(), "--network=" + network, "--rpcserver=" + addr}, nil
}

// dialable turns an address listened on into one to connect to.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
