package l402

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/lightningnetwork/lnd/lntypes"
)

// Credential is what a buyer presents: a token and the proof that it was paid
// for. Whoever has it has what was bought, so it prints as "<secret>".
type Credential struct {
	// Tokens is one token; more are discharges that come with it.
	Tokens []Token
	// Preimage is the preimage of the token's payment hash.
	Preimage lntypes.Preimage
}

// CredentialID is the SHA-256 hash of a credential. It opens nothing.
type CredentialID [sha256.Size]byte

// ID returns the SHA-256 hash over the preimage and the binary tokens, each
// after its length in 4 bytes, big endian.
func (c Credential) ID() CredentialID {
	b := make([]byte, 0, 512)
	b = append(b, c.Preimage[:]...)
	for _, t := range c.Tokens {
		b = binary.BigEndian.AppendUint32(b, uint32(len(t.raw)))
		b = append(b, t.raw...)
	}
	return sha256.Sum256(b)
}

// Authorization returns the value of an Authorization header:
//
//	L402 <base64 token[,base64 token…]>:<64 hex digits>
func (c Credential) Authorization(scheme Scheme) string {
	var b strings.Builder
	b.WriteString(string(scheme))
	b.WriteByte(' ')
	for i, t := range c.Tokens {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(t.Base64())
	}
	b.WriteByte(':')
	b.WriteString(hex.EncodeToString(c.Preimage[:]))
	return b.String()
}

// String returns "<secret>".
func (c Credential) String() string { return secretText }

// GoString returns "<secret>".
func (c Credential) GoString() string { return secretText }

// Format prints "<secret>" for every verb.
func (c Credential) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, secretText) }

// LogValue returns "<secret>".
func (c Credential) LogValue() slog.Value { return slog.StringValue(secretText) }

// MarshalText returns "<secret>". To store a credential, store its tokens and
// its preimage.
func (c Credential) MarshalText() ([]byte, error) { return []byte(secretText), nil }

// parseCredential reads what follows the scheme: tokens, a colon, a preimage.
func parseCredential(text string) (Credential, error) {
	tokens, preimage, ok := strings.Cut(text, ":")
	if !ok {
		return Credential{}, refuse(ReasonMalformed, "malformed credential: want token:preimage")
	}
	p, err := lntypes.MakePreimageFromStr(strings.Trim(preimage, " \t"))
	if err != nil {
		return Credential{}, refuse(ReasonMalformed, "malformed credential: the preimage is not 64 hex digits")
	}
	c := Credential{Preimage: p}
	if c.Tokens, err = decodeTokens(tokens); err != nil {
		return Credential{}, refuse(ReasonMalformed, "malformed credential: %v", err)
	}
	return c, nil
}
