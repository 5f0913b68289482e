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
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/wallet"
)

const (
	nodeStopTimeout   = 90 * time.Second
	nodeUnlockTimeout = 2 * time.Minute
)

func nodeStopCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the node in order",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), nodeStopTimeout)
			defer cancel()
			if err := node.Stop(ctx, app.Home); err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]bool{"stopped": true})
				return nil
			}
			fmt.Fprintln(app.Out, "node stopped")
			return nil
		},
	}
}

func nodeStatusCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say how the node is; exit status 1 when it is not running",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			r, err := node.Status(app.Home)
			if err != nil {
				return err
			}
			app.printNode(r)
			return nil
		},
	}
}

func nodeUnlockCmd(app *App) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Open the wallet of a node that has no password file",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := node.Status(app.Home); err != nil && file == "" {
				return err // rather than ask for a password in vain
			}
			password, err := app.walletPassword(file)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), nodeUnlockTimeout)
			defer cancel()
			r, err := node.Unlock(ctx, app.Home, password)
			if err != nil {
				return err
			}
			app.printNode(r)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "password-file", "", "file with the password, mode 0600 (default: ask)")
	return cmd
}

func nodeChangePasswordCmd(app *App) *cobra.Command {
	var oldFile, newFile string
	cmd := &cobra.Command{
		Use:   "change-password",
		Short: "Give the wallet of a stopped node another password",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := node.ChangePassword(cmd.Context(), app.Home, oldFile, newFile, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			app.printPasswordFile(path)
			return nil
		},
	}
	changePasswordFlags(cmd, &oldFile, &newFile)
	return cmd
}

func (app *App) printPasswordFile(path string) {
	if app.JSON {
		voice.PrintJSON(app.Out, map[string]string{"password_file": path})
		return
	}
	fmt.Fprintf(app.Out, "the wallet now opens with the password in %s\n", path)
}

func changePasswordFlags(cmd *cobra.Command, oldFile, newFile *string) {
	f := cmd.Flags()
	f.StringVar(oldFile, "password-file", "", "file with the present password, mode 0600 (default: the one a start uses)")
	f.StringVar(newFile, "new-password-file", "", "file with the new password, mode 0600 (default: make one)")
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
