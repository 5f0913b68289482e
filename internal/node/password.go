package node

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
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
	built, err := build(home, Options{}, kept, nil)
	if err != nil {
		return "", err
	}
	if err := kept.folder(home, built.Network()).Finished(); err != nil {
		return "", err
	}
	used := kept.passwordFile(home)
	return wallet.Change{
		PIDFile: pidFile(home), Old: cmp.Or(oldFile, used), New: newFile, Made: passwordFile(home), Used: used,
		Runner:   func() (lnd.Runner, error) { return lnd.NewRunner(home.Node(), built, log) },
		Remember: func(file string) error { kept.PasswordFile = file; return kept.save(home) },
	}.Do(ctx)
}
