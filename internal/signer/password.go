package signer

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/lnd"
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
	used := p.kept.passwordFile(home)
	return wallet.Change{
		PIDFile: pidFile(home), Old: cmp.Or(oldFile, used), New: newFile, Made: passwordFile(home), Used: used,
		Runner: func() (lnd.Runner, error) { return p.runner(log) },
		Remember: func(file string) error {
			kept, err := loadRemembered(home)
			if err != nil {
				return err
			}
			kept.PasswordFile = file
			return kept.save(home)
		},
	}.Do(ctx)
}
