package l402

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/lightningnetwork/lnd/lntypes"
)

const (
	// IdentifierSize is the size in bytes of an encoded identifier.
	IdentifierSize = 2 + lntypes.HashSize + TokenIDSize

	// TokenIDSize is the size in bytes of a token id.
	TokenIDSize = 32

	// KeyIDSize is the size in bytes of the id of a master key.
	KeyIDSize = 8

	// IdentifierVersion is the only version of an identifier there is.
	IdentifierVersion = 0
)

// Identifier is what a token commits to first: the invoice it was sold for and
// its own id.
type Identifier struct {
	// Version is IdentifierVersion.
	Version uint16
	// PaymentHash is the payment hash of the invoice.
	PaymentHash lntypes.Hash
	// TokenID names the token.
	TokenID TokenID
}

// TokenID names a token, for instance to revoke it. In the tokens of this
// package the first 8 bytes name the master key ([TokenID.KeyID]) and the
// other 24 are random; in those of other sellers all 32 are random.
type TokenID [TokenIDSize]byte

// KeyID returns the id of the master key that minted the token, when this
// package minted it.
func (t TokenID) KeyID() KeyID { return KeyID(t[:KeyIDSize]) }

// String returns the id as 64 hex digits.
func (t TokenID) String() string { return hex.EncodeToString(t[:]) }

// ParseTokenID reads the 64 hex digits of [TokenID.String].
func ParseTokenID(s string) (TokenID, error) {
	var id TokenID
	if len(s) != hex.EncodedLen(TokenIDSize) {
		return id, fmt.Errorf("malformed token id %s: want %d hex digits",
			quote(s), hex.EncodedLen(TokenIDSize))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return TokenID{}, fmt.Errorf("malformed token id %s: %v", quote(s), err)
	}
	return id, nil
}

// MarshalBinary returns the 66 bytes that a macaroon carries: version, payment
// hash, token id, big endian (macaroon-spec.md, "Identifier Structure"). The
// error is always nil.
func (id Identifier) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, IdentifierSize)
	b = binary.BigEndian.AppendUint16(b, id.Version)
	b = append(b, id.PaymentHash[:]...)
	return append(b, id.TokenID[:]...), nil
}

// ParseIdentifier reads what [Identifier.MarshalBinary] writes. Any other
// length and any other version is an error of [ReasonMalformed].
func ParseIdentifier(b []byte) (Identifier, error) {
	if len(b) != IdentifierSize {
		return Identifier{}, refuse(ReasonMalformed,
			"malformed identifier: %d bytes, want %d", len(b), IdentifierSize)
	}
	id := Identifier{Version: binary.BigEndian.Uint16(b)}
	if id.Version != IdentifierVersion {
		return Identifier{}, refuse(ReasonMalformed,
			"malformed identifier: version %d, want %d", id.Version, IdentifierVersion)
	}
	n := 2 + copy(id.PaymentHash[:], b[2:])
	copy(id.TokenID[:], b[n:])
	return id, nil
}
