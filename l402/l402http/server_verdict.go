package l402http

import (
	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
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
	// Scheme is the one of the credential, 0 where there was none.
	Scheme Schemes
	// TokenID is that of the token, zero for another scheme.
	TokenID l402.TokenID
	// Hash is the payment hash of what was bought, zero when not paid.
	Hash lntypes.Hash
	// Refusal is why the first credential opens nothing, nil when paid.
	Refusal error

	sold     *mpp.Sold // of the Payment scheme
	redeemed bool      // used up
}

// refuse notes why a credential of the scheme opens nothing, unless another one
// was refused before.
func (v *Verdict) refuse(scheme Schemes, err error) {
	if v.Scheme == 0 && err != errUnpaid {
		v.Scheme, v.Refusal = scheme, err
	}
}

// code is the stable name of a verdict that is not Paid.
func (v Verdict) code() string {
	if reason := l402.ReasonOf(v.Refusal); reason != "" && !v.payment() {
		return "token_" + string(reason)
	}
	if reason := paymentReason(v.Refusal); reason != "" {
		return "payment_" + reason
	}
	return "payment_required"
}

// payment reports whether the refusal is that of a Payment credential.
func (v Verdict) payment() bool { return v.Scheme == SchemePayment }
