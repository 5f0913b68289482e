package gate

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What is wrong with a request's target.
var (
	errPathForm    = errors.New("the path must begin with a slash")
	errPathDots    = errors.New("the path has an empty, . or .. segment")
	errPathEncoded = errors.New("the path has an encoded slash, a backslash or a control character")
	errPathTwice   = errors.New("the path is encoded twice")
	errPathUTF8    = errors.New("the path is not UTF-8")
	errQuery       = errors.New("the query has a space or a control character")
)

// errHost is a Host header that is no host.
var errHost = errors.New("the host has a character that no host has")

// plainPath refuses every path that a backend could read as another one than
// the one that services and whitelists are matched by: dot segments and empty
// ones, encoded or not, with parameters (";") or in other Unicode forms of
// their characters; backslashes, encoded slashes, control characters; what can
// be decoded once more. What is left is sent on in one spelling.
func plainPath(r *http.Request) error {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/") {
		return errPathForm
	}
	if !utf8.ValidString(path) {
		return errPathUTF8
	}
	if encodesSlash(r.URL.RawPath) || hasControl(path, ' ') || strings.IndexByte(path, '\\') >= 0 {
		return errPathEncoded
	}
	if encoded(path) {
		return errPathTwice
	}
	if hasControl(r.URL.RawQuery, ' '+1) {
		return errQuery
	}
	if hasDots(path) || !ascii(path) && hasDots(norm.NFKC.String(path)) {
		return errPathDots
	}
	return nil
}

// hasDots reports whether a path has a segment that stands for another place,
// leaving aside what follows a ";" in it, and spaces, which Windows leaves
// aside.
func hasDots(path string) bool {
	rest, more := path[1:], true
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		segment, _, _ = strings.Cut(segment, ";")
		if strings.Trim(segment, ". ") == "" && (segment != "" || more) {
			return true
		}
	}
	return false
}

// withoutParameters is a path as a backend reads it that decodes it before it
// looks for the query, or that knows parameters of segments, "/a;x=1/b" (RFC
// 3986 section 3.3).
func withoutParameters(path string) string {
	if !strings.ContainsAny(path, ";?#") {
		return path
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	var b strings.Builder
	for segment := range strings.SplitAfterSeq(path, "/") {
		name, _, cut := strings.Cut(segment, ";")
		b.WriteString(name)
		if cut && strings.HasSuffix(segment, "/") {
			b.WriteByte('/')
		}
	}
	return b.String()
}

func encodesSlash(raw string) bool {
	return strings.Contains(raw, "%2f") || strings.Contains(raw, "%2F")
}

// encoded reports whether a path can be decoded.
func encoded(path string) bool {
	for i := strings.IndexByte(path, '%'); i >= 0; {
		if i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) {
			return true
		}
		next := strings.IndexByte(path[i+1:], '%')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// hasControl reports whether a text has a byte below the first that may be, or
// a delete.
func hasControl(s string, first byte) bool {
	for i := range len(s) {
		if s[i] < first || s[i] == 0x7f {
			return true
		}
	}
	return false
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plainHost is the host that a request names, in lower case, without the dot
// that may end a domain name. An error for what is no host: with user
// information, a path, a space.
func plainHost(r *http.Request) (string, error) {
	host := strings.ToLower(r.Host)
	for i := range len(host) {
		c := host[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(".-_:[]", c) >= 0) {
			return "", errHost
		}
	}
	if name, port, err := net.SplitHostPort(host); err == nil && strings.HasSuffix(name, ".") {
		return net.JoinHostPort(strings.TrimSuffix(name, "."), port), nil
	}
	return strings.TrimSuffix(host, "."), nil
}
