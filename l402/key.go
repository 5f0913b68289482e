package l402

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// MasterKeySize is the size in bytes of a master key.
const MasterKeySize = 32

// The salt and the info strings of the derivations (HKDF-SHA256, RFC 5869).
// Changing one makes every token that was sold worthless.
const (
	saltMasterKey = "leyden l402 master key"
	infoKeyID     = "key id"
	infoRootKey   = "root key"
	infoPurpose   = "purpose "
)

const secretText = "<secret>"

// KeyID names a master key. It is derived from the key, so that nobody has to
// assign it, and says nothing about it.
type KeyID [KeyIDSize]byte

// String returns the id as 16 hex digits.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// MasterKey is the secret from which the root keys of all tokens are derived.
// Whoever has it can mint tokens for any service. It cannot be printed,
// logged, marshalled or compared with ==; [MasterKey.Reveal] is the only way
// out. The zero value is no key.
type MasterKey struct {
	// secret is nil or returns the secret. It is a function because fmt
	// cannot look into one: through an unexported field it would bypass
	// Format, and follow a pointer when the verb is a wrong one.
	secret func() *masterSecret
}

type masterSecret struct {
	key [MasterKeySize]byte
	// prk is the key after HKDF-Extract.
	prk []byte
	id  KeyID
}

// NewMasterKey makes a key of 32 bytes read from rand, which should be
// crypto/rand.Reader. The error is rand's.
func NewMasterKey(rand io.Reader) (MasterKey, error) {
	var key [MasterKeySize]byte
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return MasterKey{}, fmt.Errorf("make master key: %w", err)
	}
	return newMasterKey(key)
}

// ParseMasterKey reads the 64 hex digits of [MasterKey.Reveal]. The error does
// not quote them.
func ParseMasterKey(text string) (MasterKey, error) {
	var key [MasterKeySize]byte
	if len(text) != hex.EncodedLen(MasterKeySize) {
		return MasterKey{}, fmt.Errorf("malformed master key: %d characters, want %d hex digits",
			len(text), hex.EncodedLen(MasterKeySize))
	}
	if _, err := hex.Decode(key[:], []byte(text)); err != nil {
		return MasterKey{}, errors.New("malformed master key: not hex")
	}
	return newMasterKey(key)
}

func newMasterKey(key [MasterKeySize]byte) (MasterKey, error) {
	prk, err := hkdf.Extract(sha256.New, key[:], []byte(saltMasterKey))
	if err != nil {
		return MasterKey{}, fmt.Errorf("derive from master key: %w", err)
	}
	id, err := hkdf.Expand(sha256.New, prk, infoKeyID, KeyIDSize)
	if err != nil {
		return MasterKey{}, fmt.Errorf("derive id of master key: %w", err)
	}
	secret := &masterSecret{key: key, prk: prk, id: KeyID(id)}
	return MasterKey{secret: func() *masterSecret { return secret }}, nil
}

// ID returns the public name of the key; that of the zero value is zero.
func (k MasterKey) ID() KeyID {
	if k.IsZero() {
		return KeyID{}
	}
	return k.secret().id
}

// IsZero reports whether k is no key.
func (k MasterKey) IsZero() bool { return k.secret == nil }

// Equal reports in constant time whether two keys are the same.
func (k MasterKey) Equal(other MasterKey) bool {
	if k.IsZero() || other.IsZero() {
		return k.IsZero() && other.IsZero()
	}
	return subtle.ConstantTimeCompare(k.secret().key[:], other.secret().key[:]) == 1
}

// Reveal returns the key as 64 hex digits, to be written to a file of mode
// 0600 and nowhere else. The zero value gives "".
func (k MasterKey) Reveal() string {
	if k.IsZero() {
		return ""
	}
	return hex.EncodeToString(k.secret().key[:])
}

// rootKey derives the root key of one token, by HKDF-Expand over its whole
// identifier: a token for another payment hash has another root key.
func (k MasterKey) rootKey(identifier []byte) ([]byte, error) {
	root, err := hkdf.Expand(sha256.New, k.secret().prk, infoRootKey+string(identifier), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive root key: %w", err)
	}
	return root, nil
}

// derive returns the 32 bytes that belong to another use of the key.
func (k MasterKey) derive(purpose string) ([]byte, error) {
	return hkdf.Expand(sha256.New, k.secret().prk, infoPurpose+purpose, sha256.Size)
}

// String returns "<secret>".
func (k MasterKey) String() string { return secretText }

// GoString returns "<secret>".
func (k MasterKey) GoString() string { return secretText }

// Format prints "<secret>" for every verb.
func (k MasterKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, secretText) }

// LogValue returns "<secret>".
func (k MasterKey) LogValue() slog.Value { return slog.StringValue(secretText) }

// MarshalText returns "<secret>".
func (k MasterKey) MarshalText() ([]byte, error) { return []byte(secretText), nil }
