package leyden

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/signer"
)

func signerStopCmd(app *App) *cobra.Command {
	var clean, yes bool
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the signer in order",
		Long: `Stops the signer in order. With --clean it then deletes the signer's folder, its
wallet, password, seed and bundle among it, once "delete" has been typed: without
a copy of the seed's words, all coins of the node are lost.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if clean && !yes {
				if err := app.confirmClean(); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), nodeStopTimeout)
			defer cancel()
			err := signer.Stop(ctx, app.Home)
			stopped := err == nil
			if clean && (stopped || fault.Code(err) == "not_running") {
				err = signer.Clean(ctx, app.Home)
			}
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]bool{"stopped": stopped, "deleted": clean})
				return nil
			}
			if stopped {
				fmt.Fprintln(app.Out, "signer stopped")
			}
			if clean {
				fmt.Fprintln(app.Out, "signer deleted")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&clean, "clean", false, "delete wallet, seed and bundle afterwards; asks first")
	cmd.Flags().BoolVar(&yes, "yes", false, "with --clean, do not ask")
	return cmd
}

// confirmClean asks before the keys are deleted.
func (app *App) confirmClean() error {
	in, ok := app.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fault.New("not_confirmed", "pass --yes", "no terminal to ask whether the keys may be deleted")
	}
	fmt.Fprintf(app.Err, "This deletes %s: the wallet, the seed's words and the bundle.\n"+
		"Without another copy of the words, all coins of the node are lost.\nType delete to go on: ", app.Home.Signer())
	line, _ := bufio.NewReader(in).ReadString('\n') // an end of input is no consent
	if strings.TrimSpace(line) != "delete" {
		return fault.New("not_confirmed", "type delete, or pass --yes", "nothing was stopped or deleted")
	}
	return nil
}

func signerStatusCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say how the signer is; exit status 1 when it is not running",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			r, err := signer.Status(app.Home)
			if err != nil {
				return err
			}
			app.printSigner(r)
			return nil
		},
	}
}

func signerUnlockCmd(app *App) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Open the wallet of a signer that has no password file",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := signer.Status(app.Home); err != nil && file == "" {
				return err // rather than ask for a password in vain
			}
			password, err := app.walletPassword(file)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), nodeUnlockTimeout)
			defer cancel()
			r, err := signer.Unlock(ctx, app.Home, password)
			if err != nil {
				return err
			}
			app.printSigner(r)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "password-file", "", "file with the password, mode 0600 (default: ask)")
	return cmd
}

func signerChangePasswordCmd(app *App) *cobra.Command {
	var oldFile, newFile string
	cmd := &cobra.Command{
		Use:   "change-password",
		Short: "Give the wallet of a stopped signer another password",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := signer.ChangePassword(cmd.Context(), app.Home, oldFile, newFile, slog.New(slog.DiscardHandler))
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
