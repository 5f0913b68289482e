package l402

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/lightningnetwork/lnd/lntypes"
)

// macaroonHeaders may carry a token in hex whose preimage is a caveat inside
// it: gRPC metadata "token" and "macaroon", and the same as clients of
// grpc-gateway send it.
var macaroonHeaders = [...]string{
	"Token", "Macaroon", "Grpc-Metadata-Token", "Grpc-Metadata-Macaroon",
}

// ParseCredentials reads the credentials of a request. A request may carry
// several, and any one of them may be the good one: aperture's client sends an
// LSAT and an L402 line. Equal ones are returned once. The forms are
//
//	Authorization: L402|LSAT <base64 token[,base64 token…]>:<hex preimage>
//	Macaroon, Token, Grpc-Metadata-Macaroon, Grpc-Metadata-Token: <hex token>
//
// where the token of the second form has a preimage caveat. Authorization of
// other schemes and macaroons that are no L402 tokens are skipped.
//
// A request without any gives none and no error. When there are some but not
// one can be read, the error says what is wrong with the first, with
// [ReasonMalformed]. What the tokens of the first form contain is not looked
// at before [Keyring.VerifyChain].
func ParseCredentials(h http.Header) ([]Credential, error) {
	var found collection
	lines, ok := headerLines(h, HeaderAuthorization)
	if !ok {
		return nil, refuse(ReasonMalformed, "malformed credential: header over %d bytes", MaxHeaderSize)
	}
	for _, line := range lines {
		for _, item := range splitAuth(line) {
			if schemeOf(item.scheme) != "" {
				found.add(parseCredential(strings.Join(item.parts, ",")))
			}
		}
	}
	for _, name := range macaroonHeaders {
		lines, ok := headerLines(h, name)
		if !ok {
			return nil, refuse(ReasonMalformed, "malformed credential: header over %d bytes", MaxHeaderSize)
		}
		for _, line := range lines {
			if token, ok := hexToken(line); ok {
				found.add(credentialOf(token))
			}
		}
	}
	if len(found.credentials) == 0 {
		return nil, found.first
	}
	return found.credentials, nil
}

// collection gathers different credentials, and the first error.
type collection struct {
	credentials []Credential
	first       error
	seen        int
}

func (f *collection) add(c Credential, err error) {
	if f.seen == MaxPresented {
		return
	}
	f.seen++
	if err != nil {
		if f.first == nil {
			f.first = err
		}
		return
	}
	for _, other := range f.credentials {
		if other.Preimage == c.Preimage && slices.Equal(other.Tokens, c.Tokens) {
			return
		}
	}
	f.credentials = append(f.credentials, c)
}

// hexToken reads a token in hex, and reports whether it is one of L402: other
// macaroons, such as lnd's, travel in the same headers.
func hexToken(text string) (Token, bool) {
	text = strings.Trim(text, " \t")
	if len(text) > hex.EncodedLen(MaxTokenSize) {
		return Token{}, false
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return Token{}, false
	}
	t := Token{raw: string(raw)}
	_, err = t.Identifier()
	return t, err == nil
}

// credentialOf takes the preimage from the first preimage caveat of a token. A
// second one that differs is found by Keyring.VerifyChain.
func credentialOf(t Token) (Credential, error) {
	caveats, err := t.Caveats()
	if err != nil {
		return Credential{}, err
	}
	for _, caveat := range caveats {
		if caveat.Key != keyPreimage {
			continue
		}
		p, err := lntypes.MakePreimageFromStr(caveat.Value)
		if err != nil {
			return Credential{}, refuse(ReasonMalformed,
				"malformed credential: the preimage caveat is not 64 hex digits")
		}
		return Credential{Tokens: []Token{t}, Preimage: p}, nil
	}
	return Credential{}, refuse(ReasonMalformed, "malformed credential: the token has no preimage caveat")
}

// Strip removes the credentials that [ParseCredentials] reads, and malformed
// ones of the same schemes, so that a request can be passed on without handing
// what the buyer bought to the backend. Authorization of other schemes and
// other macaroons stay as they are.
func Strip(h http.Header) {
	filter(h, HeaderAuthorization, func(line string) (string, bool) {
		return without(line, func(scheme string) bool { return schemeOf(scheme) != "" })
	})
	for _, name := range macaroonHeaders {
		filter(h, name, func(line string) (string, bool) {
			_, ours := hexToken(line)
			return line, !ours
		})
	}
}

// StripScheme removes the credentials of another scheme from the Authorization
// header.
func StripScheme(h http.Header, scheme string) {
	filter(h, HeaderAuthorization, func(line string) (string, bool) {
		return without(line, func(s string) bool { return strings.EqualFold(s, scheme) })
	})
}

// filter keeps the lines of a header for which keep says so, as it returns
// them, and removes the header when none is left.
func filter(h http.Header, name string, keep func(string) (string, bool)) {
	lines := h.Values(name)
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		if line, ok := keep(line); ok {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		h.Del(name)
		return
	}
	h[http.CanonicalHeaderKey(name)] = kept
}

// without takes the items of some schemes out of a line, and reports whether
// anything is left.
func without(line string, ours func(scheme string) bool) (string, bool) {
	items := splitAuth(line)
	others := make([]string, 0, len(items))
	for _, item := range items {
		if !ours(item.scheme) {
			others = append(others, strings.Trim(item.scheme+" "+strings.Join(item.parts, ", "), " "))
		}
	}
	if len(others) == len(items) {
		return line, true
	}
	return strings.Join(others, ", "), len(others) > 0
}
