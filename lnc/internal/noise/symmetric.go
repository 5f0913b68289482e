package noise

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

// symmetric is the state that a handshake hashes into and encrypts with. Other
// than in the Noise framework it encrypts from the start, with a key of zeros.
type symmetric struct {
	hash, chain, key [32]byte
	nonce            uint64
}

func (s *symmetric) init(name string) {
	s.hash = sha256.Sum256([]byte(name))
	s.chain = s.hash
}

func (s *symmetric) mixHash(data []byte) {
	hash := sha256.New()
	hash.Write(s.hash[:])
	hash.Write(data)
	hash.Sum(s.hash[:0])
}

func (s *symmetric) mixKey(input []byte) {
	s.chain, s.key = derive(s.chain[:], input)
	s.nonce = 0
}

// seal appends the ciphertext of plaintext to dst.
func (s *symmetric) seal(dst, plaintext []byte) []byte {
	start := len(dst)
	dst = newAEAD(s.key).Seal(dst, nonce(s.nonce), plaintext, s.hash[:])
	s.nonce++
	s.mixHash(dst[start:])
	return dst
}

func (s *symmetric) open(ciphertext []byte) ([]byte, error) {
	plaintext, err := newAEAD(s.key).Open(nil, nonce(s.nonce), ciphertext, s.hash[:])
	if err != nil {
		return nil, ErrAuthentication
	}
	s.nonce++
	s.mixHash(ciphertext)
	return plaintext, nil
}

// split returns the keys of both directions.
func (s *symmetric) split() (toServer, toClient *direction) {
	first, second := derive(s.chain[:], nil)
	return newDirection(first, s.chain), newDirection(second, s.chain)
}

func (s *symmetric) wipe() {
	clear(s.chain[:])
	clear(s.key[:])
}

// derive is HKDF-SHA256 without info to two keys.
func derive(salt, input []byte) (first, second [32]byte) {
	out, err := hkdf.Key(sha256.New, input, salt, "", 64)
	if err != nil {
		panic("noise: 64 bytes are in reach of HKDF-SHA256: " + err.Error())
	}
	copy(first[:], out)
	copy(second[:], out[32:])
	clear(out)
	return first, second
}

// nonce is 4 zero bytes and the little-endian counter.
func nonce(counter uint64) []byte {
	var scratch [chacha20poly1305.NonceSize]byte
	return putNonce(&scratch, counter)
}

func putNonce(n *[chacha20poly1305.NonceSize]byte, counter uint64) []byte {
	binary.LittleEndian.PutUint64(n[4:], counter)
	return n[:]
}
