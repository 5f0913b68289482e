package leyden

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leydenln/leyden/internal/backup"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/node"
)

func nodeBackupCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Keep a second copy of the channel backup, prove it, restore it",
		Example: `  leyden node backup follow --to /mnt/usb/leyden
  leyden node backup status
  leyden node backup verify
  leyden node backup restore --from /mnt/usb/leyden`,
	}
	cmd.AddCommand(backupFollowCmd(app), backupStatusCmd(app), backupVerifyCmd(app), backupRestoreCmd(app))
	return cmd
}

func backupFollowCmd(app *App) *cobra.Command {
	var to string
	var off bool
	cmd := &cobra.Command{
		Use:   "follow --to DIR",
		Short: "Copy the channel backup to a folder after every change",
		Long: `Makes the folder, best on another disk, the one that the node keeps a second copy
of its static channel backup and of its accounts in. The running node copies at
once, after every change of its channels, and looks twice a minute whether the
copy is still there. The choice is remembered; --off ends it.`,
		Example: `  leyden node backup follow --to /mnt/usb/leyden
  leyden node backup follow --off`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if off == (to != "") {
				return voice.UsageError(cmd, fmt.Errorf("give one of --to DIR and --off"))
			}
			if off {
				if err := backup.Forget(app.Home); err != nil {
					return err
				}
				if app.JSON {
					voice.PrintJSON(app.Out, map[string]bool{"following": false})
				} else {
					fmt.Fprintln(app.Out, "no second copy is kept any more; the last one stays where it is")
				}
				return nil
			}
			if err := node.BackUpTo(cmd.Context(), app.Home, to); err != nil {
				return err
			}
			return app.showBackup()
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "folder for the copies; must be there")
	cmd.Flags().BoolVar(&off, "off", false, "keep no second copy any more")
	return cmd
}

// showBackup prints how the backup is.
func (app *App) showBackup() error {
	s, err := node.BackupStatus(app.Home)
	if err != nil {
		return err
	}
	app.printBackup(s)
	return nil
}

func backupStatusCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say whether the backup is up to date; exit status 1 when it is not",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			s, err := node.BackupStatus(app.Home)
			if err != nil {
				return err
			}
			app.printBackup(s)
			if !s.OK {
				return voice.ErrSilent
			}
			return nil
		},
	}
}

func (app *App) printBackup(s backup.Status) {
	if app.JSON {
		voice.PrintJSON(app.Out, s)
		return
	}
	if s.To != "" {
		fmt.Fprintf(app.Out, "copies:   %s\n", s.To)
	}
	if s.Time != nil {
		fmt.Fprintf(app.Out, "channels: %d, copied %s\n", s.Channels, s.Time.Local().Format(time.DateTime))
	}
	if s.Ledger != nil {
		fmt.Fprintf(app.Out, "accounts: copied %s\n", s.Ledger.Local().Format(time.DateTime))
	}
	switch {
	case s.To == "":
		fmt.Fprintln(app.Out, "copies:   none: leyden node backup follow --to DIR")
	case s.Following && s.Checked != nil:
		fmt.Fprintf(app.Out, "followed: yes, up to date at %s\n", s.Checked.Local().Format(time.DateTime))
	default:
		fmt.Fprintln(app.Out, "followed: no, lnd is not active")
	}
	if s.Restoring {
		fmt.Fprintln(app.Out, "restore:  waits until lnd is active")
	}
	if s.Restored > 0 {
		fmt.Fprintf(app.Out, "restored: %d channels, which their peers close: leyden lncli pendingchannels\n", s.Restored)
	}
	if s.Error != "" {
		fmt.Fprintf(app.Out, "error:    %s\n", s.Error)
	}
}

func backupVerifyCmd(app *App) *cobra.Command {
	var from, seedFile string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove on a throw-away node that the backup restores",
		Long: `Makes a throw-away node of the seed (of a watch-only node: of its signer's keys,
with the help of the signer), has it restore the backup, and deletes it. It
follows no chain and reaches no peer, so that no channel is closed. The copy of
the accounts is recomputed.

Without --seed-file the words are read from seed.txt in the node's folder. It
works on any machine: give --from and --seed-file.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := backupFolder(from)
			if err != nil {
				return err
			}
			p, err := node.TryBackup(cmd.Context(), app.Home, folder, seedFile, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, p)
				return nil
			}
			fmt.Fprintf(app.Out, "restores: %d channels of node %s on %s, as of %s\n",
				len(p.Channels), p.Node, p.Network, p.Time.Local().Format(time.DateTime))
			if p.Books != nil {
				fmt.Fprintf(app.Out, "accounts: %d, as of %s\n", p.Books.Accounts, p.Books.Time.Local().Format(time.DateTime))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "folder of the backup, or a channel.backup of lnd (default: the folder that is followed)")
	cmd.Flags().StringVar(&seedFile, "seed-file", "", "file with the 24 words of the seed, mode 0600")
	return cmd
}

func backupRestoreCmd(app *App) *cobra.Command {
	var from string
	var channelsOnly, yes bool
	cmd := &cobra.Command{
		Use:   "restore --from DIR",
		Short: "Get the coins of lost channels back: their peers close them",
		Long: `Puts a backup in place for a node whose wallet was made again from its seed (or
from its signer's bundle) and that does not run. At the next start lnd takes the
channels over and asks their peers to close them; the coins come on-chain after
that. The accounts are restored as they were when they were copied, and frozen.

Never do this while the lost node may still run somewhere: its channels would be
closed under it.`,
		Example: `  leyden node create --mode standalone --restore-seed-file seed.txt
  leyden node backup restore --from /mnt/usb/leyden
  leyden node start --detach`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" {
				return voice.UsageError(cmd, fmt.Errorf("say which backup: --from DIR"))
			}
			folder, err := backupFolder(from)
			if err != nil {
				return err
			}
			if !yes {
				if err := app.confirmRestore(); err != nil {
					return err
				}
			}
			done, err := node.RestoreBackup(cmd.Context(), app.Home, folder, !channelsOnly)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, done)
				return nil
			}
			fmt.Fprintf(app.Out, "in place: %d channels\n", len(done.Channels))
			if done.Ledger != nil {
				fmt.Fprintf(app.Out, "accounts: as of %s, frozen: check them, then leyden thaw\n", done.Ledger.Time.Local().Format(time.DateTime))
			}
			fmt.Fprintln(app.Out, "next:     leyden node start")
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "folder of the backup, or a channel.backup of lnd")
	cmd.Flags().BoolVar(&channelsOnly, "channels-only", false, "leave the accounts as they are")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// backupFolder makes a path absolute; empty stays empty.
func backupFolder(path string) (backup.Folder, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	return backup.Folder(abs), err
}

// confirmRestore asks before channels will be closed.
func (app *App) confirmRestore() error {
	in, ok := app.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fault.New("not_confirmed", "pass --yes", "no terminal to ask whether the channels may be closed")
	}
	fmt.Fprint(app.Err, "The peers will close all channels of the backup. Does the lost node run nowhere any more?\nType restore to go on: ")
	line, _ := bufio.NewReader(in).ReadString('\n') // an end of input is no consent
	if strings.TrimSpace(line) != "restore" {
		return fault.New("not_confirmed", "type restore, or pass --yes", "nothing was restored")
	}
	return nil
}
