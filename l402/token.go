package l402

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"gopkg.in/macaroon.v2"
)

// Token is a macaroon in its binary form (macaroon-spec.md, "Macaroon V2
// Binary Format"). The zero value is no token. Tokens are compared with ==.
//
// Without its preimage a token opens nothing, but a token that carries a
// preimage caveat does, so it prints as a fingerprint; [Token.Base64] is the
// token itself.
type Token struct {
	raw string
}

// ParseToken reads a token in base64: standard or URL alphabet, padded or not.
// What is not base64 of a macaroon, or exceeds [MaxTokenSize] or [MaxCaveats],
// is an error of [ReasonMalformed]. Anything else is kept byte for byte, since
// other sellers may encode macaroons as they like.
func ParseToken(text string) (Token, error) {
	t, err := decodeToken(text)
	if err != nil {
		return Token{}, err
	}
	if _, err := t.macaroon(); err != nil {
		return Token{}, err
	}
	return t, nil
}

// decodeToken reads base64 and leaves the macaroon in it unread, so that a
// credential that is remembered is never unmarshalled.
func decodeToken(text string) (Token, error) {
	text = strings.TrimRight(text, "=")
	if text == "" {
		return Token{}, refuse(ReasonMalformed, "malformed token: empty")
	}
	if len(text) > base64.RawStdEncoding.EncodedLen(MaxTokenSize) {
		return Token{}, refuse(ReasonMalformed, "malformed token: over %d bytes", MaxTokenSize)
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	raw, err := encoding.Strict().DecodeString(text)
	if err != nil {
		return Token{}, refuse(ReasonMalformed, "malformed token: not base64")
	}
	return Token{raw: string(raw)}, nil
}

// decodeTokens reads tokens separated by commas as decodeToken does.
func decodeTokens(list string) ([]Token, error) {
	var tokens []Token
	for text := range strings.SplitSeq(list, ",") {
		if len(tokens) == MaxTokens {
			return nil, refuse(ReasonMalformed, "malformed token: over %d in one place", MaxTokens)
		}
		t, err := decodeToken(strings.Trim(text, " \t"))
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// macaroon unmarshals the token.
func (t Token) macaroon() (*macaroon.Macaroon, error) {
	if t.IsZero() {
		return nil, refuse(ReasonMalformed, "malformed token: empty")
	}
	if len(t.raw) > MaxTokenSize {
		return nil, refuse(ReasonMalformed, "malformed token: over %d bytes", MaxTokenSize)
	}
	m := new(macaroon.Macaroon)
	if err := m.UnmarshalBinary([]byte(t.raw)); err != nil {
		return nil, refuse(ReasonMalformed, "malformed token: not a macaroon")
	}
	if len(m.Caveats()) > MaxCaveats {
		return nil, refuse(ReasonMalformed, "malformed token: over %d caveats", MaxCaveats)
	}
	return m, nil
}

// Identifier returns the identifier of the token, also when it is in hex, as
// sellers built on lsat-js write it. A macaroon with an identifier of another
// form is an error of [ReasonMalformed].
func (t Token) Identifier() (Identifier, error) {
	m, err := t.macaroon()
	if err != nil {
		return Identifier{}, err
	}
	raw := m.Id()
	if len(raw) == hex.EncodedLen(IdentifierSize) {
		if raw, err = hex.DecodeString(string(raw)); err != nil {
			return Identifier{}, refuse(ReasonMalformed, "malformed identifier: not hex")
		}
	}
	return ParseIdentifier(raw)
}

// Caveats returns the first-party caveats of the form key=value, in their
// order. They are what the token says, unverified.
func (t Token) Caveats() ([]Caveat, error) {
	m, err := t.macaroon()
	if err != nil {
		return nil, err
	}
	var caveats []Caveat
	for _, c := range m.Caveats() {
		if len(c.VerificationId) > 0 {
			continue
		}
		if caveat, err := ParseCaveat(string(c.Id)); err == nil {
			caveats = append(caveats, caveat)
		}
	}
	return caveats, nil
}

// Attenuate returns a token with further caveats, which anybody who holds one
// can make, for instance to lend it. A caveat that widens an earlier one is
// only found by the seller.
func (t Token) Attenuate(caveats ...Caveat) (Token, error) {
	m, err := t.macaroon()
	if err != nil {
		return Token{}, err
	}
	return attenuate(m, caveats)
}

func attenuate(m *macaroon.Macaroon, caveats []Caveat) (Token, error) {
	for _, caveat := range caveats {
		if err := caveat.validate(); err != nil {
			return Token{}, err
		}
		if err := m.AddFirstPartyCaveat([]byte(caveat.String())); err != nil {
			return Token{}, fmt.Errorf("add caveat %s: %w", quote(caveat.String()), err)
		}
	}
	return marshalToken(m)
}

// WithLocation returns the token with a location, a hint for people that is
// not signed. It makes the token longer.
func (t Token) WithLocation(location string) (Token, error) {
	m, err := t.macaroon()
	if err != nil {
		return Token{}, err
	}
	m.SetLocation(location)
	return marshalToken(m)
}

func marshalToken(m *macaroon.Macaroon) (Token, error) {
	raw, err := m.MarshalBinary()
	if err != nil {
		return Token{}, fmt.Errorf("marshal token: %w", err)
	}
	t := Token{raw: string(raw)}
	if _, err := t.macaroon(); err != nil {
		return Token{}, err
	}
	return t, nil
}

// IsZero reports whether t is no token.
func (t Token) IsZero() bool { return t.raw == "" }

// Base64 returns the token in padded standard base64, as headers carry it.
func (t Token) Base64() string { return base64.StdEncoding.EncodeToString([]byte(t.raw)) }

// MarshalBinary returns the binary macaroon. The error is always nil.
func (t Token) MarshalBinary() ([]byte, error) { return []byte(t.raw), nil }

// MarshalText returns [Token.Base64], so that JSON and YAML store the token.
// The error is always nil.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.Base64()), nil }

// UnmarshalText is [ParseToken].
func (t *Token) UnmarshalText(text []byte) error {
	parsed, err := ParseToken(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// String returns a fingerprint of the token, fit for logs.
func (t Token) String() string {
	sum := sha256.Sum256([]byte(t.raw))
	return "token:" + hex.EncodeToString(sum[:6])
}

// Format prints [Token.String] for every verb.
func (t Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, t.String()) }
