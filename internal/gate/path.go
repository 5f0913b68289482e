package gate

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"
)

var (
	errPathForm    = errors.New("the path must begin with a slash")
	errPathDots    = errors.New("the path has an empty, . or .. segment")
	errPathEncoded = errors.New("the path has an encoded slash, a backslash or a control character")
	errPathUTF8    = errors.New("the path is not UTF-8")
)

// plainPath refuses every path that a backend could read as another one than
// the one that services and whitelists are matched by: dot segments and empty
// ones, encoded or not, also with parameters (";"), backslashes, encoded
// slashes, control characters. What is left is sent on in one spelling.
func plainPath(r *http.Request) error {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/") {
		return errPathForm
	}
	if !utf8.ValidString(path) {
		return errPathUTF8
	}
	for i := range len(path) {
		if c := path[i]; c < ' ' || c == 0x7f || c == '\\' {
			return errPathEncoded
		}
	}
	if encodesSlash(r.URL.RawPath) {
		return errPathEncoded
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		segment, _, _ = strings.Cut(segment, ";")
		last := i == len(segments)-1
		if segment == "." || segment == ".." || segment == "" && !last {
			return errPathDots
		}
	}
	return nil
}

func encodesSlash(raw string) bool {
	return strings.Contains(raw, "%2f") || strings.Contains(raw, "%2F")
}

// plainHost is the Host header in lower case, without the dot that may end a
// domain name.
func plainHost(host string) string {
	host = strings.ToLower(host)
	if name, port, err := net.SplitHostPort(host); err == nil && strings.HasSuffix(name, ".") {
		return net.JoinHostPort(strings.TrimSuffix(name, "."), port)
	}
	return strings.TrimSuffix(host, ".")
}
