package wallet

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/lnd"
)

// Secrets say where the secrets of a new wallet are, or shall be. All files have
// mode 0600.
type Secrets struct {
	// PasswordFile holds the password; empty: one is made and written to
	// MadePasswordFile.
	PasswordFile, MadePasswordFile string

	// RestoreFile holds the 24 words of a wallet to restore; Restore has them at
	// hand instead.
	RestoreFile string
	Restore     []string

	// PassphraseFile holds the passphrase of the seed, of one to restore or of a
	// new one, in its first line; empty: none.
	PassphraseFile string

	// SeedFile is where the words of a new seed are written. Empty with Show set:
	// they are only shown.
	SeedFile string

	// Show shows the words once, to a person.
	Show func(words []string) error
}

// Prepare reads the secrets that were given and makes those that were not. It
// makes PasswordFile and SeedFile absolute, and SeedFile empty when a wallet is
// restored. Codes: seed_file_exists, seed_unsafe, insecure_file, and those of
// ReadPassword and ReadSeed.
func (f Folder) Prepare(s *Secrets) (w lnd.NewWallet, err error) {
	w.Seed = s.Restore
	if s.RestoreFile != "" {
		if w.Seed, err = ReadSeed(s.RestoreFile); err != nil {
			return w, err
		}
	}
	restored := len(w.Seed) > 0
	if restored {
		s.SeedFile = ""
	}
	if s.PassphraseFile != "" {
		if w.SeedPassphrase, err = ReadPassphrase(s.PassphraseFile); err != nil {
			return w, err
		}
	}
	if w.Password, err = s.password(); err != nil {
		return w, err
	}
	if s.SeedFile != "" {
		if s.SeedFile, err = filepath.Abs(s.SeedFile); err != nil {
			return w, err
		}
	}
	resumed := s.SeedFile != "" && f.begunWith() == s.SeedFile && exists(s.SeedFile)
	w.Keep = func(words []string) error {
		if err := f.Begin(s.SeedFile); err != nil || restored || resumed {
			return err
		}
		return s.keep(words)
	}
	if resumed {
		w.Seed, err = ReadSeed(s.SeedFile)
		return w, err
	}
	if s.SeedFile != "" && exists(s.SeedFile) {
		return w, fault.New("seed_file_exists", "move it to a safe place first",
			"seed file %q exists already", s.SeedFile)
	}
	return w, nil
}

func (s *Secrets) password() (password []byte, err error) {
	if s.PasswordFile == "" {
		return MadePassword(s.MadePasswordFile)
	}
	if s.PasswordFile, err = filepath.Abs(s.PasswordFile); err != nil {
		return nil, err
	}
	return ReadPassword(s.PasswordFile)
}

// keep makes the words safe before there is a wallet.
func (s *Secrets) keep(words []string) error {
	if s.SeedFile != "" {
		if err := files.Write(s.SeedFile, []byte(strings.Join(words, " ")+"\n"), 0o600); err != nil {
			return err
		}
	}
	if s.Show != nil {
		return s.Show(words)
	}
	if s.SeedFile == "" {
		return fault.New("seed_unsafe", "pass --seed-file FILE", "the seed would be lost")
	}
	return nil
}

// MadePassword returns the password in the file, making it at first. The file
// stays when making the wallet fails: it may have failed half-way.
func MadePassword(path string) ([]byte, error) {
	password, err := ReadPassword(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return password, err
	}
	password = []byte(rand.Text())
	return password, files.Write(path, append(password, '\n'), 0o600)
}

// ReadPassword reads a password file: the first line, without its end. Codes:
// insecure_file, no_password_file, short_password.
func ReadPassword(path string) ([]byte, error) {
	data, err := files.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("no_password_file", "write the wallet's password to it, mode 0600",
			"password file: %w", err)
	}
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) < lnd.MinPassword {
		return nil, fault.New("short_password", "write the wallet's password to it",
			"password file %q: the first line has less than %d characters", path, lnd.MinPassword)
	}
	return line, nil
}

// PasswordFrom returns the reader of a password file, checked once now. A file
// that need not be there and is not gives nil.
func PasswordFrom(path string, must bool) (func() ([]byte, error), error) {
	read := func() ([]byte, error) { return ReadPassword(path) }
	_, err := read()
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil, nil
	}
	return read, err
}

// ReadSeed reads 24 words between any white space. Codes: no_seed_file, bad_seed,
// insecure_file.
func ReadSeed(path string) ([]string, error) {
	data, err := files.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("no_seed_file", "check the path: the file must hold the 24 words to restore", "seed file: %w", err)
	}
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(data))
	if len(words) != lnd.SeedWords {
		return nil, fault.New("bad_seed", "write the 24 words to it, separated by spaces",
			"seed file %q has %d words, not %d", path, len(words), lnd.SeedWords)
	}
	return words, nil
}
