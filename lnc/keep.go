package lnc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/google/renameio/v2"
)

// The form in which an identity is kept: its version, flags, this side's key
// (32 bytes) and, once the two have paired, the other's (33 bytes, compressed).
const (
	keptVersion = 1

	keptConfirmed = 1 << 0

	keptKey    = 2
	keptRemote = keptKey + btcec.PrivKeyBytesLen
	keptWhole  = keptRemote + btcec.PubKeyBytesLenCompressed
)

// EncodeIdentity returns an identity in the form that ParseIdentity reads. It
// is a secret.
func EncodeIdentity(identity Identity) ([]byte, error) {
	if identity.Static == nil {
		return nil, errors.New("this side's key of the session is missing")
	}
	kept := []byte{keptVersion, 0}
	if identity.Confirmed {
		kept[1] |= keptConfirmed
	}
	kept = append(kept, identity.Static.Serialize()...)
	if identity.Remote != nil {
		kept = append(kept, identity.Remote.SerializeCompressed()...)
	}
	return kept, nil
}

// ParseIdentity reads what EncodeIdentity returned.
func ParseIdentity(kept []byte) (Identity, error) {
	if len(kept) != keptRemote && len(kept) != keptWhole || kept[0] != keptVersion || kept[1]&^keptConfirmed != 0 {
		return Identity{}, fmt.Errorf("%d bytes are no identity of a session", len(kept))
	}
	var key btcec.ModNScalar
	if overflow := key.SetByteSlice(kept[keptKey:keptRemote]); overflow || key.IsZero() {
		return Identity{}, errors.New("this side's key of the session is none")
	}
	identity := Identity{Static: btcec.PrivKeyFromScalar(&key), Confirmed: kept[1] != 0}
	switch {
	case len(kept) == keptWhole:
		remote, err := btcec.ParsePubKey(kept[keptRemote:])
		if err != nil {
			return Identity{}, fmt.Errorf("the node's key of the session: %w", err)
		}
		identity.Remote = remote
	case identity.Confirmed:
		return Identity{}, errors.New("the node's key of the session is missing")
	}
	return identity, nil
}

// Open returns a Dialer of a session whose keys are kept in a file, which only
// its owner can read, and which is made at the pairing. The phrase is needed
// until then, and for a program that may have died in between until the second
// connection; later it may be the zero value. A folder that is missing is made.
func Open(path string, mailbox Mailbox, phrase Phrase) (*Dialer, error) {
	d := &Dialer{Mailbox: mailbox, Phrase: phrase, Persist: func(identity Identity) error {
		kept, err := EncodeIdentity(identity)
		if err != nil {
			return err
		}
		return replace(path, kept)
	}}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, os.MkdirAll(filepath.Dir(path), 0o700)
	case err != nil:
		return nil, err
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("the session's keys in %q can be read by others: chmod 600 %s", path, path)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if d.Identity, err = ParseIdentity(kept); err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return d, nil
}

// replace writes a file durably: the old one or the new one, whatever happens.
func replace(path string, data []byte) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)),
		renameio.WithPermissions(0o600), renameio.IgnoreUmask())
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
