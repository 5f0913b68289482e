package noise

import (
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
)

const prologue = "lightning-node-connect"

// token is one step of an act.
type token int

const (
	e  token = iota // an ephemeral key
	me              // the same, masked with the password
	s               // the static key, encrypted
	ee              // the products of two keys: the initiator's letter comes first
	es
	se
	ss
)

// pattern is the name that is hashed and the tokens of each act, the first of
// which is the initiator's.
type pattern struct {
	name string
	acts [][]token
}

var (
	patternXX = pattern{
		name: "Noise_XXeke+SPAKE2_secp256k1_ChaChaPoly_SHA256",
		acts: [][]token{{me}, {e, ee, s, es}, {s, se}},
	}
	patternKK = pattern{
		name: "Noise_KK_secp256k1_ChaChaPoly_SHA256",
		acts: [][]token{{e, es, ss}, {e, ee, se}},
	}
)

// The act that carries the auth data, counted from 0.
const authAct = 1

// legacyBlock is the size in bytes of the auth data's block in version 0: its
// length in 2 bytes, itself, zeros.
const legacyBlock = 500

const keySize = btcec.PubKeyBytesLenCompressed

// WriteAct returns the next act, which is this side's and to be sent as one
// message.
func (h *Handshake) WriteAct() ([]byte, error) {
	if err := h.begin(true); err != nil {
		return nil, err
	}
	if h.act == authAct {
		h.version = h.max
	}
	act := []byte{h.version}
	if h.act == 0 {
		act[0] = h.first
	}
	var err error
	for _, t := range h.pattern.acts[h.act] {
		if act, err = h.writeToken(act, t); err != nil {
			return nil, h.fail(err)
		}
	}
	if act, err = h.writePayload(act); err != nil {
		return nil, h.fail(err)
	}
	h.act++
	return act, nil
}

// ReadAct takes the other side's next act, whole and with nothing after it.
// After any error the handshake is dead.
func (h *Handshake) ReadAct(act []byte) error {
	if err := h.begin(false); err != nil {
		return err
	}
	if err := h.readAct(act); err != nil {
		return h.fail(err)
	}
	h.act++
	return nil
}

func (h *Handshake) begin(write bool) error {
	switch {
	case h.dead:
		return ErrDead
	case h.act >= len(h.pattern.acts) || h.writes(h.act) != write:
		return h.fail(ErrOutOfOrder)
	}
	return nil
}

func (h *Handshake) readAct(act []byte) error {
	if len(act) == 0 {
		return ErrMalformed
	}
	if err := h.readVersion(act[0]); err != nil {
		return err
	}
	rest := act[1:]
	var err error
	for _, t := range h.pattern.acts[h.act] {
		if rest, err = h.readToken(rest, t); err != nil {
			return err
		}
	}
	auth, err := h.readPayload(rest)
	if err != nil {
		return err
	}
	if h.act == authAct {
		h.authData = auth
	}
	h.remote = h.static
	return nil
}

// readVersion checks the byte that begins an act: the least that an initiator
// wants in act 1, what the responder chose in act 2, the same again in act 3.
func (h *Handshake) readVersion(version byte) error {
	known := version >= h.min && version <= h.max
	if h.act > authAct {
		known = version == h.version
	}
	if !known {
		return fmt.Errorf("%w: version %d", ErrMalformed, version)
	}
	if h.act == authAct {
		h.version = version
	}
	return nil
}

func (h *Handshake) writeToken(act []byte, t token) ([]byte, error) {
	switch t {
	case e, me:
		key, err := h.newEphemeral()
		if err != nil {
			return nil, fmt.Errorf("ephemeral key: %w", err)
		}
		h.ephemeral = key
		public := key.PubKey()
		h.state.mixHash(public.SerializeCompressed())
		if t == me {
			if public, err = mask(public, h.keys.Password); err != nil {
				return nil, err
			}
		}
		return append(act, public.SerializeCompressed()...), nil
	case s:
		return h.state.seal(act, h.keys.Static.PubKey().SerializeCompressed()), nil
	}
	h.mixProduct(t)
	return act, nil
}

// readToken takes one token from the front of rest and returns what follows.
func (h *Handshake) readToken(rest []byte, t token) ([]byte, error) {
	switch t {
	case e, me:
		raw, rest, err := cut(rest, keySize)
		if err != nil {
			return nil, err
		}
		key, err := parseKey(raw)
		if err != nil {
			return nil, err
		}
		if t == me {
			if key, err = unmask(key, h.keys.Password); err != nil {
				return nil, err
			}
		}
		h.remoteEphemeral = key
		h.state.mixHash(key.SerializeCompressed())
		return rest, nil
	case s:
		sealed, rest, err := cut(rest, keySize+tag)
		if err != nil {
			return nil, err
		}
		raw, err := h.state.open(sealed)
		if err != nil {
			return nil, err
		}
		h.static, err = parseKey(raw)
		return rest, err
	}
	h.mixProduct(t)
	return rest, nil
}

// mixProduct mixes in the product of this side's key and the other side's.
func (h *Handshake) mixProduct(t token) {
	mine, theirs := h.ephemeral, h.remoteEphemeral
	if t == ss || (t == se) == h.initiator && t != ee {
		mine = h.keys.Static
	}
	if t == ss || (t == es) == h.initiator && t != ee {
		theirs = h.static
	}
	product := ECDH(mine, theirs)
	h.state.mixKey(product[:])
	clear(product[:])
}

func (h *Handshake) writePayload(act []byte) ([]byte, error) {
	auth := h.keys.AuthData
	switch {
	case h.act != authAct:
		return h.state.seal(act, nil), nil
	case h.version == 0:
		if len(auth) > legacyBlock-2 {
			return nil, fmt.Errorf("auth data of %d bytes, version 0 holds %d", len(auth), legacyBlock-2)
		}
		block := make([]byte, legacyBlock)
		binary.BigEndian.PutUint16(block, uint16(len(auth)))
		copy(block[2:], auth)
		return h.state.seal(act, block), nil
	}
	act = h.state.seal(act, binary.BigEndian.AppendUint32(nil, uint32(len(auth))))
	return h.state.seal(act, auth), nil
}

// readPayload takes the end of an act, and returns the auth data in act 2.
func (h *Handshake) readPayload(rest []byte) ([]byte, error) {
	if h.act != authAct {
		if len(rest) != tag {
			return nil, ErrMalformed
		}
		return h.state.open(rest)
	}
	if h.version == 0 {
		return h.readLegacyBlock(rest)
	}
	sealed, rest, err := cut(rest, 4+tag)
	if err != nil {
		return nil, err
	}
	length, err := h.state.open(sealed)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length)
	if n > MaxAuthData || len(rest) != int(n)+tag {
		return nil, fmt.Errorf("%w: auth data of %d bytes in an act that has %d", ErrMalformed, n, len(rest))
	}
	return h.state.open(rest)
}

func (h *Handshake) readLegacyBlock(rest []byte) ([]byte, error) {
	if len(rest) != legacyBlock+tag {
		return nil, ErrMalformed
	}
	block, err := h.state.open(rest)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(block))
	if n > legacyBlock-2 {
		return nil, ErrMalformed
	}
	return block[2 : 2+n], nil
}

func cut(rest []byte, n int) (head, tail []byte, err error) {
	if len(rest) < n {
		return nil, nil, fmt.Errorf("%w: too short", ErrMalformed)
	}
	return rest[:n], rest[n:], nil
}

func parseKey(raw []byte) (*btcec.PublicKey, error) {
	key, err := btcec.ParsePubKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: not a public key", ErrMalformed)
	}
	return key, nil
}
