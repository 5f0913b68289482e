package l402http

import (
	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/l402"
)

// Schemes are ways to pay; a set of bits.
type Schemes uint8

// The schemes.
const (
	// SchemeL402: a token, good for as many requests as its caveats allow.
	SchemeL402 Schemes = 1 << iota
	// SchemePayment: the "Payment" scheme with method lightning and intent
	// charge. A credential is good for one request.
	SchemePayment
)

// Verdict is what [Seller.Judge] found out about a request.
type Verdict struct {
	// Paid: it carries a credential that opens what it asks for.
	Paid bool
	// Scheme is the one by which it is paid, 0 when it is not.
	Scheme Schemes
	// TokenID is that of the token, zero for another scheme.
	TokenID l402.TokenID
	// Hash is the payment hash of what was bought, zero when not paid.
	Hash lntypes.Hash
	// Refusal is why the first credential opens nothing, nil when paid. Where
	// there was a credential it is an [l402.Refusal].
	Refusal error
}
