package l402

import (
	"net/http"
	"strings"
)

// Names of the headers of the protocol.
const (
	// HeaderChallenge carries challenges (RFC 9110 section 11.6.1).
	HeaderChallenge = "WWW-Authenticate"
	// HeaderAuthorization carries credentials (RFC 9110 section 11.6.2).
	HeaderAuthorization = "Authorization"
	// HeaderClient carries the nonce by which a seller knows a client that
	// has not paid yet; see [ClientNonce].
	HeaderClient = "L402-Client"
	// HeaderCharged is [ChargedNo] in an answer for which nothing was used up:
	// the seller's side failed, and what was presented is as good as before.
	HeaderCharged = "L402-Charged"
)

// ChargedNo is the only value of [HeaderCharged].
const ChargedNo = "no"

// Scheme is the name of the authentication scheme.
type Scheme string

// The two names of the scheme. They are compared without regard to case.
const (
	// SchemeL402 is today's name.
	SchemeL402 Scheme = "L402"
	// SchemeLSAT is the name it had first.
	SchemeLSAT Scheme = "LSAT"
)

// schemeOf returns the scheme a word names, or "" when it is another one's.
func schemeOf(word string) Scheme {
	for _, scheme := range [...]Scheme{SchemeL402, SchemeLSAT} {
		if strings.EqualFold(word, string(scheme)) {
			return scheme
		}
	}
	return ""
}

// authItem is one challenge or credential of a header: a scheme and what
// follows it, up to the next scheme.
type authItem struct {
	scheme string
	parts  []string
}

// AuthItem is one challenge or credential of an authentication header, of any
// scheme.
type AuthItem struct{ item authItem }

// AuthItems splits the lines of an authentication header (RFC 9110 section 11)
// into its items, for the codecs of other schemes. ok is false when the lines
// are over [MaxHeaderSize] together.
func AuthItems(h http.Header, name string) (items []AuthItem, ok bool) {
	lines, ok := headerLines(h, name)
	if !ok {
		return nil, false
	}
	for _, line := range lines {
		for _, item := range splitAuth(line) {
			items = append(items, AuthItem{item})
		}
	}
	return items, true
}

// Scheme returns the scheme as it was written, "" for none.
func (i AuthItem) Scheme() string { return i.item.scheme }

// Params returns the parameters, their names in lower case. Of one given twice
// the first counts, so that what is appended to a header on its way changes
// nothing. Something that is no parameter is an error of [ReasonMalformed].
func (i AuthItem) Params() (map[string]string, error) {
	params, _, err := parameters(i.item.parts)
	return params, err
}

// Text returns what follows the scheme, for schemes that have no parameters.
func (i AuthItem) Text() string { return strings.Join(i.item.parts, ",") }

// parameters reads the parameters of an item, and names one that was given
// again, "" for none.
func parameters(parts []string) (params map[string]string, again string, err error) {
	params = make(map[string]string, len(parts))
	for _, part := range parts {
		key, value, ok := parameter(part)
		if !ok {
			return nil, "", malformedChallenge("parameter %s", quote(part))
		}
		if _, ok := params[key]; ok {
			again = key
			continue
		}
		params[key] = value
	}
	return params, again, nil
}

// splitAuth splits the value of an authentication header into its items. Parts
// are separated by commas outside of quotes; a part that begins with a scheme
// begins an item, every other belongs to the item before it.
func splitAuth(value string) []authItem {
	var items []authItem
	for value != "" {
		var part string
		part, value = cutPart(value)
		if part == "" {
			continue
		}
		scheme, rest := cutScheme(part)
		if scheme != "" || len(items) == 0 {
			items = append(items, authItem{scheme: scheme})
		}
		if rest != "" {
			last := &items[len(items)-1]
			last.parts = append(last.parts, rest)
		}
	}
	return items
}

// cutPart returns what stands before the first comma outside of quotes, and
// what stands after it.
func cutPart(value string) (part, rest string) {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return strings.Trim(value[:i], " \t"), value[i+1:]
		}
	}
	return strings.Trim(value, " \t"), ""
}

// cutScheme returns the scheme with which a part begins and what follows it:
// a word of at most maxSchemeName characters that ends the part or is followed
// by white space and something other than "=". Without one, all of it follows.
func cutScheme(part string) (scheme, rest string) {
	n := 0
	for n < len(part) && isTokenChar(part[n]) {
		n++
	}
	rest = strings.TrimLeft(part[n:], " \t")
	apart := n == len(part) || len(rest) < len(part)-n
	if n == 0 || n > maxSchemeName || !apart || strings.HasPrefix(rest, "=") {
		return "", part
	}
	return part[:n], rest
}

// isTokenChar reports whether c may stand in a token of RFC 9110 section 5.6.2.
func isTokenChar(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// parameter reads `key=value` or `key="value"`, the key in lower case. An
// unquoted value may be anything, since sellers write base64 with "/" and "=".
func parameter(part string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(part, "=")
	key, value = strings.TrimRight(key, " \t"), strings.TrimLeft(value, " \t")
	if !ok || key == "" {
		return "", "", false
	}
	if strings.HasPrefix(value, `"`) {
		value, ok = unquote(value)
	}
	return strings.ToLower(key), value, ok
}

// unquote reads a quoted-string of RFC 9110 section 5.6.4.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), i == len(s)-1
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// headerLines returns the values of a header, and whether they are within
// MaxHeaderSize together.
func headerLines(h http.Header, name string) ([]string, bool) {
	lines := h.Values(name)
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	return lines, size <= MaxHeaderSize
}
