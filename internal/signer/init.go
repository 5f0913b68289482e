package signer

import (
	"context"
	"log/slog"
	"net"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/wallet"
)

// NewSigner says what signer to make. Files with secrets have mode 0600.
type NewSigner struct {
	// Network is remembered for every start; empty: signer-lnd.conf's, else
	// mainnet.
	Network string

	// PasswordFile holds the wallet's password, and is remembered. Empty: a
	// password is made and written to wallet-password.txt.
	PasswordFile string

	// RestoreFile holds the 24 words of a seed to restore; Restore has them at hand
	// instead. PassphraseFile holds the seed's passphrase, of one to restore or of
	// a new one.
	RestoreFile    string
	Restore        []string
	PassphraseFile string

	// Confirm shows the words of a new seed to a person and returns nil once they
	// have been written down; they are kept nowhere then. Nil: they are written to
	// seed.txt.
	Confirm func(words []string) error

	// TLSExtraIPs and TLSExtraDomains are names by which nodes reach the signer,
	// beside the machine's own.
	TLSExtraIPs, TLSExtraDomains []string

	// Bundle says what bundle to give away.
	Bundle ExportOptions

	// LND are options of lnd for this once: --option=value.
	LND []string
}

// Created says what was made.
type Created struct {
	Network      string `json:"network"`
	Dir          string `json:"dir"`
	PasswordFile string `json:"password_file"`
	SeedFile     string `json:"seed_file,omitempty"`
	*Exported
}

// Create makes the signer's wallet and its credentials bundle. Password and seed are
// safe before the wallet exists. A Create that was cut short is begun again, with
// the seed it wrote down; where only the bundle is missing, Export makes it. Codes:
// wallet_exists, seed_file_exists, bad_seed, bad_bounds, insecure_file,
// already_running, and those of lnd.Build and of Export.
func Create(ctx context.Context, home config.Home, n NewSigner, log *slog.Logger) (_ *Created, err error) {
	defer func() { err = ours(err) }()
	kept, err := n.remembered()
	if err != nil {
		return nil, err
	}
	built, err := build(home, kept, n.LND)
	if err != nil {
		return nil, err
	}
	kept.Network = built.Network()
	folder := walletFolder(home, kept.Network)
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if err := none(home, folder); err != nil {
		return nil, err
	}
	if err := files.MkdirPrivate(home.Signer()); err != nil {
		return nil, err
	}
	created := &Created{Network: kept.Network, Dir: home.Signer()}
	p := &plan{home: home, config: built, folder: folder, kept: kept}
	if err := n.make(ctx, p, created, log); err != nil {
		return nil, err
	}
	return created, nil
}

// none refuses to make a signer where there is one, be it of another network.
func none(home config.Home, folder wallet.Folder) error {
	if kept, err := loadRemembered(home); err == nil && kept.Network != folder.Network {
		if err := walletFolder(home, kept.Network).None(); err != nil {
			return err
		}
	}
	err := folder.None()
	if err == nil || bundleCurrent(home) {
		return err
	}
	return fault.New(fault.Code(err), "leyden signer export", "%w, which has no credentials bundle yet", err)
}

// make makes the wallet, and the bundle while its lnd is there: opening the wallet
// once more would take half as long again.
func (n NewSigner) make(ctx context.Context, p *plan, created *Created, log *slog.Logger) (err error) {
	secrets := wallet.Secrets{
		PasswordFile: n.PasswordFile, MadePasswordFile: passwordFile(p.home),
		RestoreFile: n.RestoreFile, Restore: n.Restore, PassphraseFile: n.PassphraseFile,
		SeedFile: SeedFile(p.home),
	}
	if n.Confirm != nil && n.RestoreFile == "" && len(n.Restore) == 0 {
		if secrets.Restore, err = n.confirmed(); err != nil {
			return err
		}
	}
	prepared, err := p.folder.Prepare(&secrets)
	if err != nil {
		return err
	}
	p.kept.PasswordFile = secrets.PasswordFile
	if err := p.kept.save(p.home); err != nil {
		return err
	}
	runner, err := p.runner(log)
	if err != nil {
		return err
	}
	created.SeedFile, created.PasswordFile = secrets.SeedFile, p.kept.passwordFile(p.home)
	prepared.Then = func(ctx context.Context) error {
		created.Exported, err = p.exportFrom(ctx, runner.Endpoint(), n.Bundle, log)
		if err != nil {
			return fault.New(fault.Code(err), "leyden signer export", "the wallet is made, but not its bundle: %w", err)
		}
		return nil
	}
	return p.folder.Make(ctx, runner, prepared)
}

// confirmed makes a seed that only a person has.
func (n NewSigner) confirmed() (words []string, err error) {
	var passphrase []byte
	if n.PassphraseFile != "" {
		if passphrase, err = wallet.ReadPassphrase(n.PassphraseFile); err != nil {
			return nil, err
		}
	}
	if words, err = wallet.NewSeed(passphrase); err != nil {
		return nil, err
	}
	return words, n.Confirm(words)
}

// remembered is what every start and export shall know.
func (n NewSigner) remembered() (remembered, error) {
	kept := remembered{
		Network: n.Network, TLSExtraIPs: n.TLSExtraIPs, TLSExtraDomains: n.TLSExtraDomains,
		RootKeyID: newRootKeyID(),
	}
	for _, ip := range n.TLSExtraIPs {
		if net.ParseIP(ip) == nil {
			return kept, fault.New("bad_address", "use --tlsextradomain for names", "%q is no IP address", ip)
		}
	}
	return n.Bundle.bound(kept)
}
