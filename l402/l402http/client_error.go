package l402http

import (
	"errors"
	"fmt"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
)

// The codes of [Error]. They keep their meaning.
const (
	// CodeOverMaxCost: the price is over [Transport.MaxCost].
	CodeOverMaxCost = "over_max_cost"
	// CodeNoAmount: the invoice leaves the amount open.
	CodeNoAmount = "invoice_without_amount"
	// CodeWrongNetwork: the invoice is for another network.
	CodeWrongNetwork = "wrong_network"
	// CodeInvoiceExpired: the invoice is too old to be paid.
	CodeInvoiceExpired = "invoice_expired"
	// CodeInvoiceMismatch: the token was made for another invoice.
	CodeInvoiceMismatch = "invoice_mismatch"
	// CodeBadInvoice: the invoice cannot be read, or its signature is wrong.
	CodeBadInvoice = "bad_invoice"
	// CodeBadChallenge: the 402 answer cannot be read.
	CodeBadChallenge = "bad_challenge"
	// CodeSchemeUnsupported: the 402 answer asks for a payment in a way that is
	// not spoken here.
	CodeSchemeUnsupported = "scheme_unsupported"
	// CodeInvoiceReused: the invoice is that of another purchase.
	CodeInvoiceReused = "invoice_reused"
	// CodePaymentFailed: the wallet did not pay. Nothing was spent.
	CodePaymentFailed = "payment_failed"
	// CodePaymentUnresolved: whether the wallet paid is not known yet. The
	// purchase stays open and nothing else is bought in its place.
	CodePaymentUnresolved = "payment_unresolved"
	// CodeTokenRefused: the seller refuses a token that was paid for and
	// that it never accepted. It is not paid a second time.
	CodeTokenRefused = "token_refused"
	// CodeBodyNotReplayable: the request's body is too large to send twice.
	CodeBodyNotReplayable = "body_not_replayable"
)

// Error says why a request was not paid for, or what became of the payment.
type Error struct {
	// Code is one of the constants above.
	Code string

	// Hint says what to do. May be empty.
	Hint string

	// Price is what was asked for, in msat, with CodeOverMaxCost.
	Price lnwire.MilliSatoshi

	// Refused is the payment hash of the token that is refused, with
	// CodeTokenRefused; nil when there are several. Other is a scheme of another
	// kind that the seller offers too, "" for none.
	Refused *lntypes.Hash
	Other   l402.Scheme

	err error
}

func fail(code, hint, format string, args ...any) *Error {
	return &Error{Code: code, Hint: hint, err: fmt.Errorf(format, args...)}
}

// Error returns the sentence, without code and hint.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the cause, such as the wallet's error.
func (e *Error) Unwrap() error { return errors.Unwrap(e.err) }
