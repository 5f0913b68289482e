package mpp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxEncoded is the most characters that a request, a credential or a receipt
// may have: a charge for the longest invoice that lnd decodes, echoed in a
// credential, needs 14 kB.
const maxEncoded = 32 << 10

// maxEchoed is the most bytes that the parameters of a challenge may have
// together as texts in JSON, so that a credential has room for them in base64
// beside its own fields.
const maxEchoed = maxEncoded/4*3 - 512

// ErrMalformed is in the chain of every error about what a stranger sent and
// that cannot be read, or is over a limit.
var ErrMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w %w", ErrMalformed, fmt.Errorf(format, args...))
}

// text is a string in JSON as RFC 8785 section 3.2.2.2 wants it: only what must
// be escaped is.
type text string

// MarshalJSON implements [json.Marshaler].
func (t text) MarshalJSON() ([]byte, error) {
	if !utf8.ValidString(string(t)) {
		return nil, errors.New("text is not UTF-8")
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(t) {
		switch c := t[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			if c < ' ' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	b.WriteByte('"')
	return []byte(b.String()), nil
}

// encode writes a JSON object whose fields are declared in the order of their
// names, all of them text or such objects, as RFC 8785 wants it, in base64url
// without padding.
func encode(object any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil {
		return "", err
	}
	encoded := base64.RawURLEncoding.EncodeToString(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	if len(encoded) > maxEncoded {
		return "", fmt.Errorf("over %d characters", maxEncoded)
	}
	return encoded, nil
}

// decode reads base64url, padded or not, of a JSON object. Fields that object
// does not have are skipped.
func decode(encoded string, object any) error {
	if len(encoded) > maxEncoded {
		return fmt.Errorf("over %d characters", maxEncoded)
	}
	unpadded := strings.TrimRight(encoded, "=")
	if pad := len(encoded) - len(unpadded); pad > 2 || pad > 0 && len(encoded)%4 != 0 || strings.ContainsAny(encoded, "\r\n") {
		return errors.New("bad base64url")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(unpadded)
	if err != nil {
		return errors.New("bad base64url")
	}
	if !utf8.Valid(raw) {
		return errors.New("not UTF-8")
	}
	if err := json.Unmarshal(raw, object); err != nil {
		return errors.New("bad JSON") // its words would quote a secret
	}
	return nil
}
