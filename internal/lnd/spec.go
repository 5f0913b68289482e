package lnd

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// ChildCommand is the hidden first argument with which our binary runs lnd.
const ChildCommand = "lnd-child"

// Exit statuses of the child beside 0, an orderly end, and 2, a Go panic.
const (
	// ExitFailed means lnd ended with an error.
	ExitFailed = 1
	// ExitConfig means the configuration was refused: trying again is useless.
	ExitConfig = 78
	// ExitStuck means lnd did not end in time after its parent had gone.
	ExitStuck = 75
)

// lifelineFD is the descriptor the child inherits: the read end of a pipe
// whose other end only the parent holds.
const lifelineFD = 3

// ChildSpec is what the parent tells its child on the command line. It holds
// no secrets: those are in the configuration file.
type ChildSpec struct {
	// Dir is the lnddir: wallet, channels, macaroons, logs.
	Dir string

	// Private is a folder (0700) of the child's own certificate.
	Private string

	// Config is the configuration file, read with lnd's own rules.
	Config string

	// Socket is the path of the unix socket to serve on.
	Socket string

	// Lifeline is the inherited descriptor whose end of file means that the
	// parent has gone.
	Lifeline int

	// WalletOnly makes lnd stop short of the chain once the wallet is open:
	// enough to create a wallet or change its password, without a backend and
	// without ports.
	WalletOnly bool

	// Migrate is the folder of a signer's bundle: lnd takes the private keys out of
	// the wallet, if they are that signer's, and ends. Empty: it does not. It goes
	// with WalletOnly.
	Migrate string
}

// Args returns the arguments that ParseChildSpec reads.
func (s ChildSpec) Args() []string {
	return []string{
		"--dir=" + s.Dir, "--private=" + s.Private, "--config=" + s.Config,
		"--socket=" + s.Socket, fmt.Sprintf("--lifeline=%d", s.Lifeline),
		fmt.Sprintf("--wallet-only=%t", s.WalletOnly), "--migrate=" + s.Migrate,
	}
}

// CertPath is the child's own certificate, by which the parent knows it.
func (s ChildSpec) CertPath() string { return filepath.Join(s.Private, "tls.cert") }

// KeyPath is the key of CertPath.
func (s ChildSpec) KeyPath() string { return filepath.Join(s.Private, "tls.key") }

// Lock takes the lock that a living child holds on its folder. When one does
// the error is syscall.EWOULDBLOCK. Closing the file lets go.
func (s ChildSpec) Lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.Private, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ParseChildSpec reads what Args wrote. All paths must be absolute.
func ParseChildSpec(args []string) (ChildSpec, error) {
	var s ChildSpec
	fs := flag.NewFlagSet(ChildCommand, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&s.Dir, "dir", "", "")
	fs.StringVar(&s.Private, "private", "", "")
	fs.StringVar(&s.Config, "config", "", "")
	fs.StringVar(&s.Socket, "socket", "", "")
	fs.IntVar(&s.Lifeline, "lifeline", -1, "")
	fs.BoolVar(&s.WalletOnly, "wallet-only", false, "")
	fs.StringVar(&s.Migrate, "migrate", "", "")
	if err := fs.Parse(args); err != nil {
		return s, fmt.Errorf("%s: %w", ChildCommand, err)
	}
	for _, path := range []string{s.Dir, s.Private, s.Config, s.Socket} {
		if !filepath.IsAbs(path) {
			return s, fmt.Errorf("%s is started by leyden itself: path %q is not absolute", ChildCommand, path)
		}
	}
	if s.Lifeline < lifelineFD {
		return s, fmt.Errorf("%s is started by leyden itself: no lifeline", ChildCommand)
	}
	return s, nil
}
