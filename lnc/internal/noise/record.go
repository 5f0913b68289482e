package noise

import (
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	tag = chacha20poly1305.Overhead

	// HeaderSize is the size in bytes of an encrypted header, which tells the
	// length of the body.
	HeaderSize = 2 + tag

	// Overhead is by how many bytes a record is longer than its plaintext.
	Overhead = HeaderSize + tag

	// MaxPlaintext is the longest plaintext of one record in bytes.
	MaxPlaintext = 65535

	// rotateAfter is how many operations one key does: 500 records.
	rotateAfter = 1000
)

// direction is the cipher of what flows one way.
type direction struct {
	aead      cipher.AEAD
	key, salt [32]byte
	nonce     uint64
	scratch   [chacha20poly1305.NonceSize]byte
}

func newAEAD(key [32]byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("noise: a key of 32 bytes: " + err.Error())
	}
	return aead
}

func newDirection(key, salt [32]byte) *direction {
	return &direction{aead: newAEAD(key), key: key, salt: salt}
}

func (d *direction) seal(dst, plaintext []byte) []byte {
	dst = d.aead.Seal(dst, putNonce(&d.scratch, d.nonce), plaintext, nil)
	d.next()
	return dst
}

func (d *direction) open(dst, ciphertext []byte) ([]byte, error) {
	out, err := d.aead.Open(dst, putNonce(&d.scratch, d.nonce), ciphertext, nil)
	if err != nil {
		return dst, ErrAuthentication
	}
	d.next()
	return out, nil
}

func (d *direction) next() {
	d.nonce++
	if d.nonce == rotateAfter {
		d.salt, d.key = derive(d.salt[:], d.key[:])
		d.aead, d.nonce = newAEAD(d.key), 0
	}
}

func (d *direction) wipe() {
	clear(d.key[:])
	clear(d.salt[:])
	d.aead = nil
}

// Sealer encrypts what this side sends. It is not safe for concurrent use.
type Sealer struct {
	direction direction
	header    [2]byte
}

// Seal appends a record of plaintext, header and body, to dst. A plaintext
// longer than MaxPlaintext is a mistake of the caller, and panics.
func (s *Sealer) Seal(dst, plaintext []byte) []byte {
	if len(plaintext) > MaxPlaintext {
		panic("noise: plaintext too long for a record")
	}
	binary.BigEndian.PutUint16(s.header[:], uint16(len(plaintext)))
	dst = s.direction.seal(dst, s.header[:])
	return s.direction.seal(dst, plaintext)
}

// Wipe clears the key. The sealer must not be used any more.
func (s *Sealer) Wipe() { s.direction.wipe() }

// Opener decrypts what the other side sends: header, body, header and so on.
// After any error it is dead. It is not safe for concurrent use.
type Opener struct {
	direction direction
	header    [2]byte
	body      int // size of the encrypted body that comes next, 0 before a header
	dead      bool
}

// OpenHeader returns the size in bytes of the encrypted body that follows: at
// least that of a tag.
func (o *Opener) OpenHeader(header []byte) (int, error) {
	switch {
	case o.dead:
		return 0, ErrDead
	case o.body != 0:
		return 0, o.fail(ErrOutOfOrder)
	case len(header) != HeaderSize:
		return 0, o.fail(ErrMalformed)
	}
	length, err := o.direction.open(o.header[:0], header)
	if err != nil {
		return 0, o.fail(err)
	}
	o.body = int(binary.BigEndian.Uint16(length)) + tag
	return o.body, nil
}

// OpenBody appends the plaintext of a body, as long as its header said, to dst.
func (o *Opener) OpenBody(dst, body []byte) ([]byte, error) {
	switch {
	case o.dead:
		return dst, ErrDead
	case o.body == 0:
		return dst, o.fail(ErrOutOfOrder)
	case len(body) != o.body:
		return dst, o.fail(ErrMalformed)
	}
	o.body = 0
	out, err := o.direction.open(dst, body)
	if err != nil {
		return dst, o.fail(err)
	}
	return out, nil
}

// Wipe clears the key. The opener is dead.
func (o *Opener) Wipe() {
	o.dead = true
	o.direction.wipe()
}

func (o *Opener) fail(err error) error {
	o.Wipe()
	return err
}
