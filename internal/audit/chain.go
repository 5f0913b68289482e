package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/leydenln/leyden/internal/store/guarddb"
)

// Hash is an entry's hash: the SHA-256 of the hash before it (of the first
// entry: 32 zero bytes) and of all the entry's fields in the order of
// guarddb.Journal, numbers as 8 bytes and each field after its length in 8
// bytes, both big-endian.
type Hash [sha256.Size]byte

// String returns 64 hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

func previous(hash []byte) Hash {
	var h Hash
	copy(h[:], hash)
	return h
}

// chain computes the hash of an entry whose own is not looked at.
func chain(previous Hash, row guarddb.Journal) Hash {
	buf := append(make([]byte, 0, 1024), previous[:]...)
	for _, n := range []int64{row.Seq, row.AtMs} {
		buf = binary.BigEndian.AppendUint64(buf, 8)
		buf = binary.BigEndian.AppendUint64(buf, uint64(n))
	}
	for _, text := range []string{
		row.Kind, row.Actor, row.Via, row.Peer, row.Macaroon, row.Account, row.Subject, row.Detail,
	} {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(text)))
		buf = append(buf, text...)
	}
	return sha256.Sum256(buf)
}

// Head is the end of the journal: noted somewhere else, it proves later that
// nothing up to it was changed or cut off. The zero Head is the empty journal's.
type Head struct {
	Seq  int64
	Hash Hash
}

// String returns SEQ:HASH, as ParseHead reads it.
func (h Head) String() string { return strconv.FormatInt(h.Seq, 10) + ":" + h.Hash.String() }

// ParseHead reads SEQ:HASH: a decimal number and 64 hex digits.
func ParseHead(text string) (Head, error) {
	number, digits, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	raw, hexErr := hex.DecodeString(digits)
	if err != nil || seq < 0 || hexErr != nil || len(raw) != sha256.Size {
		return Head{}, fmt.Errorf("journal head %q: want SEQ:HASH as `audit verify` prints it", text)
	}
	return Head{Seq: seq, Hash: Hash(raw)}, nil
}
