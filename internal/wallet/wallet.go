// Package wallet makes the wallet of an lnd in a folder of ours, and changes its
// password. It promises that the password and the words of a seed are safe on disk,
// or were shown, before there is a wallet; that a making that was cut short is
// begun again with the seed it wrote down, and that nobody can use what it left
// behind; and that a change of the password that was cut short can be undone. It
// leaves out which lnd runs there, and what is remembered of it.
package wallet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// Folder is an lnddir and the network of its wallet.
type Folder struct {
	// Dir is the lnddir, Network the chain by lncli's name.
	Dir, Network string

	// CreateCommand makes the wallet, StartCommand runs its lnd: for hints.
	CreateCommand, StartCommand string
}

// NetworkDir holds the wallet and lnd's macaroons.
func (f Folder) NetworkDir() string {
	return filepath.Join(f.Dir, "data", "chain", "bitcoin", f.Network)
}

// unfinishedFile marks a wallet that is being made, from before its seed is
// written down until lnd has made all of it. lnd makes it over some seconds; what
// is there when it is cut short cannot be opened. It holds the path of the seed
// file, if there is one.
func (f Folder) unfinishedFile() string { return filepath.Join(f.NetworkDir(), "leyden-unfinished") }

// Begin marks the wallet as unfinished; seedFile may be empty.
func (f Folder) Begin(seedFile string) error {
	if err := files.MkdirPrivate(f.NetworkDir()); err != nil {
		return err
	}
	return files.Write(f.unfinishedFile(), []byte(seedFile+"\n"), 0o600)
}

// begunWith returns the seed file of a making that was cut short.
func (f Folder) begunWith() string {
	data, err := os.ReadFile(f.unfinishedFile())
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

// finish takes the mark away.
func (f Folder) finish() error {
	if err := os.Remove(f.unfinishedFile()); err != nil {
		return fault.New("write_failed", f.CreateCommand, "finish the wallet: %w", err)
	}
	return files.SyncDir(f.NetworkDir())
}

// None refuses to make a wallet where there is one. Code: wallet_exists.
func (f Folder) None() error {
	if !exists(filepath.Join(f.NetworkDir(), "wallet.db")) || exists(f.unfinishedFile()) {
		return nil
	}
	return fault.New("wallet_exists", f.StartCommand,
		"there is a %s wallet already in %q", f.Network, f.Dir)
}

// Finished refuses to use a wallet whose making was cut short. Code:
// wallet_unfinished.
func (f Folder) Finished() error {
	_, err := os.Lstat(f.unfinishedFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fault.New("wallet_unfinished", f.CreateCommand,
		"making the %s wallet in %q was cut short; nobody can have used it yet", f.Network, f.Dir)
}

// discard removes what a making that was cut short left behind, which nobody can
// have used (see Finished): the wallet, and the macaroons that are locked with its
// password.
func (f Folder) discard() error {
	dir := f.NetworkDir()
	if !exists(f.unfinishedFile()) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		name := entry.Name()
		if name == "wallet.db" || name == "macaroons.db" || strings.HasSuffix(name, ".macaroon") {
			err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}
	}
	if err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "remove an unfinished wallet: %w", err)
	}
	return files.SyncDir(dir)
}

// Make makes the wallet, in place of one whose making was cut short. w.Keep must
// call Begin, as that of Prepare does. When w.Then is called the wallet is finished:
// its error leaves one that can be used. Codes: bad_seed, already_running, and those
// of lnd.CreateWallet.
func (f Folder) Make(ctx context.Context, r lnd.Runner, w lnd.NewWallet) error {
	if err := r.AwaitFree(ctx); err != nil {
		return err
	}
	if err := f.discard(); err != nil {
		return err
	}
	w.Made = f.finish
	err := lnd.CreateWallet(ctx, r, w)
	if fault.Code(err) == "bad_seed" {
		return errors.Join(err, f.finish()) // lnd looks at the words before it makes anything
	}
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
