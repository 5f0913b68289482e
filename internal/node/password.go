package node

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/wallet"
)

// ChangePassword gives the wallet of a node that does not run another
// password. oldFile empty means the file that a start would use; newFile empty
// means that one is made and written to wallet-password.txt. Returns the path of
// the file that opens the wallet from now on. The new password is on disk, in
// wallet-password.txt.new, before the wallet changes; a change that was cut short
// is undone first. Codes: watch_only, already_running, no_wallet, wallet_unfinished,
// wrong_password, and those of wallet.ReadPassword.
func ChangePassword(ctx context.Context, home config.Home, oldFile, newFile string, log *slog.Logger) (string, error) {
	kept, err := loadRemembered(home)
	if errors.Is(err, fs.ErrNotExist) {
		return "", noNode(home)
	}
	if err != nil {
		return "", err
	}
	if kept.watchOnly() {
		return "", fault.New("watch_only", "leyden signer change-password, on the signer's machine",
			"lnd cannot change the password of a wallet without private keys")
	}
	if oldFile == "" {
		oldFile = kept.passwordFile(home)
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
	built, err := build(home, Options{}, kept)
	if err != nil {
		return "", err
	}
	if err := kept.folder(home, built.Network()).Finished(); err != nil {
		return "", err
	}
	r, err := newRunner(home, built, log)
	if err != nil {
		return "", err
	}
	if err := wallet.Change(ctx, r, wallet.PendingFile(passwordFile(home)), old, changed); err != nil {
		return "", err
	}
	kept.PasswordFile = newFile
	return kept.passwordFile(home), wallet.Adopt(passwordFile(home), newFile, func() error { return kept.save(home) })
}
