package l402

import (
	"errors"
	"fmt"
)

// Reason says why a credential was refused. Its text is a stable code that
// programs may compare and clients may be shown.
//
// A Reason is an error, and every refusal of this package unwraps to its
// reason, so errors.Is(err, ReasonExpired) holds for an expired token.
type Reason string

// The reasons for which a credential is refused.
const (
	// ReasonMalformed: it cannot be read, or exceeds a limit.
	ReasonMalformed Reason = "malformed"
	// ReasonWrongPreimage: the preimage does not hash to the token's
	// payment hash.
	ReasonWrongPreimage Reason = "wrong_preimage"
	// ReasonUnknownKey: no master key of the keyring minted it; it is
	// another seller's, or its key has been retired.
	ReasonUnknownKey Reason = "unknown_key"
	// ReasonBadChain: the HMAC chain is broken; it was tampered with.
	ReasonBadChain Reason = "bad_chain"
	// ReasonRevoked: its token id has been revoked.
	ReasonRevoked Reason = "revoked"
	// ReasonWidened: a repeated caveat allows more than the one before it.
	ReasonWidened Reason = "widened"
	// ReasonWrongService: it does not name the service asked for.
	ReasonWrongService Reason = "wrong_service"
	// ReasonExpired: the valid_until of the service has passed.
	ReasonExpired Reason = "expired"
	// ReasonNotCapable: it does not name the capability asked for.
	ReasonNotCapable Reason = "not_capable"
	// ReasonNotSatisfied: a constraint that the request knows does not hold.
	ReasonNotSatisfied Reason = "not_satisfied"
)

// Error returns the code.
func (r Reason) Error() string { return string(r) }

// Refusal is the error of a credential that was refused: the reason for
// programs, the detail for people. It never contains a preimage or a key.
type Refusal struct {
	Reason Reason
	Detail string
}

// Error returns the detail.
func (r *Refusal) Error() string { return r.Detail }

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.Reason }

// ReasonOf returns the reason of a refusal anywhere in err's chain, or "" when
// err is nil or something else.
func ReasonOf(err error) Reason {
	var reason Reason
	if errors.As(err, &reason) {
		return reason
	}
	return ""
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// quote shows a stranger's value in an error, shortened when it is long.
func quote(s string) string {
	const limit = 64
	if len(s) > limit {
		return fmt.Sprintf("%q…", s[:limit])
	}
	return fmt.Sprintf("%q", s)
}
