package leyden

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// free says, before there is a secret to lose, whether a new file can be
// written there: file_exists, write_failed.
func free(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return fault.New("file_exists", "choose another file, or remove that one", "there is a file %q already", path)
	}
	return writable(path)
}

// replaceable is free for a macaroon of an account that there is already: it
// may take the place of an account's macaroon, and of nothing else.
func replaceable(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return free(path)
	}
	if m, err := macaroon.Parse(old); err == nil {
		if _, is, err := m.Account(); is && err == nil {
			return writable(path)
		}
	}
	return fault.New("file_exists", "choose another file, or remove that one",
		"the file %q is there, and is no account's macaroon", path)
}

// writable says whether a file can be written there: write_failed.
func writable(path string) error {
	if path == "" {
		return nil
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fault.New("write_failed", "name a file in it: "+filepath.Join(path, "account.macaroon"), "%q is a folder", path)
	}
	probe, err := os.CreateTemp(dir, ".leyden-*")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New("write_failed", "mkdir -p "+dir, "write %q: no such folder", path)
	case err != nil:
		return fault.New("write_failed", "check the folder's owner and mode", "write %q: %w", path, errors.Unwrap(err))
	}
	_ = probe.Close() // nothing was written
	return os.Remove(probe.Name())
}

// handOver prints an account with its new macaroon, or saves the macaroon.
func (app *App) handOver(a *leydenv1.Account, macaroon []byte, saveTo string) error {
	if saveTo != "" {
		if err := files.Write(saveTo, macaroon, 0o600); err != nil {
			return fault.New(fault.Code(err), "leyden accounts macaroon "+a.Id+" --save_to FILE",
				"account %s is there, but its macaroon was not saved: %w", called(a), err)
		}
	}
	if app.JSON {
		out := map[string]any{"account": viewAccount(a)}
		if saveTo != "" {
			out["macaroon_file"] = saveTo
		} else {
			out["macaroon"] = hex.EncodeToString(macaroon)
		}
		voice.PrintJSON(app.Out, out)
		return nil
	}
	app.describe(a)
	if saveTo != "" {
		fmt.Fprintf(app.Out, "macaroon:  %s\n", saveTo)
		return nil
	}
	fmt.Fprintf(app.Out, "macaroon:  %x\n", macaroon)
	return nil
}
