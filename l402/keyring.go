package l402

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/lightningnetwork/lnd/lntypes"
	"gopkg.in/macaroon.v2"
)

// Keyring holds the master keys of a seller: the current one, which mints, and
// older ones, whose tokens are still good. Leaving a key out makes every token
// it minted worthless. A Keyring does not change and may be used by several
// goroutines.
type Keyring struct {
	current MasterKey
	byID    map[KeyID]MasterKey
}

// NewKeyring makes a keyring. It is an error when a key is the zero value or
// two are the same.
func NewKeyring(current MasterKey, older ...MasterKey) (*Keyring, error) {
	ring := &Keyring{current: current, byID: make(map[KeyID]MasterKey, 1+len(older))}
	for _, key := range append([]MasterKey{current}, older...) {
		if key.IsZero() {
			return nil, errors.New("make keyring: empty master key")
		}
		if _, ok := ring.byID[key.ID()]; ok {
			return nil, fmt.Errorf("make keyring: master key %s given twice", key.ID())
		}
		ring.byID[key.ID()] = key
	}
	return ring, nil
}

// Current returns the id of the key that mints.
func (r *Keyring) Current() KeyID { return r.current.ID() }

// Has reports whether the keyring holds the key.
func (r *Keyring) Has(id KeyID) bool {
	_, ok := r.byID[id]
	return ok
}

// holds reports whether every key of the other keyring is in this one.
func (r *Keyring) holds(other *Keyring) bool {
	for id, key := range other.byID {
		if own, ok := r.byID[id]; !ok || !own.Equal(key) {
			return false
		}
	}
	return true
}

// Derive returns a secret of 32 bytes for another use of a master key, named by
// purpose; false when the keyring does not hold the key.
func (r *Keyring) Derive(id KeyID, purpose string) ([]byte, bool) {
	key, ok := r.byID[id]
	if !ok {
		return nil, false
	}
	secret, err := key.derive(purpose)
	return secret, err == nil
}

// Mint makes the token that is sold for the invoice with the given payment
// hash, restricted by the caveats in their order. One of them must be a
// services caveat ([ServicesCaveat]), since a token that names no service
// opens none. The random part of the token id is read from rand, which should
// be crypto/rand.Reader.
//
// The token has no location, which would travel in three headers and is not
// signed; see [Token.WithLocation].
func (r *Keyring) Mint(rand io.Reader, hash lntypes.Hash, caveats ...Caveat) (Token, error) {
	if !slices.ContainsFunc(caveats, func(c Caveat) bool { return c.Key == keyServices }) {
		return Token{}, errors.New("mint token: no services caveat")
	}
	id := Identifier{Version: IdentifierVersion, PaymentHash: hash}
	keyID := r.current.ID()
	n := copy(id.TokenID[:], keyID[:])
	if _, err := io.ReadFull(rand, id.TokenID[n:]); err != nil {
		return Token{}, fmt.Errorf("mint token: %w", err)
	}
	raw, err := id.MarshalBinary()
	if err != nil {
		return Token{}, fmt.Errorf("mint token: %w", err)
	}
	root, err := r.current.rootKey(raw)
	if err != nil {
		return Token{}, fmt.Errorf("mint token: %w", err)
	}
	m, err := macaroon.New(root, raw, "", macaroon.V2)
	if err != nil {
		return Token{}, fmt.Errorf("mint token: %w", err)
	}
	t, err := attenuate(m, caveats)
	if err != nil {
		return Token{}, fmt.Errorf("mint token: %w", err)
	}
	return t, nil
}
