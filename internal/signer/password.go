package signer

import (
	"context"
	"log/slog"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/wallet"
)

// ChangePassword gives the wallet of a signer that does not run another password.
// oldFile empty means the file that a start would use; newFile empty means that one
// is made and written to wallet-password.txt. Returns the path of the file that
// opens the wallet from now on. A change that was cut short is undone first.
// Codes: already_running, no_wallet, wallet_unfinished, wrong_password, and those of
// wallet.ReadPassword.
func ChangePassword(ctx context.Context, home config.Home, oldFile, newFile string, log *slog.Logger) (_ string, err error) {
	defer func() { err = ours(err) }()
	p, err := makePlan(home, Options{})
	if err != nil {
		return "", err
	}
	if oldFile == "" {
		oldFile = p.kept.passwordFile(home)
	}
	old, err := wallet.ReadPassword(oldFile)
	if err != nil {
		return "", err
	}
	changed, newFile, err := wallet.NewPassword(newFile)
	if err != nil {
		return "", err
	}
	lock, err := daemon.Acquire(pidFile(home))
	if err != nil {
		return "", err
	}
	defer lock.Release()
	r, err := p.runner(log)
	if err != nil {
		return "", err
	}
	if err := wallet.Change(ctx, r, wallet.PendingFile(passwordFile(home)), old, changed); err != nil {
		return "", err
	}
	p.kept.PasswordFile = newFile
	return p.kept.passwordFile(home), wallet.Adopt(passwordFile(home), newFile, func() error { return p.kept.save(home) })
}
