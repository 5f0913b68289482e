package l402http

import (
	"crypto/hmac"
	"crypto/sha256"
	"net"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/leydenln/leyden/l402"
)

// Origin is where a token was bought and the only place it is sent to:
// "scheme://host:port" in lower case, the port always written (RFC 6454), names
// in other scripts as DNS has them ("xn--…").
type Origin string

// OriginOf returns the origin of a URL with a host.
func OriginOf(u *url.URL) Origin {
	scheme := strings.ToLower(u.Scheme)
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	host := strings.ReplaceAll(asciiHost(u.Hostname()), "%", "%25") // the zone of an IPv6 address
	return Origin(scheme + "://" + net.JoinHostPort(host, port))
}

// asciiHost is the name that net/http looks up for host. Lower case alone would
// not do: it makes "İ" an "i", which names another host.
func asciiHost(host string) string {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil && !isASCII(host) {
		host = ascii
	}
	lower := []byte(strings.TrimSuffix(host, "."))
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// Host returns the origin's host without the port.
func (o Origin) Host() string {
	u, err := url.Parse(string(o))
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// clientNonce is the nonce that this origin, and no other, knows the client
// by (l402.HeaderClient). It is a keyed hash, so that nothing has to be stored
// about origins that never charge.
func clientNonce(key []byte, o Origin) l402.ClientNonce {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(o))
	return l402.ClientNonce(mac.Sum(nil)[:l402.ClientNonceSize])
}
