package l402http

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
)

// Sale is what is sold: a service on its terms.
type Sale struct {
	// Service is the name that the token carries; see l402.ServicesCaveat.
	Service string
	// Price is what one token costs, in msat; not zero.
	Price lnwire.MilliSatoshi
	// TokenLife is how long a token is good, from the challenge on. 0: for
	// ever.
	TokenLife time.Duration
	// ValidUntil ends every token of the sale, and the sale with it, in whole
	// seconds. Zero: never.
	ValidUntil time.Time
	// Memo is what the payer's wallet shows. Default: the service's name.
	Memo string

	// Capabilities are what a token may do; none: no caveat says.
	Capabilities []string
	// Capability returns which of them a request needs, "" for none. nil:
	// none does. Only tokens are asked for it: a Payment credential, which
	// nobody can narrow, has them all.
	Capability func(*http.Request) string
	// Constraints are further caveats of the tokens.
	Constraints []l402.Caveat
	// Conditions judge the caveats of their keys in every request.
	Conditions []l402.Condition

	// Schemes are the ways to pay. Default: SchemeL402.
	Schemes Schemes
}

// Validate reports what is wrong with a sale.
func (s Sale) Validate() error {
	if s.Price == 0 || s.TokenLife < 0 {
		return fmt.Errorf("sell %q: want a price and no negative lifetime", s.Service)
	}
	if s.Schemes&^(SchemeL402|SchemePayment) != 0 {
		return fmt.Errorf("sell %q: unknown scheme", s.Service)
	}
	if s.by(SchemePayment) && s.Price%1000 != 0 {
		return fmt.Errorf("sell %q: the Payment scheme has no price of %d msat, want a whole number of sat", s.Service, uint64(s.Price))
	}
	for _, c := range s.Constraints {
		if c.Key == "services" || c.Key == "preimage" ||
			strings.HasSuffix(c.Key, "_capabilities") || strings.HasSuffix(c.Key, "_valid_until") {
			return fmt.Errorf("sell %q: %q is no constraint", s.Service, c.Key)
		}
		if parsed, err := l402.ParseCaveat(c.String()); err != nil || parsed != c {
			return fmt.Errorf("sell %q: malformed constraint %q", s.Service, c.String())
		}
	}
	if _, err := s.caveats(time.Unix(0, 0)); err != nil {
		return fmt.Errorf("sell %q: %w", s.Service, err)
	}
	return nil
}

// schemes are the ways to pay, the default filled in.
func (s Sale) schemes() Schemes {
	if s.Schemes == 0 {
		return SchemeL402
	}
	return s.Schemes
}

// by reports whether the sale may be paid by a scheme.
func (s Sale) by(scheme Schemes) bool { return s.schemes()&scheme != 0 }

// thing is what is bought.
func (s Sale) thing() string {
	if s.by(SchemeL402) {
		return "token"
	}
	return "request"
}

// presents is the header that shows that the sale was paid.
func (s Sale) presents() string {
	const payment = "Authorization: Payment <credential>"
	if !s.by(SchemeL402) {
		return payment
	}
	const token = "Authorization: L402 <token>:<preimage>"
	if s.by(SchemePayment) {
		return token + " or " + payment
	}
	return token
}

func (s Sale) memo() string {
	if s.Memo == "" {
		return s.Service
	}
	return s.Memo
}

// caveats are those of a token minted now.
func (s Sale) caveats(now time.Time) ([]l402.Caveat, error) {
	services, err := l402.ServicesCaveat(l402.Service{Name: s.Service})
	if err != nil {
		return nil, err
	}
	caveats := []l402.Caveat{services}
	if len(s.Capabilities) > 0 {
		c, err := l402.CapabilitiesCaveat(s.Service, s.Capabilities...)
		if err != nil {
			return nil, err
		}
		caveats = append(caveats, c)
	}
	caveats = append(caveats, s.Constraints...)
	if until := s.until(now); !until.IsZero() {
		c, err := l402.ValidUntilCaveat(s.Service, until)
		if err != nil {
			return nil, err
		}
		caveats = append(caveats, c)
	}
	return caveats, nil
}

// until is when a token minted now ends, zero for never.
func (s Sale) until(now time.Time) time.Time {
	if s.TokenLife == 0 {
		return s.ValidUntil
	}
	until := now.Add(s.TokenLife + time.Second - 1)
	if !s.ValidUntil.IsZero() && s.ValidUntil.Before(until) {
		return s.ValidUntil
	}
	return until
}

// errEnded: tokens of the sale would be worthless.
var errEnded = errors.New("the sale has ended")

// payable is how long an invoice for the sale may be paid, at most limit.
func (s Sale) payable(now time.Time, limit time.Duration) (time.Duration, error) {
	if s.TokenLife > 0 {
		limit = min(limit, payableLife(s.TokenLife))
	}
	if !s.ValidUntil.IsZero() {
		left := s.ValidUntil.Truncate(time.Second).Sub(now)
		if left < 2*time.Second {
			return 0, errEnded
		}
		limit = min(limit, payableLife(left))
	}
	return max(limit, time.Second), nil
}

// payableLife is how long an invoice for a token with that life may be paid:
// half of it, so that a payer gets at least the other half, but up to a minute
// in any case.
func payableLife(life time.Duration) time.Duration {
	return max(life/2, min(life, time.Minute)).Truncate(time.Second)
}

// appendTerms appends what makes two challenges for the same service differ.
// The usual terms are the price and the life alone.
func (s Sale) appendTerms(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.Price))
	b = binary.BigEndian.AppendUint64(b, uint64(s.TokenLife))
	if !s.by(SchemeL402) {
		b = appendParts(b, "no token")
	}
	b = appendParts(b, s.Capabilities...)
	for _, c := range s.Constraints {
		b = appendParts(b, c.Key, c.Value)
	}
	if !s.ValidUntil.IsZero() {
		b = binary.BigEndian.AppendUint64(b, uint64(s.ValidUntil.Unix()))
	}
	return b
}

// appendParts appends each part after its length.
func appendParts(b []byte, parts ...string) []byte {
	for _, part := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}
