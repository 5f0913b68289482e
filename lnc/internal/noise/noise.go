// Package noise is the cryptography of Lightning Node Connect: the handshakes
// XXeke+SPAKE2 (first pairing) and KK (every later connection), and the cipher
// of the records that follow, as section 4 of the protocol describes them.
//
// It promises that bytes out of order, altered, replayed or cut end the
// handshake or the direction for good, that no key is handed out before the
// other side has proved itself, and that keys are wiped when they are used up.
// It does no I/O and knows no time. Comparisons of secrets are constant-time;
// multiplications on the curve are those of btcec and are not, as in lnd's own
// transport, so that the timing of one multiplication per handshake may tell
// something to whoever can measure it inside of this process's machine.
package noise

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
)

var (
	// ErrOutOfOrder says that it was not this act's, or this record's, turn.
	ErrOutOfOrder = errors.New("noise: out of order")

	// ErrDead says that an earlier failure has ended the handshake or the
	// direction.
	ErrDead = errors.New("noise: ended by an earlier failure")

	// ErrAuthentication says that bytes are not what the other side encrypted:
	// another phrase, another key, or altered on the way.
	ErrAuthentication = errors.New("noise: authentication failed")

	// ErrMalformed says that an act or a record has the wrong form.
	ErrMalformed = errors.New("noise: malformed")
)

// MaxAuthData is the longest auth data in bytes: its act fits a message of the
// relay.
const MaxAuthData = 64 << 10

// The versions of the handshake. Both sides of today end with the newest; the
// older ones differ in the form of the auth data and store no keys.
const (
	oldest = 0
	newest = 2
)

// Keys are what one side brings.
type Keys struct {
	// Static is the long-term key of this side for this session.
	Static *btcec.PrivateKey
	// Remote is the long-term key of the other side, and chooses the pattern:
	// nil is XX, by which the sides meet and learn it, else KK.
	Remote *btcec.PublicKey
	// Password is the stretched phrase, which XX masks its first key with.
	Password [32]byte
	// AuthData is what a responder tells the initiator in act 2, at most
	// MaxAuthData bytes.
	AuthData []byte
}

// Handshake is the state of one side. It is not safe for concurrent use.
type Handshake struct {
	pattern   *pattern
	initiator bool
	keys      Keys
	state     symmetric

	// first is the version that an initiator writes in act 1, and [min, max]
	// those that this side agrees to.
	first, min, max byte
	version         byte

	ephemeral       *btcec.PrivateKey
	newEphemeral    func() (*btcec.PrivateKey, error)
	remoteEphemeral *btcec.PublicKey

	// static is the other side's long-term key as it came, not yet proved;
	// remote is proved.
	static, remote *btcec.PublicKey
	authData       []byte

	act        int // acts that are over
	dead, used bool
}

// An Option is for reproducing a given handshake.
type Option func(*Handshake)

// Ephemeral sets where the ephemeral key comes from.
func Ephemeral(source func() (*btcec.PrivateKey, error)) Option {
	return func(h *Handshake) { h.newEphemeral = source }
}

// Versions sets the versions that this side agrees to, instead of the newest
// alone for an initiator and all for a responder.
func Versions(min, max byte) Option {
	return func(h *Handshake) { h.first, h.min, h.max = min, min, max }
}

// NewInitiator returns the handshake of the client, who writes act 1.
func NewInitiator(keys Keys, options ...Option) (*Handshake, error) {
	h := &Handshake{initiator: true, first: oldest, min: newest, max: newest}
	return h.start(keys, options)
}

// NewResponder returns the handshake of the server, who reads act 1.
func NewResponder(keys Keys, options ...Option) (*Handshake, error) {
	h := &Handshake{min: oldest, max: newest}
	return h.start(keys, options)
}

func (h *Handshake) start(keys Keys, options []Option) (*Handshake, error) {
	if keys.Static == nil {
		return nil, errors.New("noise: a static key is needed")
	}
	if len(keys.AuthData) > MaxAuthData {
		return nil, fmt.Errorf("noise: auth data of %d bytes, the limit is %d", len(keys.AuthData), MaxAuthData)
	}
	h.keys = keys
	h.newEphemeral = btcec.NewPrivateKey
	for _, option := range options {
		option(h)
	}
	h.pattern = &patternXX
	if keys.Remote != nil {
		h.pattern = &patternKK
		h.first, h.min, h.version = newest, newest, newest
		h.static, h.remote = keys.Remote, keys.Remote
	}

	h.state.init(h.pattern.name)
	h.state.mixHash([]byte(prologue))
	if keys.Remote != nil {
		mine, theirs := keys.Static.PubKey().SerializeCompressed(), keys.Remote.SerializeCompressed()
		if !h.initiator {
			mine, theirs = theirs, mine
		}
		h.state.mixHash(mine)
		h.state.mixHash(theirs)
	}
	return h, nil
}

// Done reports whether all acts are over and proved right.
func (h *Handshake) Done() bool { return !h.dead && h.act == len(h.pattern.acts) }

// MyTurn reports whether the next act is this side's to write.
func (h *Handshake) MyTurn() bool {
	return !h.dead && !h.Done() && h.writes(h.act)
}

// writes reports whether this side writes the act, counted from 0.
func (h *Handshake) writes(act int) bool { return (act%2 == 0) == h.initiator }

// Remote returns the long-term key of the other side. In XX it is nil until it
// is proved: by act 2 to the initiator and by act 3 to the responder.
func (h *Handshake) Remote() *btcec.PublicKey { return h.remote }

// AuthData returns what the responder told the initiator, nil before act 2.
func (h *Handshake) AuthData() []byte { return h.authData }

// Version returns the version agreed on, which means something from act 2 on.
func (h *Handshake) Version() byte { return h.version }

// Ciphers returns the two directions of the records, once: a second pair would
// use its nonces again.
func (h *Handshake) Ciphers() (*Sealer, *Opener, error) {
	if !h.Done() || h.used {
		return nil, nil, ErrOutOfOrder
	}
	h.used = true
	toServer, toClient := h.state.split()
	defer h.wipe()
	if h.initiator {
		return &Sealer{direction: *toServer}, &Opener{direction: *toClient}, nil
	}
	return &Sealer{direction: *toClient}, &Opener{direction: *toServer}, nil
}

// fail ends the handshake for good.
func (h *Handshake) fail(err error) error {
	h.dead = true
	h.wipe()
	return fmt.Errorf("act %d: %w", h.act+1, err)
}

func (h *Handshake) wipe() {
	h.state.wipe()
	clear(h.keys.Password[:])
	if h.ephemeral != nil {
		h.ephemeral.Zero()
	}
}
