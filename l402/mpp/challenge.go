package mpp

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leydenln/leyden/l402"
)

// The names of the scheme, of its method and intent, and of its currency.
const (
	Scheme       = "Payment"
	Method       = "lightning"
	IntentCharge = "charge"
	Currency     = "sat"
)

// Challenge is what a seller asks for, parameter by parameter as it stands in
// the header. A buyer echoes it unchanged.
type Challenge struct {
	// ID binds the rest; only the seller can check it.
	ID string
	// Realm names the seller's protection space (RFC 9110 section 11.5).
	Realm string
	// Method and Intent say how to pay and for what: see [Challenge.Charge].
	Method, Intent string
	// Request is base64url of a JSON object that the method defines.
	Request string
	// Expires is an RFC 3339 time, "" for none.
	Expires string
	// Digest, Description and Opaque may be "". Description is for people and
	// not bound by the ID.
	Digest, Description, Opaque string
}

// ParseChallenges reads the challenges of the scheme in a 402 response, whatever
// their method and intent, in their order; others are skipped. Without any it
// returns none and no error; when there are some but not one can be read, the
// error says what is wrong with the first.
func ParseChallenges(h http.Header) ([]Challenge, error) {
	return each(h, l402.HeaderChallenge, parseChallenge)
}

// each reads the items of the scheme in a header: those that can be read, or the
// error of the first that cannot.
func each[T any](h http.Header, name string, parse func(l402.AuthItem) (T, error)) ([]T, error) {
	items, ok := l402.AuthItems(h, name)
	if !ok {
		return nil, malformed("%s: over %d bytes", name, l402.MaxHeaderSize)
	}
	var (
		found []T
		first error
		seen  int
	)
	for _, item := range items {
		if !strings.EqualFold(item.Scheme(), Scheme) || seen == l402.MaxPresented {
			continue
		}
		seen++
		t, err := parse(item)
		switch {
		case err == nil:
			found = append(found, t)
		case first == nil:
			first = err
		}
	}
	if len(found) == 0 {
		return nil, first
	}
	return found, nil
}

func parseChallenge(item l402.AuthItem) (Challenge, error) {
	p, err := item.Params()
	if err != nil {
		return Challenge{}, malformed("payment challenge: %w", err)
	}
	c := Challenge{ID: p["id"], Realm: p["realm"], Method: p["method"], Intent: p["intent"], Request: p["request"],
		Expires: p["expires"], Digest: p["digest"], Description: p["description"], Opaque: p["opaque"]}
	return c, c.Validate()
}

// Validate reports whether the challenge can travel both ways: a buyer must not
// pay for one that no credential can echo.
func (c Challenge) Validate() error {
	size := 0
	for _, p := range c.params() {
		size += len(p.value)
		for _, escaped := range []string{`"`, `\`, "\t"} {
			size += strings.Count(p.value, escaped)
		}
		switch {
		case p.needed && p.value == "":
			return malformed("payment challenge: no %s", p.name)
		case size > maxEchoed:
			return malformed("payment challenge: over %d bytes", maxEchoed)
		case !utf8.ValidString(p.value):
			return malformed("payment challenge: %s is not UTF-8", p.name)
		case strings.ContainsFunc(p.value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return malformed("payment challenge: %s has a control character", p.name)
		}
	}
	if _, err := c.ExpiresAt(); err != nil {
		return err
	}
	return nil
}

type param struct {
	name, value string
	needed      bool
}

func (c Challenge) params() []param {
	return []param{
		{"id", c.ID, true}, {"realm", c.Realm, true}, {"method", c.Method, true}, {"intent", c.Intent, true},
		{"request", c.Request, true}, {"expires", c.Expires, false}, {"digest", c.Digest, false},
		{"description", c.Description, false}, {"opaque", c.Opaque, false},
	}
}

// ExpiresAt returns the time that Expires names, the zero time for none.
func (c Challenge) ExpiresAt() (time.Time, error) {
	if c.Expires == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, c.Expires)
	if err != nil {
		return time.Time{}, malformed("payment challenge: expires is no RFC 3339 time")
	}
	return t, nil
}

// Write adds the challenge to the header of a 402 response, behind challenges
// that are there.
func (c Challenge) Write(h http.Header) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("write challenge: %w", err)
	}
	var b strings.Builder
	b.WriteString(Scheme)
	sep := " "
	for _, p := range c.params() {
		if p.value == "" {
			continue
		}
		b.WriteString(sep + p.name + `="`)
		for i := range len(p.value) {
			if p.value[i] == '"' || p.value[i] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(p.value[i])
		}
		b.WriteByte('"')
		sep = ", "
	}
	h.Add(l402.HeaderChallenge, b.String())
	return nil
}
