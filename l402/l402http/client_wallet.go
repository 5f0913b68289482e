package l402http

import (
	"context"
	"errors"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
)

// What a [Wallet] can say for certain. Errors wrap one of them; any other
// error means that the payment may be under way.
var (
	// ErrNothingSent: this call moved no money and never will.
	ErrNothingSent = errors.New("nothing was sent")
	// ErrPaymentKnown: the wallet has a payment with this hash, made by an
	// earlier call; Track says what became of it.
	ErrPaymentKnown = errors.New("a payment with this hash exists")
	// ErrPaymentUnknown: Track knows no payment with this hash.
	ErrPaymentUnknown = errors.New("no payment with this hash")
)

// Wallet pays invoices. It must refuse to pay the same payment hash twice, as
// every Lightning node does.
type Wallet interface {
	// Pay pays and returns when the outcome is final. Its errors wrap
	// ErrNothingSent or ErrPaymentKnown where one of them is certain.
	Pay(ctx context.Context, p Payment) (Receipt, error)

	// Track waits for the outcome of the payment with that hash: a receipt,
	// ErrNothingSent when it failed for good, ErrPaymentUnknown.
	Track(ctx context.Context, hash lntypes.Hash) (Receipt, error)
}

// Warmer is a wallet that can prepare while the challenge is read and
// journalled. Warm must not wait.
type Warmer interface{ Warm() }

// Namer is a wallet that can say which node it pays from. A purchase that was
// begun with one node is never offered to another, which would not know what
// the first has done.
type Namer interface {
	// Node returns a name that no other node has, best its public key in hex;
	// "" when none is known. A name of another kind begins with that kind and
	// a colon. Names of different kinds are not compared.
	Node(ctx context.Context) (string, error)
}

// Payment says what to pay.
type Payment struct {
	// Invoice is a BOLT 11 invoice with an amount.
	Invoice string
	// Hash is the invoice's payment hash.
	Hash lntypes.Hash
	// MaxFee is the most that may be spent on top of the amount, in msat.
	MaxFee lnwire.MilliSatoshi
	// Timeout is how long to look for routes.
	Timeout time.Duration
}

// Receipt proves a payment.
type Receipt struct {
	Preimage lntypes.Preimage
	// Fee is what was spent on top of the amount, in msat.
	Fee lnwire.MilliSatoshi
}
