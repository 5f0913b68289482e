package node

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/wallet"
)

// NewNode says what node to create.
type NewNode struct {
	// Mode is WatchOnly, which needs an imported bundle, or Standalone.
	Mode string

	// Network, Backend and Profiles are remembered for every start.
	Network, Backend string
	Profiles         []string

	// PasswordFile holds the wallet's password, mode 0600, and is remembered.
	// Empty: a password is made and written to wallet-password.txt.
	PasswordFile string

	// Birthday is the day on which a signer's seed was first used. Zero: it was
	// not used before, so that no earlier coins are searched for.
	Birthday time.Time

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
	Mode         string `json:"mode"`
	Network      string `json:"network"`
	Dir          string `json:"lnddir"`
	PasswordFile string `json:"password_file"`
	SeedFile     string `json:"seed_file,omitempty"`
	Macaroon     string `json:"admin_macaroon"`
}

// Create makes a node's wallet. Password and seed are on disk, or shown,
// before the wallet exists. A Create that was cut short is begun again, with
// the seed it wrote down. Codes: unknown_mode, no_bundle, bundle_wrong_network,
// no_seed, wallet_exists, seed_file_exists, insecure_file, bad_seed,
// already_running, and those of lnd.Build and of a start.
func Create(ctx context.Context, home config.Home, n NewNode, log *slog.Logger) (*Created, error) {
	kept, keys, err := n.remember(home)
	if err != nil {
		return nil, err
	}
	var signer *lnd.RemoteSigner
	if keys != nil {
		signer = signerAt(home, "", keys) // not asked
	}
	built, err := build(home, Options{}, kept, signer)
	if err != nil {
		return nil, err
	}
	kept.Network = built.Network()
	if keys != nil {
		if err := keys.CheckNetwork(kept.Network); err != nil {
			return nil, err
		}
	}
	folder := kept.folder(home, kept.Network)
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
	secrets, prepared, err := n.prepare(home, folder, &kept, keys)
	if err != nil {
		return nil, err
	}
	if err := kept.save(home); err != nil {
		return nil, err
	}
	r, err := lnd.NewRunner(home.Node(), built, log)
	if err != nil {
		return nil, err
	}
	if err := folder.Make(ctx, r, prepared); err != nil {
		return nil, err
	}
	return &Created{
		Mode: kept.Mode, Network: kept.Network, Dir: home.Node(), PasswordFile: kept.passwordFile(home), SeedFile: secrets.SeedFile,
		Macaroon: filepath.Join(folder.NetworkDir(), "admin.macaroon"),
	}, nil
}

// remember is what the node will be started with, and the keys of a watch-only one.
func (n *NewNode) remember(home config.Home) (kept remembered, keys *bundle.Bundle, err error) {
	kept = remembered{Mode: n.Mode, Network: n.Network, Backend: n.Backend, Profiles: n.Profiles}
	switch n.Mode {
	case Standalone:
		return kept, nil, nil
	case WatchOnly:
	default:
		return kept, nil, fault.New("unknown_mode", "use --mode watchonly or --mode standalone", "unknown mode %q", n.Mode)
	}
	if n.RestoreFile != "" || n.SeedFile != "" {
		return kept, nil, fault.New("no_seed", "leave the seed's flags away, or use --mode standalone",
			"the seed of a watch-only node is on its signer")
	}
	before, err := loadRemembered(home)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return kept, nil, err
	}
	if kept.Network == "" {
		kept.Network = before.Network
	}
	if keys, err = imported(home); err == nil {
		kept.SignerKeys = keysID(keys)
	}
	return kept, keys, err
}

// prepare reads the secrets that were given and makes those that were not. keys
// are those of a watch-only node.
func (n *NewNode) prepare(home config.Home, folder wallet.Folder, kept *remembered, keys *bundle.Bundle) (wallet.Secrets, lnd.NewWallet, error) {
	secrets := wallet.Secrets{
		PasswordFile: n.PasswordFile, MadePasswordFile: passwordFile(home),
		RestoreFile: n.RestoreFile, SeedFile: n.SeedFile, Show: n.ShowSeed,
	}
	if n.RestoreFile != "" || !n.Birthday.IsZero() {
		kept.RecoveryWindow = lnd.RecoveryWindow
	}
	prepared, err := folder.Prepare(&secrets)
	kept.PasswordFile = secrets.PasswordFile
	if err != nil || keys == nil {
		return secrets, prepared, err
	}
	birthday := n.Birthday
	if birthday.IsZero() {
		birthday = time.Now()
	}
	prepared.WatchOnly, prepared.RecoveryWindow = watchOnlyKeys(keys, birthday), kept.RecoveryWindow
	prepared.Keep = func([]string) error { return folder.Begin("") }
	return secrets, prepared, nil
}

// folder is where the node's wallet is.
func (r remembered) folder(h config.Home, network string) wallet.Folder {
	return wallet.Folder{
		Dir: h.Node(), Network: network,
		CreateCommand: "leyden node create --mode " + r.Mode + " --network " + network, StartCommand: "leyden node start",
	}
}

// DefaultSeedFile is where words go that nobody watches.
func DefaultSeedFile(h config.Home) string { return seedFile(h) }
