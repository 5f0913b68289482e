package node

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// NewNode says what node to create.
type NewNode struct {
	// Mode must be standalone: the node holds its own keys.
	Mode string

	// Network, Backend and Profiles are remembered for every start.
	Network, Backend string
	Profiles         []string

	// PasswordFile holds the wallet's password, mode 0600, and is remembered.
	// Empty: a password is made and written to wallet-password.txt.
	PasswordFile string

	// RestoreFile holds the 24 words of a wallet to restore, mode 0600.
	RestoreFile string

	// SeedFile is where the words of a new seed are written, mode 0600. Empty
	// with ShowSeed set: they are only shown.
	SeedFile string

	// ShowSeed shows the words once, to a person.
	ShowSeed func(words []string) error
}

// Created says what was made. It holds no secrets.
type Created struct {
	Network      string `json:"network"`
	Dir          string `json:"lnddir"`
	PasswordFile string `json:"password_file"`
	SeedFile     string `json:"seed_file,omitempty"`
	Macaroon     string `json:"admin_macaroon"`
}

// Create makes a node's wallet. Password and seed are on disk, or shown,
// before the wallet exists. A Create that was cut short is begun again, with
// the seed it wrote down. Codes: not_available, unknown_mode, wallet_exists,
// seed_file_exists, insecure_file, bad_seed, already_running, and those of
// lnd.Build and of a start.
func Create(ctx context.Context, home config.Home, n NewNode, log *slog.Logger) (*Created, error) {
	if err := checkMode(n.Mode); err != nil {
		return nil, err
	}
	kept := remembered{Mode: n.Mode, Network: n.Network, Backend: n.Backend, Profiles: n.Profiles}
	built, err := build(home, Options{}, kept)
	if err != nil {
		return nil, err
	}
	kept.Network = built.Network()
	if err := noWallet(home, kept.Network); err != nil {
		return nil, err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if err := noWallet(home, kept.Network); err != nil { // another create may have ended since
		return nil, err
	}
	if err := files.MkdirPrivate(home.Node()); err != nil {
		return nil, err
	}
	wallet, err := n.wallet(home, &kept)
	if err != nil {
		return nil, err
	}
	if err := kept.save(home); err != nil {
		return nil, err
	}
	err = createWallet(ctx, home, built, wallet, log)
	if fault.Code(err) == "bad_seed" {
		err = errors.Join(err, finish(home, kept.Network)) // lnd looks at the words before it makes anything
	}
	if err != nil {
		return nil, err
	}
	if err := finish(home, kept.Network); err != nil {
		return nil, err
	}
	return &Created{
		Network: kept.Network, Dir: home.Node(), PasswordFile: kept.passwordFile(home), SeedFile: n.SeedFile,
		Macaroon: filepath.Join(networkDir(home, kept.Network), "admin.macaroon"),
	}, nil
}

func createWallet(ctx context.Context, home config.Home, built *lnd.Config, w lnd.NewWallet, log *slog.Logger) error {
	r, err := newRunner(home, built, log)
	if err != nil {
		return err
	}
	if err := r.AwaitFree(ctx); err != nil {
		return err
	}
	if err := discard(home, built.Network()); err != nil {
		return err
	}
	return lnd.CreateWallet(ctx, r, w)
}

func checkMode(mode string) error {
	switch mode {
	case "standalone":
		return nil
	case "watchonly", "watch-only":
		return fault.New("not_available", "use --mode standalone",
			"a watch-only node needs the remote signer, which this version does not have yet")
	default:
		return fault.New("unknown_mode", "use --mode standalone", "unknown mode %q", mode)
	}
}

// wallet reads the secrets that were given and makes those that were not.
func (n *NewNode) wallet(home config.Home, kept *remembered) (w lnd.NewWallet, err error) {
	if n.RestoreFile != "" {
		if w.Seed, err = readSeed(n.RestoreFile); err != nil {
			return w, err
		}
		n.SeedFile = ""
		kept.RecoveryWindow = lnd.RecoveryWindow
	}
	if n.PasswordFile != "" {
		if kept.PasswordFile, err = filepath.Abs(n.PasswordFile); err != nil {
			return w, err
		}
		w.Password, err = ReadPassword(kept.PasswordFile)
	} else {
		w.Password, err = madePassword(passwordFile(home))
	}
	if err != nil {
		return w, err
	}
	if n.SeedFile != "" {
		if n.SeedFile, err = filepath.Abs(n.SeedFile); err != nil {
			return w, err
		}
	}
	resumed := n.SeedFile != "" && begunWith(home, kept.Network) == n.SeedFile && exists(n.SeedFile)
	w.Keep = func(words []string) error {
		if err := begin(home, kept.Network, n.SeedFile); err != nil || n.RestoreFile != "" || resumed {
			return err
		}
		return n.keep(words)
	}
	if resumed {
		w.Seed, err = readSeed(n.SeedFile)
		return w, err
	}
	if n.SeedFile != "" && exists(n.SeedFile) {
		return w, fault.New("seed_file_exists", "move it to a safe place first",
			"seed file %q exists already", n.SeedFile)
	}
	return w, nil
}

// keep makes the words safe before there is a wallet.
func (n *NewNode) keep(words []string) error {
	if n.SeedFile != "" {
		if err := files.Write(n.SeedFile, []byte(strings.Join(words, " ")+"\n"), 0o600); err != nil {
			return err
		}
	}
	if n.ShowSeed != nil {
		return n.ShowSeed(words)
	}
	if n.SeedFile == "" {
		return fault.New("seed_unsafe", "pass --seed-file FILE", "the seed would be lost")
	}
	return nil
}

// madePassword returns the password in the file, making it at first. The file
// stays when creating the wallet fails: it may have failed half-way.
func madePassword(path string) ([]byte, error) {
	password, err := ReadPassword(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return password, err
	}
	password = []byte(rand.Text())
	return password, files.Write(path, append(password, '\n'), 0o600)
}

// readSeed reads 24 words between any white space.
func readSeed(path string) ([]string, error) {
	data, err := files.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("no_seed_file", "check the path", "seed file: %w", err)
	}
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(data))
	if len(words) != lnd.SeedWords {
		return nil, fault.New("bad_seed", "write the 24 words to it, separated by spaces",
			"seed file %q has %d words, not %d", path, len(words), lnd.SeedWords)
	}
	return words, nil
}

// networkDir holds the wallet and the macaroons.
func networkDir(h config.Home, network string) string {
	return filepath.Join(h.Node(), "data", "chain", "bitcoin", network)
}

// DefaultSeedFile is where words go that nobody watches.
func DefaultSeedFile(h config.Home) string { return seedFile(h) }
