package signer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
)

// Status returns what the running signer has written down. Nobody there:
// not_running.
func Status(home config.Home) (Running, error) {
	r, pid, err := daemon.ReadRecord(pidFile(home), recordFile(home), func(r Running) int { return r.PID }, "leyden signer stop")
	switch {
	case fault.Code(err) == "not_running":
		return r, notRunning(home)
	case err != nil:
		return r, err
	case r.PID == 0:
		return Running{PID: pid, Dir: home.Signer(), Record: lnd.Status{}.Record()}, nil
	}
	r.BundleCurrent = bundleCurrent(home)
	return r, nil
}

func notRunning(home config.Home) error {
	return fault.New("not_running", "leyden signer start", "no signer is running for %q", string(home))
}

// Stop ends the running signer in order, within ctx.
func Stop(ctx context.Context, home config.Home) error {
	err := daemon.Stop(ctx, pidFile(home))
	if fault.Code(err) == "not_running" {
		return notRunning(home)
	}
	return err
}

// Clean deletes the signer's folder: wallet, password, seed and bundle. The signer
// must not run. Codes: already_running, no_wallet, write_failed.
func Clean(ctx context.Context, home config.Home) error {
	if _, err := os.Lstat(home.Signer()); errors.Is(err, fs.ErrNotExist) {
		return noSigner(home)
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return ours(err)
	}
	defer lock.Release()
	r := lnd.Runner{Dir: home.Signer()}
	if err := r.AwaitFree(ctx); err != nil {
		return ours(err)
	}
	dir, err := filepath.EvalSymlinks(home.Signer()) // the keys, and not only a link to them
	if err == nil {
		err = errors.Join(os.RemoveAll(dir), os.RemoveAll(home.Signer()))
	}
	if err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "delete the signer: %w", err)
	}
	return nil
}

// Unlock opens the running signer's wallet and waits until it signs.
func Unlock(ctx context.Context, home config.Home, password []byte) (r Running, err error) {
	defer func() { err = ours(err) }()
	if r, err = Status(home); err != nil {
		return r, err
	}
	record := func() (lnd.Record, error) {
		r, err = Status(home)
		return r.Record, err
	}
	e := lnd.Endpoint{Socket: r.Socket, CertPath: r.SocketCert}
	err = lnd.UnlockFor(ctx, e, password, 0, record, lnd.Active, "leyden signer status")
	return r, err
}

// Dial connects to the lnd of the running signer over its private socket, past the
// front, with all power. It is for commands on the signer's machine. Codes:
// not_running, signer_locked.
func Dial(home config.Home) (*grpc.ClientConn, error) {
	r, err := Status(home)
	if err != nil {
		return nil, err
	}
	if r.Socket == "" {
		return nil, fault.New("signer_locked", "leyden signer status", "the signer is starting")
	}
	return dialChild(lnd.Endpoint{Socket: r.Socket, CertPath: r.SocketCert}, r.Macaroon)
}

func dialChild(e lnd.Endpoint, macaroonPath string) (*grpc.ClientConn, error) {
	macaroon, err := os.ReadFile(macaroonPath)
	if err != nil {
		return nil, fault.New("signer_locked", "leyden signer status", "the signer's macaroon: %w", err)
	}
	conn, err := e.Dial(lnd.WithMacaroon(macaroon))
	if err != nil {
		return nil, fault.New("signer_unreachable", "leyden signer status", "reach the signer's lnd: %w", err)
	}
	return conn, nil
}
