package api

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Files in Options.Dir, mode 0600.
const (
	// MacaroonFile is the operator's credential, binary.
	MacaroonFile = "leyden.macaroon"

	// keyFile is the root key of that macaroon, hex.
	keyFile = "macaroon.key"
)

const (
	location = "leyden"
	idPrefix = "leyden operator "

	// timeBefore is the one caveat that is known: clients such as litcli add it
	// to every call. RFC 3339.
	timeBefore = "time-before "
)

// key is the root key of the operator's macaroons. It cannot be printed.
type key struct{ bytes []byte }

func (key) String() string   { return "<secret>" }
func (key) GoString() string { return "<secret>" }

// openKey reads the root key or makes it, and sees to it that the operator's
// macaroon is there and hangs on it.
func openKey(dir string) (key, error) {
	if err := files.MkdirPrivate(dir); err != nil {
		return key{}, err
	}
	path := filepath.Join(dir, keyFile)
	k, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		k = key{make([]byte, 32)}
		rand.Read(k.bytes)
		err = files.Write(path, []byte(hex.EncodeToString(k.bytes)+"\n"), 0o600)
	}
	if err != nil {
		return key{}, err
	}
	return k, k.keepMacaroon(filepath.Join(dir, MacaroonFile))
}

func readKey(path string) (key, error) {
	text, err := files.ReadSecret(path)
	if err != nil {
		return key{}, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != 32 {
		return key{}, fault.New("bad_key_file", "remove "+path+" (a new key and macaroon are made)",
			"key file %q does not hold 64 hex digits", path)
	}
	return key{raw}, nil
}

// keepMacaroon writes a macaroon unless the file has one that is good.
func (k key) keepMacaroon(path string) error {
	raw, err := files.ReadSecret(path)
	if err == nil {
		if _, err := k.verify(raw, time.Now()); err == nil {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	raw, err = k.bake()
	if err != nil {
		return err
	}
	return files.Write(path, raw, 0o600)
}

func (k key) bake() ([]byte, error) {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	m, err := macaroon.New(k.bytes, []byte(idPrefix+hex.EncodeToString(nonce)), location, macaroon.V2)
	if err != nil {
		return nil, err
	}
	return m.MarshalBinary()
}

// verify returns the macaroon's id if it hangs on the key and all its caveats
// hold. Errors never quote it.
func (k key) verify(raw []byte, now time.Time) (id []byte, err error) {
	var m macaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("malformed macaroon of %d bytes", len(raw))
	}
	if !bytes.HasPrefix(m.Id(), []byte(idPrefix)) {
		return nil, errors.New("the macaroon is not the operator's")
	}
	err = m.Verify(k.bytes, func(caveat string) error {
		text, ok := strings.CutPrefix(caveat, timeBefore)
		if !ok {
			return fmt.Errorf("unknown caveat %q", caveat)
		}
		end, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return fmt.Errorf("malformed caveat %q", caveat)
		}
		if !now.Before(end) {
			return errors.New("the macaroon has expired")
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return m.Id(), nil
}

// readMacaroon reads the credential for a client.
func readMacaroon(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fault.New("bad_macaroon", "is the node started? check the path to "+MacaroonFile,
			"read the operator's macaroon: %w", err)
	}
	if len(raw) == 0 || len(raw) > 64<<10 {
		return "", fault.New("bad_macaroon", "copy the macaroon file again",
			"%q is no macaroon: %d bytes", path, len(raw))
	}
	return hex.EncodeToString(raw), nil
}
