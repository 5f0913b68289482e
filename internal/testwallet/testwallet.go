// Package testwallet keeps tests on real nodes quick: it makes wallets that open at
// once, and copies of home folders that were made once. It promises that such a
// wallet is opened by the same lnd, with the same password and the same keys; only
// the work that its password costs is less. It makes no wallet itself: the programs
// under test do.
package testwallet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcwallet/snacl"
	"go.etcd.io/bbolt"

	"github.com/leydenln/leyden/internal/files"
)

// work is scrypt's N of a cheap wallet; lnd's is 262144, three times at each start.
const work = 16

// What has a password in lnd's folder of a network. It is the same for both, except
// where a change of it was cut short.
const (
	Wallet    = "wallet.db"
	Macaroons = "macaroons.db"
)

// Cheapen makes the password of wallet and macaroon store in lnd's folder of a network
// quick to check. That lnd must not run.
func Cheapen(networkDir string, password []byte) error {
	return Rekey(networkDir, password, password, Wallet, Macaroons)
}

// Rekey gives the stores another password, quick to check.
func Rekey(networkDir string, old, changed []byte, stores ...string) (err error) {
	for _, store := range stores {
		do := rekeyMacaroons
		if store == Wallet {
			do = rekeyWallet
		}
		err = errors.Join(err, update(filepath.Join(networkDir, store), func(tx *bbolt.Tx) error {
			return do(tx, passwords{old, changed})
		}))
	}
	return err
}

type passwords struct{ old, changed []byte }

func rekeyWallet(tx *bbolt.Tx, p passwords) error {
	top := tx.Bucket([]byte("waddrmgr"))
	if top == nil {
		return errors.New("not a wallet of btcwallet")
	}
	main := top.Bucket([]byte("main"))
	if err := p.rekey(main, "mpub", "cpub"); err != nil {
		return err
	}
	if main.Get([]byte("mpriv")) == nil { // watch-only
		return nil
	}
	return p.rekey(main, "mpriv", "cpriv", "cscript")
}

func rekeyMacaroons(tx *bbolt.Tx, p passwords) error {
	keys := tx.Bucket([]byte("macrootkeys"))
	if keys == nil {
		return errors.New("not a macaroon store of lnd")
	}
	var ids []string
	err := keys.ForEach(func(id, _ []byte) error {
		if string(id) != "enckey" {
			ids = append(ids, string(id))
		}
		return nil
	})
	return errors.Join(err, p.rekey(keys, "enckey", ids...))
}

func update(path string, do func(*bbolt.Tx) error) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(do), db.Close()); err != nil {
		return fmt.Errorf("rekey %s: %w", path, err)
	}
	return nil
}

// rekey encrypts the named values with a cheap key, in place of the one whose
// parameters are there.
func (p passwords) rekey(b *bbolt.Bucket, params string, names ...string) error {
	var old snacl.SecretKey
	if err := old.Unmarshal(b.Get([]byte(params))); err != nil {
		return err
	}
	if err := old.DeriveKey(&p.old); err != nil {
		return err
	}
	cheap, err := snacl.NewSecretKey(&p.changed, work, 8, 1)
	if err != nil {
		return err
	}
	for _, name := range names {
		plain, err := old.Decrypt(b.Get([]byte(name)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sealed, err := cheap.Encrypt(plain)
		if err != nil {
			return err
		}
		if err := b.Put([]byte(name), sealed); err != nil {
			return err
		}
	}
	return b.Put([]byte(params), cheap.Marshal())
}

// Copy copies a folder, modes and all. What is neither a file nor a folder, such as a
// socket, is left out.
func Copy(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, info.Mode().Perm())
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return files.Write(target, data, info.Mode().Perm())
	})
}
