package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// masterKeyName is the name under which lnd's wallet (btcwallet's waddrmgr) keeps
// the master key, encrypted with the wallet's password. A wallet that was made
// watch-only never has it. One that lnd itself has converted still has it in unused
// parts of its file, and the key beside it.
var masterKeyName = []byte("mhdpriv")

// walletsWithKeys finds wallets, or copies of them, that still have private keys,
// in the folder of a node that must have none. It reads the files as they are:
// lnd's locks, and the wallet's password, are left alone.
func (e *Env) walletsWithKeys(ctx context.Context) (found []Finding) {
	files, _ := walk(e.Home.Node()) // checkModes says what could not be seen
	for _, f := range files {
		if !f.info.Mode().IsRegular() || !holdsWallet(filepath.Base(f.path)) {
			continue
		}
		switch has, err := contains(ctx, f.path, masterKeyName); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			found = append(found, unseen(e.asOperator(), "cannot look for keys in %s: %v", f.path, reason(err)))
		case has && filepath.Base(f.path) == "wallet.db":
			found = append(found, fail("leyden node stop; set mode: standalone in "+e.madeFile()+"; leyden node migrate --signer-host HOST:PORT",
				"%s still has private keys, although the node is watch-only: they are encrypted with the password that lies on this machine", f.path))
		case has:
			found = append(found, fail("shred --remove "+f.path, "%s is a copy of a wallet with private keys, although the node is watch-only", f.path))
		}
	}
	return found
}

// holdsWallet says whether lnd, or somebody who copied its files, keeps a wallet
// under that name: in bbolt's wallet.db, or in SQLite.
func holdsWallet(name string) bool {
	return strings.Contains(name, "wallet.db") || strings.Contains(name, ".sqlite")
}

// contains says whether the file has those bytes anywhere.
func contains(ctx context.Context, path string, want []byte) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	buf, kept := make([]byte, 1<<20), 0
	for ctx.Err() == nil {
		n, err := f.Read(buf[kept:])
		read := buf[:kept+n]
		if bytes.Contains(read, want) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept = copy(buf, read[max(0, len(read)-len(want)+1):])
	}
	return false, ctx.Err()
}
