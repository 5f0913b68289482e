package mpp

import "errors"

// ContentTypeProblem is the media type of a [Problem] (RFC 9457).
const ContentTypeProblem = "application/problem+json"

const (
	problems          = "https://paymentauth.org/problems/"
	problemsLightning = problems + "lightning/"
)

// Problem is the body of a 402 response for programs that speak the scheme.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// ProblemOf returns the problem that an error of this package is; a nil error
// is that nothing was presented.
func ProblemOf(err error, detail string) Problem {
	p := Problem{Type: problems + "payment-required", Title: "Payment Required", Status: 402, Detail: detail}
	switch {
	case err == nil:
	case errors.Is(err, ErrWrongPreimage):
		p.Type, p.Title = problemsLightning+"invalid-preimage", "Invalid Preimage"
	case errors.Is(err, ErrMalformed):
		p.Type, p.Title = problemsLightning+"malformed-credential", "Malformed Credential"
	case errors.Is(err, ErrExpired):
		p.Type, p.Title = problemsLightning+"expired-invoice", "Expired Invoice"
	case errors.Is(err, ErrUnsupported), errors.Is(err, ErrUnknownChallenge), errors.Is(err, ErrUsed):
		p.Type, p.Title = problemsLightning+"unknown-challenge", "Unknown Challenge"
	default:
		p.Type, p.Title = problems+"verification-failed", "Verification Failed"
	}
	return p
}

// What a caller of [Verify] may find wrong with a credential besides.
var (
	// ErrExpired: the challenge is too old.
	ErrExpired = errors.New("expired challenge")
	// ErrUsed: the credential has been used before.
	ErrUsed = errors.New("credential used up")
)
