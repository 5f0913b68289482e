package lnd

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Runner is everything a start of the child needs.
type Runner struct {
	// Dir is the lnddir.
	Dir string

	// Runtime is the folder of the socket (RuntimeDir). It goes with the child.
	Runtime string

	// Config is what lnd shall run with.
	Config *Config

	// Self is the binary that runs the child: os.Executable.
	Self string

	// Log gets starts, ends and failures.
	Log *slog.Logger
}

// NewRunner is the Runner of our own binary. Code: start_failed.
func NewRunner(dir string, c *Config, log *slog.Logger) (r Runner, err error) {
	r = Runner{Dir: dir, Config: c, Log: log}
	if r.Runtime, err = RuntimeDir(dir); err != nil {
		return r, err
	}
	if r.Self, err = os.Executable(); err != nil {
		return r, fault.New("start_failed", "", "find our own binary: %w", err)
	}
	return r, nil
}

// Endpoint is where the child serves.
func (r Runner) Endpoint() Endpoint {
	return Endpoint{Socket: filepath.Join(r.Runtime, socketName), CertPath: r.spec(false).CertPath()}
}

func (r Runner) spec(walletOnly bool) ChildSpec {
	private := filepath.Join(r.Dir, "private")
	return ChildSpec{
		Dir: r.Dir, Private: private, Config: filepath.Join(private, childConf),
		Socket: filepath.Join(r.Runtime, socketName), WalletOnly: walletOnly,
	}
}

// start writes the configuration and starts the child, once a child that an
// earlier, killed parent left behind has ended.
func (r Runner) start(ctx context.Context, walletOnly bool) (*process, error) {
	return r.startSpec(ctx, r.spec(walletOnly))
}

// startSpec is start with a spec of r.spec.
func (r Runner) startSpec(ctx context.Context, spec ChildSpec) (*process, error) {
	if err := files.MkdirPrivate(spec.Private); err != nil {
		return nil, err
	}
	if err := files.Write(spec.Config, render(r.Config.options), 0o600); err != nil {
		return nil, err
	}
	if err := ownedDir(r.Runtime); err != nil {
		return nil, err
	}
	if err := r.AwaitFree(ctx); err != nil {
		return nil, err
	}
	if !spec.WalletOnly {
		if err := r.Config.probe(ctx); err != nil {
			return nil, err
		}
	}
	if err := os.Remove(spec.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("write_failed", "remove it", "stale socket: %w", err)
	}
	// An lnd that meets a full disk on its way up may neither come up nor end.
	if diskFull(spec.Config) {
		return nil, fault.New("disk_full", "free some space, then try again", "no space left for lnd in %q", r.Dir)
	}
	return start(r.Self, spec)
}

// orphanWait is how long a child without parent gets to end in order.
const orphanWait = 60 * time.Second

// AwaitFree waits until no child holds the folder. Codes: already_running,
// write_failed.
func (r Runner) AwaitFree(ctx context.Context) error {
	if err := files.MkdirPrivate(r.spec(false).Private); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, orphanWait)
	defer cancel()
	told := false
	for {
		lock, err := r.spec(false).Lock()
		if err == nil {
			return lock.Close()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fault.New("write_failed", "check the folder's owner and mode", "lock the node's folder: %w", err)
		}
		if !told {
			r.Log.Info("waiting for the lnd of an earlier start to end")
			told = true
		}
		select {
		case <-ctx.Done():
			return fault.New("already_running", "end that process first",
				"another lnd still holds %q", r.Dir)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// cleanUp removes the socket and its folder once the child has ended.
func (r Runner) cleanUp() {
	// What stays behind is empty, private, and used again by the next start.
	_ = os.Remove(r.Endpoint().Socket)
	_ = os.Remove(r.Runtime)
}

// tightenMacaroons makes the macaroons that lnd wrote readable to us alone.
func (r Runner) tightenMacaroons() error {
	root := filepath.Join(r.Dir, "data", "chain", "bitcoin", r.Config.network)
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New("write_failed", "check the folder's owner and mode", "macaroons: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".macaroon") {
			continue
		}
		if err := os.Chmod(filepath.Join(root, entry.Name()), 0o600); err != nil {
			return fault.New("write_failed", "check the folder's owner and mode", "macaroons: %w", err)
		}
	}
	return nil
}
