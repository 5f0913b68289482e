package devnet

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/lnd"
)

// Signer is a signer of a network: a `leyden signer start` of ours.
type Signer struct {
	program
	RPC string // host:port

	host string // its IP address in a network of its own

	mu      sync.Mutex // guards what follows
	process *owned.Process
}

func newSigner(o Options, node string, info SignerInfo) *Signer {
	s := &Signer{RPC: info.RPC,
		program: program{name: node + "'s signer", leyden: o.Leyden, home: config.Home(info.Home)}}
	if info.elsewhere() {
		s.host, s.before = o.SignerHost, o.SignerRun
	}
	return s
}

// bundle is the folder that the node imports.
func (s *Signer) bundle() string { return filepath.Join(s.home.Signer(), "credentials-bundle") }

// create makes the keys. Ones that exist are left as they are.
func (s *Signer) create(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.bundle(), "accounts.json")); err == nil {
		return nil
	}
	args := []string{"signer", "init", "--network", chain.Params.Name}
	if s.host != "" {
		args = append(args, "--tlsextraip", s.host)
	}
	return s.once(ctx, args...)
}

// Start runs the signer; Await waits until it signs.
func (s *Signer) Start(ctx context.Context) error {
	err := Poll(ctx, func(context.Context) (bool, error) {
		_, running := daemon.Running(signerPidFile(s.home))
		return !running, nil
	})
	if err != nil {
		return s.failed("end its earlier run", err)
	}
	p, err := s.run("signer", "start", "--rpclisten", s.RPC)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	return nil
}

// Await waits until the signer signs for who has its bundle. Code: node_failed.
func (s *Signer) Await(ctx context.Context) error {
	remote := lnd.RemoteSigner{Addr: s.RPC,
		CertPath: filepath.Join(s.bundle(), "tls.cert"), MacaroonPath: filepath.Join(s.bundle(), "admin.macaroon")}
	err := Poll(ctx, func(ctx context.Context) (bool, error) {
		if p := s.Process(); p != nil && !p.Running() {
			return false, p.Exit()
		}
		return remote.Check(ctx) == nil, nil
	})
	if err != nil {
		return s.failed("start", err)
	}
	return nil
}

// Process is the signer's, nil before Start.
func (s *Signer) Process() *owned.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// Stop ends the signer in order; one that does not run is no error.
func (s *Signer) Stop(ctx context.Context) error {
	p := s.Process()
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	return p.Stop(ctx)
}

func signerPidFile(h config.Home) string { return filepath.Join(h.Run(), "signer.pid") }
