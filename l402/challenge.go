package l402

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// ChallengeVersion is the version parameter of the challenges there are.
const ChallengeVersion = "0"

// Challenge is what a seller asks for: pay the invoice, and present the tokens
// with its preimage.
type Challenge struct {
	// Scheme is the name under which the seller expects the answer.
	Scheme Scheme
	// Tokens is one token; more are discharges that come with it.
	Tokens []Token
	// Invoice is a BOLT11 invoice as the seller wrote it, not decoded.
	Invoice string
	// Version is the version parameter, "" when there was none.
	Version string
}

// ParseChallenges reads the challenges of a 402 response, or of the trailers
// of a gRPC call: `L402` or `LSAT`, `token=` or `macaroon=`, `invoice=`, in any
// order, quoted or not, in several header lines or joined by commas in one. It
// skips other schemes and unknown parameters. L402 comes before LSAT,
// otherwise the order is that of the header: the first is the one to answer.
//
// A header without any challenge of ours gives none and no error. When there
// are some but not one can be read, the error says what is wrong with the
// first, with [ReasonMalformed].
func ParseChallenges(h http.Header) ([]Challenge, error) {
	lines, ok := headerLines(h, HeaderChallenge)
	if !ok {
		return nil, refuse(ReasonMalformed, "malformed challenge: header over %d bytes", MaxHeaderSize)
	}
	var (
		challenges []Challenge
		first      error
		seen       int
	)
	for _, line := range lines {
		for _, item := range splitAuth(line) {
			scheme := schemeOf(item.scheme)
			if scheme == "" || seen == MaxPresented {
				continue
			}
			seen++
			c, err := parseChallenge(scheme, item.parts)
			switch {
			case err == nil:
				challenges = append(challenges, c)
			case first == nil:
				first = err
			}
		}
	}
	if len(challenges) == 0 {
		return nil, first
	}
	slices.SortStableFunc(challenges, func(a, b Challenge) int {
		return strings.Compare(string(a.Scheme), string(b.Scheme))
	})
	return challenges, nil
}

func parseChallenge(scheme Scheme, parts []string) (Challenge, error) {
	params, again, err := parameters(parts)
	if err != nil {
		return Challenge{}, err
	}
	if again != "" {
		return Challenge{}, malformedChallenge("%s given twice", quote(again))
	}
	c := Challenge{Scheme: scheme, Invoice: params["invoice"], Version: params["version"]}
	if c.Version != "" && c.Version != ChallengeVersion {
		return Challenge{}, malformedChallenge("version %s, want %q", quote(c.Version), ChallengeVersion)
	}
	if err := validateInvoice(c.Invoice); err != nil {
		return Challenge{}, malformedChallenge("%v", err)
	}
	text, ok := params["token"]
	if legacy, both := params["macaroon"]; !ok {
		text = legacy
	} else if both && legacy != text {
		return Challenge{}, malformedChallenge("token and macaroon differ")
	}
	for text := range strings.SplitSeq(text, ",") {
		t, err := ParseToken(strings.Trim(text, " \t"))
		if err != nil {
			return Challenge{}, malformedChallenge("%v", err)
		}
		if len(c.Tokens) == MaxTokens {
			return Challenge{}, malformedChallenge("over %d tokens", MaxTokens)
		}
		c.Tokens = append(c.Tokens, t)
	}
	return c, nil
}

func malformedChallenge(format string, args ...any) error {
	return refuse(ReasonMalformed, "malformed challenge: "+format, args...)
}

// validateInvoice bounds an invoice without decoding it: letters and digits.
func validateInvoice(invoice string) error {
	if invoice == "" {
		return errors.New("no invoice")
	}
	if len(invoice) > MaxInvoiceSize {
		return fmt.Errorf("invoice over %d characters", MaxInvoiceSize)
	}
	for i := range len(invoice) {
		switch c := invoice[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default:
			return fmt.Errorf("malformed invoice: character %q", c)
		}
	}
	return nil
}

// WriteChallenge puts a challenge into the header of a 402 response, as the
// two lines that every known client can read, before challenges of other
// schemes:
//
//	WWW-Authenticate: LSAT macaroon="T", invoice="I"
//	WWW-Authenticate: L402 macaroon="T", invoice="I", version="0", token="T"
//
// The order matters, since some clients read only the first line and others
// only the beginning of it. It is an error when the token is the zero value or
// the invoice is not made of letters and digits.
func WriteChallenge(h http.Header, token Token, invoice string) error {
	if token.IsZero() {
		return errors.New("write challenge: no token")
	}
	if err := validateInvoice(invoice); err != nil {
		return fmt.Errorf("write challenge: %w", err)
	}
	t := token.Base64()
	both := ` macaroon="` + t + `", invoice="` + invoice + `"`
	name := http.CanonicalHeaderKey(HeaderChallenge)
	h[name] = append([]string{
		string(SchemeLSAT) + both,
		string(SchemeL402) + both + `, version="` + ChallengeVersion + `", token="` + t + `"`,
	}, h[name]...)
	return nil
}
