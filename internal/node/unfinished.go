package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// unfinishedFile marks a wallet that is being made, from before its seed is
// written down until lnd has made all of it. lnd makes it over some seconds; what
// is there when it is cut short cannot be opened. It holds the path of the seed
// file, if there is one.
func unfinishedFile(h config.Home, network string) string {
	return filepath.Join(networkDir(h, network), "leyden-unfinished")
}

func begin(h config.Home, network, seedFile string) error {
	if err := files.MkdirPrivate(networkDir(h, network)); err != nil {
		return err
	}
	return files.Write(unfinishedFile(h, network), []byte(seedFile+"\n"), 0o600)
}

// begunWith returns the seed file of a creation that was cut short.
func begunWith(h config.Home, network string) string {
	data, err := os.ReadFile(unfinishedFile(h, network))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

func finish(h config.Home, network string) error {
	if err := os.Remove(unfinishedFile(h, network)); err != nil {
		return fault.New("write_failed", createCommand(network), "finish the wallet: %w", err)
	}
	return files.SyncDir(networkDir(h, network))
}

// noWallet refuses to make a wallet where there is one.
func noWallet(h config.Home, network string) error {
	if !exists(filepath.Join(networkDir(h, network), "wallet.db")) || exists(unfinishedFile(h, network)) {
		return nil
	}
	return fault.New("wallet_exists", "leyden node start",
		"there is a %s wallet already in %q", network, h.Node())
}

// discard removes what a creation that was cut short left behind, which nobody
// can have used (see finished): the wallet, and the macaroons that are locked with
// its password.
func discard(h config.Home, network string) error {
	dir := networkDir(h, network)
	if !exists(unfinishedFile(h, network)) {
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

// finished refuses to use a wallet whose creation was cut short.
func finished(h config.Home, network string) error {
	_, err := os.Lstat(unfinishedFile(h, network))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fault.New("wallet_unfinished", createCommand(network),
		"making the %s wallet in %q was cut short; nobody can have used it yet", network, h.Node())
}

func createCommand(network string) string { return "leyden node create --network " + network }
