package account

import (
	"crypto/sha256"
	"encoding/binary"
)

// rootKeyDomain keeps these root key ids apart from other uses of the hash.
const rootKeyDomain = "leyden account root key\x00"

// RootKeyID returns the id of lnd's macaroon root key that belongs to a
// generation of an account, never 0: the first 8 bytes, big-endian, of
// SHA-256(domain || id || generation as 8 bytes, big-endian).
func RootKeyID(id ID, generation uint64) uint64 {
	h := sha256.New()
	h.Write([]byte(rootKeyDomain))
	h.Write(id[:])
	h.Write(binary.BigEndian.AppendUint64(nil, generation))
	return max(1, binary.BigEndian.Uint64(h.Sum(nil)))
}

// RootKeyID returns the id of the root key that the account's macaroons hang on
// now.
func (a Account) RootKeyID() uint64 { return RootKeyID(a.ID, a.Generation) }
