package wallet

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"time"

	"github.com/lightningnetwork/lnd/aezeed"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// NewSeed makes the 24 words of a new seed, as lnd does (aezeed), protected by the
// passphrase, which may be empty.
func NewSeed(passphrase []byte) ([]string, error) {
	var entropy [aezeed.EntropySize]byte
	rand.Read(entropy[:])
	seed, err := aezeed.New(keychain.CurrentKeyDerivationVersion, &entropy, time.Now())
	if err != nil {
		return nil, fault.New("wallet_failed", "", "make a seed: %w", err)
	}
	words, err := seed.ToMnemonic(passphrase)
	if err != nil {
		return nil, fault.New("wallet_failed", "", "make a seed: %w", err)
	}
	return words[:], nil
}

// ReadPassphrase reads a seed's passphrase: the first line of the file, without its
// end. Codes: insecure_file, no_seed_file, bad_seed.
func ReadPassphrase(path string) ([]byte, error) {
	data, err := files.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("no_seed_file", "check the path", "file with the seed's passphrase: %w", err)
	}
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, fault.New("bad_seed", "write the seed's passphrase to its first line", "file %q is empty", path)
	}
	return line, nil
}
