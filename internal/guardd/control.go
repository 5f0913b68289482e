package guardd

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
)

// Running is what the running guard has written down about itself, for our
// other commands. It holds no secrets.
type Running struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`

	// State is "attached" while calls pass, else "waiting", for what Error says.
	State string `json:"state"`
	Error string `json:"error,omitempty"`

	// LND is lnd's own address, Network its chain.
	LND     string `json:"lnd"`
	Network string `json:"network"`

	// RPC, REST and API are host:port.
	RPC  []string `json:"rpc"`
	REST []string `json:"rest,omitempty"`
	API  string   `json:"api"`

	Dir              string `json:"dir"`
	TLSCert          string `json:"tls_cert"`
	OperatorMacaroon string `json:"operator_macaroon"`
}

func newRunning(home config.Home, target Target, network string, open ports) Running {
	return Running{
		PID: os.Getpid(), Since: time.Now().Truncate(time.Second), State: waiting,
		LND: target.Address, Network: network,
		RPC: lnd.Addrs(open.rpc), REST: lnd.Addrs(open.rest), API: open.api.Addr().String(),
		Dir: home.Guard(), TLSCert: certFile(home), OperatorMacaroon: filepath.Join(home.Guard(), api.MacaroonFile),
	}
}

// Names of Running.State.
const (
	attached = "attached"
	waiting  = "waiting"
)

// set notes that the guard is attached, or why it is not.
func (r *Running) set(err error) {
	r.State, r.Error = attached, ""
	if err != nil {
		r.State, r.Error = waiting, err.Error()
	}
}

// Status returns what the running guard has written down. Codes: not_running,
// no_status.
func Status(home config.Home) (Running, error) {
	r, pid, err := daemon.ReadRecord(pidFile(home), recordFile(home), func(r Running) int { return r.PID }, "leyden guard stop")
	switch {
	case fault.Code(err) == "not_running":
		return r, notRunning(home)
	case err != nil:
		return r, err
	case r.PID == 0:
		return Running{PID: pid, State: waiting, Dir: home.Guard()}, nil
	}
	return r, nil
}

// Stop ends the running guard in order, within ctx. Codes: not_running,
// stop_timeout.
func Stop(ctx context.Context, home config.Home) error {
	err := daemon.Stop(ctx, pidFile(home))
	if fault.Code(err) == "not_running" {
		return notRunning(home)
	}
	return err
}

func notRunning(home config.Home) error {
	return fault.New("not_running", "leyden guard start", "no guard is running for %q", string(home))
}

func pidFile(h config.Home) string    { return filepath.Join(h.Run(), "guard.pid") }
func recordFile(h config.Home) string { return filepath.Join(h.Run(), "guard.json") }
func certFile(h config.Home) string   { return filepath.Join(h.Guard(), "tls.cert") }

// LogFile is where a guard in the background writes.
func LogFile(h config.Home) string { return filepath.Join(h.Guard(), "guard.log") }
