package l402

import (
	"crypto/subtle"
	"slices"

	"github.com/lightningnetwork/lnd/lntypes"
	"gopkg.in/macaroon.v2"
)

// Verified is a credential whose chain and preimage are right: one of our keys
// minted it, nobody changed it, its invoice has been paid. Whether it opens
// anything is for [Verified.Allows] to say. It does not change and may be used
// by several goroutines.
type Verified struct {
	id      Identifier
	caveats []Caveat
}

// Identifier returns the identifier of the token.
func (v Verified) Identifier() Identifier { return v.id }

// Caveats returns the caveats of the form key=value, in their order.
func (v Verified) Caveats() []Caveat { return slices.Clone(v.caveats) }

// VerifyChain reports whether the preimage is that of the token's payment hash
// and the HMAC chain begins with one of the keyring's keys. Any preimage
// caveat in it must repeat the preimage. When the credential has several
// tokens, the first is the one that counts and the others discharge its
// third-party caveats, as in macaroon.Slice.
//
// The answer depends on nothing but credential and keyring, so it may be
// remembered; [Verifier] does. The error is a [Refusal] with ReasonMalformed,
// ReasonWrongPreimage, ReasonUnknownKey or ReasonBadChain.
func (r *Keyring) VerifyChain(c Credential) (Verified, error) {
	token, discharges, err := c.macaroons()
	if err != nil {
		return Verified{}, err
	}
	id, err := ParseIdentifier(token.Id())
	if err != nil {
		return Verified{}, err
	}
	if !pays(c.Preimage, id.PaymentHash) {
		return Verified{}, refuse(ReasonWrongPreimage,
			"wrong preimage: it does not hash to the token's payment hash %v", id.PaymentHash)
	}
	key, ok := r.byID[id.TokenID.KeyID()]
	if !ok {
		return Verified{}, refuse(ReasonUnknownKey,
			"unknown key: token %v was not minted here, or its key has been retired", id.TokenID)
	}
	root, err := key.rootKey(token.Id())
	if err != nil {
		return Verified{}, err
	}
	conditions, err := token.VerifySignature(root, discharges)
	if err != nil {
		return Verified{}, refuse(ReasonBadChain, "bad chain: token %v has been tampered with", id.TokenID)
	}
	v := Verified{id: id}
	for _, condition := range conditions {
		caveat, err := ParseCaveat(condition)
		if err != nil {
			continue
		}
		if caveat.Key == keyPreimage && !samePreimage(caveat.Value, c.Preimage) {
			return Verified{}, refuse(ReasonWrongPreimage, "wrong preimage: the preimage caveat has another one")
		}
		v.caveats = append(v.caveats, caveat)
	}
	v.caveats = slices.Clip(v.caveats)
	return v, nil
}

// macaroons unmarshals the token and its discharges.
func (c Credential) macaroons() (*macaroon.Macaroon, []*macaroon.Macaroon, error) {
	if len(c.Tokens) == 0 || len(c.Tokens) > MaxTokens {
		return nil, nil, refuse(ReasonMalformed,
			"malformed credential: %d tokens, want 1 to %d", len(c.Tokens), MaxTokens)
	}
	all := make([]*macaroon.Macaroon, len(c.Tokens))
	caveats := 0
	for i, t := range c.Tokens {
		m, err := t.macaroon()
		if err != nil {
			return nil, nil, err
		}
		if !usualEncoding(m, t) {
			return nil, nil, refuse(ReasonMalformed, "malformed token: not the usual encoding of a macaroon")
		}
		all[i] = m
		caveats += len(m.Caveats())
	}
	if caveats > MaxCaveats {
		return nil, nil, refuse(ReasonMalformed, "malformed credential: over %d caveats", MaxCaveats)
	}
	return all[0], all[1:], nil
}

// endOfSection may follow the signature: macaroon-spec.md ends a macaroon with
// it, the libraries do not.
const endOfSection = "\x00"

// usualEncoding reports whether a token is encoded as the libraries do, so that
// no byte of it is without effect.
func usualEncoding(m *macaroon.Macaroon, t Token) bool {
	b, err := m.MarshalBinary()
	raw := string(b)
	return err == nil && (t.raw == raw || t.raw == raw+endOfSection)
}

func pays(p lntypes.Preimage, hash lntypes.Hash) bool {
	got := p.Hash()
	return subtle.ConstantTimeCompare(got[:], hash[:]) == 1
}

func samePreimage(text string, p lntypes.Preimage) bool {
	got, err := lntypes.MakePreimageFromStr(text)
	return err == nil && subtle.ConstantTimeCompare(got[:], p[:]) == 1
}
