package l402

import (
	"encoding/base64"
	"fmt"
	"io"
)

// ClientNonceSize is the size in bytes of a client nonce.
const ClientNonceSize = 16

// ClientNonce is the random value by which a seller knows a client that has
// not paid yet, so that it is given the same unpaid challenge again. A client
// keeps one per origin and sends it only there, in [HeaderClient].
type ClientNonce [ClientNonceSize]byte

// NewClientNonce reads a nonce from rand, which should be crypto/rand.Reader.
func NewClientNonce(rand io.Reader) (ClientNonce, error) {
	var n ClientNonce
	if _, err := io.ReadFull(rand, n[:]); err != nil {
		return ClientNonce{}, fmt.Errorf("make client nonce: %w", err)
	}
	return n, nil
}

// ParseClientNonce reads the 22 characters of [ClientNonce.String]. Anything
// else is an error of [ReasonMalformed].
func ParseClientNonce(s string) (ClientNonce, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != ClientNonceSize || len(s) != base64.RawURLEncoding.EncodedLen(ClientNonceSize) {
		return ClientNonce{}, refuse(ReasonMalformed,
			"malformed client nonce %s: want %d bytes in base64url", quote(s), ClientNonceSize)
	}
	return ClientNonce(raw), nil
}

// String returns the value of the header: unpadded base64url, 22 characters.
func (n ClientNonce) String() string { return base64.RawURLEncoding.EncodeToString(n[:]) }
