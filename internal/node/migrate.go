package node

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/wallet"
)

// Migrated says what Migrate did.
type Migrated struct {
	Network string `json:"network"`
	Signer  string `json:"signer"`

	// SeedFile is a file with the words of the wallet's seed that is still on this
	// machine; empty: there is none that we know of.
	SeedFile string `json:"seed_file,omitempty"`
}

// Migrate makes a stopped standalone node a watch-only one, whose signer is at the
// address, holds the wallet's seed, and gave the bundle that was imported. The
// signer has proved that it holds the keys before the wallet loses them, which
// cannot be undone. A Migrate that was cut short is begun again. passwordFile empty
// means the one that a start uses. Codes: no_bundle, bundle_wrong_network,
// watch_only, already_running, those of lnd.RemoteSigner's Await, of
// lnd.MigrateToWatchOnly and of wallet.ReadPassword.
func Migrate(ctx context.Context, home config.Home, signerHost, passwordFile string, log *slog.Logger) (*Migrated, error) {
	kept, err := loadRemembered(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noNode(home)
	}
	if err != nil {
		return nil, err
	}
	if kept.watchOnly() {
		return nil, fault.New("watch_only", "leyden node start", "this node holds no keys already")
	}
	if signerHost == "" {
		return nil, fault.New("no_signer_host", "pass --signer-host HOST:"+lnd.DefaultSignerPort, "where the signer is was not said")
	}
	keys, err := imported(home)
	if err != nil {
		return nil, err
	}
	built, err := build(home, Options{}, kept, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(keys.CheckNetwork(built.Network()), kept.folder(home, built.Network()).Finished()); err != nil {
		return nil, err
	}
	if passwordFile == "" {
		passwordFile = kept.passwordFile(home)
	}
	password, err := wallet.ReadPassword(passwordFile)
	if err != nil {
		return nil, err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	addr := lnd.WithPort(signerHost, lnd.DefaultSignerPort)
	if err := signerAt(home, addr, keys).Await(ctx, log); err != nil {
		return nil, err
	}
	r, err := lnd.NewRunner(home.Node(), built, log)
	if err != nil {
		return nil, err
	}
	if err := lnd.MigrateToWatchOnly(ctx, r, password, signerDir(home)); err != nil {
		return nil, err
	}
	kept.Mode, kept.SignerHost, kept.SignerKeys, kept.Network = WatchOnly, addr, keysID(keys), built.Network()
	done := &Migrated{Network: kept.Network, Signer: addr}
	if exists(seedFile(home)) {
		done.SeedFile = seedFile(home)
	}
	return done, kept.save(home)
}

// identityOf is the extended public key of the account that the node's identity is
// of.
func identityOf(b *bundle.Bundle) string {
	const purpose, family = 1017, 6
	for _, a := range b.WatchOnlyAccounts() {
		if a.Purpose == purpose && a.Account == family {
			return a.XPub
		}
	}
	return ""
}
