package policy

import (
	"encoding/hex"
	"fmt"
)

// PubKey is a node's compressed public key (33 bytes), 66 hex digits in text.
type PubKey [33]byte

// ParsePubKey reads the 66 hex digits of a compressed public key. Whether it is
// a point on the curve is not judged: one that is not is nobody's.
func ParsePubKey(text string) (PubKey, error) {
	var key PubKey
	return key, key.UnmarshalText([]byte(text))
}

// String returns the hex digits.
func (k PubKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText returns the hex digits.
func (k PubKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is ParsePubKey's for encoding/json.
func (k *PubKey) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(k) || (raw[0] != 2 && raw[0] != 3) {
		return fmt.Errorf("node key %q: want the 66 hex digits of a compressed public key", text)
	}
	*k = PubKey(raw)
	return nil
}
