package gate

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/l402"
)

// keyFile is the file of the master keys in the gate's folder: one key a line
// in hex, the one that mints first. Mode 0600.
const keyFile = "master.key"

const keyFileHead = "# Master keys of the gate, the newest first. Whoever has them can make tokens.\n" +
	"# Removing a line makes every token that its key minted worthless.\n"

// loadKeys reads the master keys. Errors: insecure_file, bad_key_file, or
// os.ErrNotExist in the chain.
func loadKeys(path string) ([]l402.MasterKey, error) {
	text, err := files.ReadSecret(path)
	if err != nil {
		return nil, err
	}
	var keys []l402.MasterKey
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := l402.ParseMasterKey(line)
		if err != nil {
			return nil, badKeyFile("%s: line %d: %w", path, n, err)
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, badKeyFile("%s: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, badKeyFile("%s holds no key", path)
	}
	return keys, nil
}

// rotateKeys makes a new master key. The older keys stay, so that the tokens
// sold with them stay good, unless they are to be dropped.
func rotateKeys(path string, dropOld bool) (Rotation, error) {
	old, err := loadKeys(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Rotation{}, err
	}
	key, err := l402.NewMasterKey(rand.Reader)
	if err != nil {
		return Rotation{}, err
	}
	r := Rotation{KeyID: key.ID().String(), Kept: len(old)}
	if dropOld {
		r.Kept, r.Dropped, old = 0, len(old), nil
	}
	text := keyFileHead
	for _, k := range append([]l402.MasterKey{key}, old...) {
		text += k.Reveal() + "\n"
	}
	return r, files.Write(path, []byte(text), 0o600)
}

// openKeys returns the keyring, made at the first start. known are the keys
// that have minted before: when there are some and the file is gone, a new key
// would silently make every token sold worthless, so that is an error.
func openKeys(path string, known []l402.KeyID) (*l402.Keyring, error) {
	keys, err := loadKeys(path)
	if errors.Is(err, os.ErrNotExist) {
		if len(known) > 0 {
			return nil, keyMissing(path)
		}
		if _, err := rotateKeys(path, false); err != nil {
			return nil, err
		}
		keys, err = loadKeys(path)
	}
	if err != nil {
		return nil, err
	}
	ring, err := l402.NewKeyring(keys[0], keys[1:]...)
	if err != nil {
		return nil, badKeyFile("%s: %w", path, err)
	}
	return ring, nil
}

// replaceKeys is rotateKeys for a gate that has sold with the known keys: when
// their file is gone it makes no new one beside which they would be forgotten,
// unless that is what is asked for.
func replaceKeys(path string, known []l402.KeyID, dropOld bool) (Rotation, error) {
	if len(known) > 0 && !dropOld && missing(path) {
		return Rotation{}, keyMissing(path)
	}
	return rotateKeys(path, dropOld)
}

func keyMissing(path string) error {
	return fault.New("key_missing", "restore it from a backup; to begin anew: leyden gate rotate-key --drop-old",
		"the master key file %s is gone: without it every token sold so far is worthless", path)
}

func badKeyFile(format string, args ...any) error {
	return fault.New("bad_key_file", "restore it from a backup", "%w", fmt.Errorf(format, args...))
}
