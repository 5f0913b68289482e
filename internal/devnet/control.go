package devnet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/fault"
)

// Status describes the network that another process runs in the home. Codes:
// no_devnet, not_running.
func Status(ctx context.Context, h config.Home) (Info, error) {
	s, err := running(h)
	if err != nil {
		return Info{}, err
	}
	return s.withBalances(ctx)
}

// Mine mines blocks on the network that another process runs in the home and
// returns the new height. Codes: no_devnet, not_running, chain_failed.
func Mine(ctx context.Context, h config.Home, blocks int) (height int, err error) {
	s, err := running(h)
	if err != nil {
		return 0, err
	}
	c, err := chain.Dial(s.Btcd)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.Mine(ctx, blocks); err != nil {
		return 0, err
	}
	return c.Height(ctx)
}

// Down ends the network in the home and whatever is left of one that was
// killed; clean deletes it. With clean, a network that does not run is no
// error. Codes: no_devnet, not_running, stop_timeout.
func Down(ctx context.Context, h config.Home, clean bool) error {
	err := daemon.Stop(ctx, pidFile(h))
	stopped := err == nil
	if err != nil && fault.Code(err) != "not_running" {
		return err
	}
	s, err := loadState(h)
	if err != nil && !clean {
		return err
	}
	for _, pid := range s.pidFiles() {
		err := daemon.Stop(ctx, pid)
		if err != nil && fault.Code(err) != "not_running" {
			return err
		}
		stopped = stopped || err == nil
	}
	if clean {
		if _, err := os.Stat(h.Devnet()); errors.Is(err, fs.ErrNotExist) {
			return none(h)
		}
		return os.RemoveAll(h.Devnet())
	}
	if !stopped {
		return notRunning(h)
	}
	return nil
}

// pidFiles are those of the nodes, each before its signer's.
func (s state) pidFiles() []string {
	var paths []string
	for _, node := range s.Nodes {
		paths = append(paths, nodePidFile(NodeHome(config.Home(s.Home), node.Name)))
		if node.Signer != nil {
			paths = append(paths, signerPidFile(config.Home(node.Signer.Home)))
		}
	}
	return paths
}

// Running says whether a process runs a network in the home.
func Running(h config.Home) bool {
	_, ok := daemon.Running(pidFile(h))
	return ok
}

func running(h config.Home) (state, error) {
	s, err := loadState(h)
	if err == nil && !Running(h) {
		err = notRunning(h)
	}
	return s, err
}

func notRunning(h config.Home) error {
	return fault.New("not_running", "leyden devnet up", "no devnet runs in %q", string(h))
}

func nodePidFile(h config.Home) string { return filepath.Join(h.Run(), "node.pid") }

// Serve starts a network, reports it to whoever detached us, and keeps it up
// until ctx ends or its chain does.
func Serve(ctx context.Context, o Options) error {
	n, err := Start(ctx, o)
	if err != nil {
		daemon.Fail(err)
		return err
	}
	daemon.Ready()
	select {
	case <-ctx.Done():
	case <-n.Done():
		err = n.Err()
	}
	return errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
}

// KeepCommand is the hidden command of `leyden devnet` that calls Keep.
const KeepCommand = "keep-chain"

// Keep runs the btcd of the network in the home until ctx ends and its nodes
// have ended.
func Keep(ctx context.Context, h config.Home, dir, btcd string) error {
	return chain.Keep(ctx, dir, btcd, func() bool {
		s, err := loadState(h)
		return err == nil && slices.ContainsFunc(s.Nodes, func(n NodeInfo) bool {
			_, running := daemon.Running(nodePidFile(NodeHome(h, n.Name)))
			return running
		})
	})
}
