package gate

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// The most bytes of what a stranger chooses that a line has, before escaping.
const (
	maxLoggedMethod = 16
	maxLoggedHost   = 255
	maxLoggedPath   = 512
)

const lowerHex = "0123456789abcdef"

// appendLine appends the line of a request: one JSON object. It has no header
// of the request's but the host, and no query, since both may carry what opens
// doors.
func (v *visit) appendLine(b []byte, r *http.Request, took time.Duration) []byte {
	b = append(b, `{"time":"`...)
	b = v.began.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","client":"`...)
	if v.client.IsValid() {
		b = v.client.AppendTo(b)
	}
	b = append(b, `","method":`...)
	b = appendText(b, r.Method, maxLoggedMethod)
	b = append(b, `,"host":`...)
	b = appendText(b, r.Host, maxLoggedHost)
	b = append(b, `,"path":`...)
	b = appendText(b, r.URL.Path, maxLoggedPath)
	b = append(b, `,"service":`...)
	b = appendText(b, v.service, maxLoggedHost)
	b = append(b, `,"outcome":"`...)
	b = append(b, v.outcome...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(v.status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, v.bytes, 10)
	b = append(b, `,"ms":`...)
	b = strconv.AppendFloat(b, float64(took.Microseconds())/1000, 'f', -1, 64)
	if v.token != (noToken) {
		b = append(b, `,"token":"`...)
		b = hex.AppendEncode(b, v.token[:])
		b = append(b, '"')
	}
	if v.price != 0 {
		b = append(b, `,"price_msat":`...)
		b = strconv.AppendUint(b, uint64(v.price), 10)
	}
	if v.failed {
		b = append(b, `,"given_back":true`...)
	}
	if v.aborted {
		b = append(b, `,"aborted":true`...)
	}
	return append(b, "}\n"...)
}

// appendText appends a JSON string (RFC 8259 section 7) of at most so many
// bytes of s. What a terminal could take for a command, or cannot show, is
// escaped; what is not UTF-8 becomes U+FFFD.
func appendText(b []byte, s string, most int) []byte {
	b = append(b, '"')
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		if cut && c == utf8.RuneError && len(s)-i < utf8.UTFMax {
			break // the cut went through it
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < utf8.RuneSelf && c >= ' ' && c != 0x7f:
			b = append(b, byte(c))
		case c != utf8.RuneError && unicode.IsPrint(c):
			b = append(b, s[i:i+size]...)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			b = appendEscape(appendEscape(b, high), low)
		default:
			b = appendEscape(b, c)
		}
		i += size
	}
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}

func appendEscape(b []byte, c rune) []byte {
	return append(b, '\\', 'u', lowerHex[c>>12&15], lowerHex[c>>8&15], lowerHex[c>>4&15], lowerHex[c&15])
}
