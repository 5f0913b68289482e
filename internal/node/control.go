package node

import (
	"context"
	"errors"
	"io/fs"
	"net"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
)

// Status returns what the running node has written down. Nobody there:
// not_running.
func Status(home config.Home) (Running, error) {
	r, pid, err := daemon.ReadRecord(pidFile(home), recordFile(home), func(r Running) int { return r.PID }, "leyden node stop")
	switch {
	case fault.Code(err) == "not_running":
		return r, notRunning(home)
	case err != nil:
		return r, err
	case r.PID == 0:
		return Running{PID: pid, Dir: home.Node(), Record: lnd.Status{}.Record()}, nil
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

// Unlock opens the running node's wallet and waits until it serves. Codes:
// signer_unreachable while a watch-only node's signer is away, start_timeout, and
// those of Status and lnd.Unlock.
func Unlock(ctx context.Context, home config.Home, password []byte) (Running, error) {
	r, err := Status(home)
	if err != nil {
		return r, err
	}
	if err := r.signerThere(); err != nil {
		return r, err
	}
	kept, err := loadRemembered(home)
	if err != nil {
		return r, err
	}
	record := func() (lnd.Record, error) {
		if r, err = Status(home); err == nil {
			err = r.signerThere()
		}
		return r.Record, err
	}
	e := lnd.Endpoint{Socket: r.Socket, CertPath: r.SocketCert}
	err = lnd.UnlockFor(ctx, e, password, kept.RecoveryWindow, record, lnd.RPCActive, "leyden node status")
	return r, err
}

// signerThere refuses what lnd does only with its signer.
func (r Running) signerThere() error {
	if r.SignerError == "" {
		return nil
	}
	return fault.New("signer_unreachable", "leyden node status", "the wallet opens once the signer is there: %s", r.SignerError)
}

// Lncli returns the flags that point lncli at the node.
func Lncli(home config.Home) ([]string, error) {
	r, err := Status(home)
	network, addr := r.Network, DefaultRPC
	if err != nil || network == "" {
		kept, err := loadRemembered(home)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, noNode(home)
		}
		if err != nil {
			return nil, err
		}
		network = kept.Network
	}
	if len(r.RPC) > 0 {
		addr = Dialable(r.RPC[0])
	}
	return []string{"--lnddir=" + home.Node(), "--network=" + network, "--rpcserver=" + addr}, nil
}

// Dialable turns an address listened on into one to connect to.
func Dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
