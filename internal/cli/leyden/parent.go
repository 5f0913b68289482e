package leyden

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/wallet"
)

const (
	nodeStopTimeout   = 90 * time.Second
	nodeUnlockTimeout = 2 * time.Minute
)

// parent is `leyden node` or `leyden signer`, the parent of an lnd with a wallet:
// what their commands have in common.
type parent[Running any] struct {
	app    *App
	name   string
	status func(config.Home) (Running, error)
	unlock func(context.Context, config.Home, []byte) (Running, error)
	change func(ctx context.Context, home config.Home, oldFile, newFile string, log *slog.Logger) (string, error)
	print  func(Running)
}

func (p parent[Running]) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say how the " + p.name + " is; exit status 1 when it is not running",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			r, err := p.status(p.app.Home)
			if err != nil {
				return err
			}
			p.print(r)
			return nil
		},
	}
}

func (p parent[Running]) unlockCmd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Open the wallet of a " + p.name + " that has no password file",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := p.status(p.app.Home); err != nil && file == "" {
				return err // rather than ask for a password in vain
			}
			password, err := p.app.walletPassword(file)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), nodeUnlockTimeout)
			defer cancel()
			r, err := p.unlock(ctx, p.app.Home, password)
			if err != nil {
				return err
			}
			p.print(r)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "password-file", "", "file with the password, mode 0600 (default: ask)")
	return cmd
}

func (p parent[Running]) changePasswordCmd() *cobra.Command {
	var oldFile, newFile string
	cmd := &cobra.Command{
		Use:   "change-password",
		Short: "Give the wallet of a stopped " + p.name + " another password",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := p.change(cmd.Context(), p.app.Home, oldFile, newFile, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if p.app.JSON {
				voice.PrintJSON(p.app.Out, map[string]string{"password_file": path})
				return nil
			}
			fmt.Fprintf(p.app.Out, "the wallet now opens with the password in %s\n", path)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&oldFile, "password-file", "", "file with the present password, mode 0600 (default: the one a start uses)")
	f.StringVar(&newFile, "new-password-file", "", "file with the new password, mode 0600 (default: make one)")
	return cmd
}

// walletPassword reads the file, or asks without echo.
func (app *App) walletPassword(file string) ([]byte, error) {
	if file != "" {
		return wallet.ReadPassword(file)
	}
	in, ok := app.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, fault.New("no_password", "pass --password-file FILE", "no terminal to ask for the wallet's password")
	}
	if _, err := io.WriteString(app.Err, "wallet password: "); err != nil {
		return nil, err
	}
	defer fmt.Fprintln(app.Err)
	return term.ReadPassword(int(in.Fd()))
}
