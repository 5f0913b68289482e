package node

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/wallet"
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
	folder := walletFolder(home, kept.Network)
	if err := folder.None(); err != nil {
		return nil, err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if err := folder.None(); err != nil { // another create may have ended since
		return nil, err
	}
	if err := files.MkdirPrivate(home.Node()); err != nil {
		return nil, err
	}
	secrets, prepared, err := n.prepare(home, folder, &kept)
	if err != nil {
		return nil, err
	}
	if err := kept.save(home); err != nil {
		return nil, err
	}
	r, err := newRunner(home, built, log)
	if err != nil {
		return nil, err
	}
	if err := folder.Make(ctx, r, prepared); err != nil {
		return nil, err
	}
	return &Created{
		Network: kept.Network, Dir: home.Node(), PasswordFile: kept.passwordFile(home), SeedFile: secrets.SeedFile,
		Macaroon: filepath.Join(folder.NetworkDir(), "admin.macaroon"),
	}, nil
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

// prepare reads the secrets that were given and makes those that were not.
func (n *NewNode) prepare(home config.Home, folder wallet.Folder, kept *remembered) (wallet.Secrets, lnd.NewWallet, error) {
	secrets := wallet.Secrets{
		PasswordFile: n.PasswordFile, MadePasswordFile: passwordFile(home),
		RestoreFile: n.RestoreFile, SeedFile: n.SeedFile, Show: n.ShowSeed,
	}
	if n.RestoreFile != "" {
		kept.RecoveryWindow = lnd.RecoveryWindow
	}
	prepared, err := folder.Prepare(&secrets)
	kept.PasswordFile = secrets.PasswordFile
	return secrets, prepared, err
}

// walletFolder is where the node's wallet is.
func walletFolder(h config.Home, network string) wallet.Folder {
	return wallet.Folder{
		Dir: h.Node(), Network: network,
		CreateCommand: "leyden node create --network " + network, StartCommand: "leyden node start",
	}
}

// DefaultSeedFile is where words go that nobody watches.
func DefaultSeedFile(h config.Home) string { return seedFile(h) }
