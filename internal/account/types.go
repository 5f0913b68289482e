package account

import (
	"encoding/hex"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/policy"
)

// ID names an account: 16 lower-case hex digits in text.
type ID [8]byte

// String returns the 16 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Caveat is that of the account's macaroons.
func (id ID) Caveat() string { return "lnd-custom account " + id.String() }

// Account is an account as it is now. Amounts in msat.
type Account struct {
	ID         ID
	Label      string
	Generation uint64 // raised by Rotate
	Limits     policy.Limits

	// Initial is the balance it was made with; Balance Σ entries (0 if that
	// were below zero, which Check reports); Reserved what open payments hold
	// of it.
	Initial, Balance, Reserved lnwire.MilliSatoshi

	Created, Updated time.Time
	Expires          time.Time // zero: never
	Frozen           bool
	Removed          bool
}

// Available is what a further payment may use: Balance less Reserved, never
// below 0.
func (a Account) Available() lnwire.MilliSatoshi { return a.Balance - min(a.Balance, a.Reserved) }

// State is what has become of a payment or an invoice.
type State string

// The states of a payment: open until its outcome at lnd is final; void when
// lnd never took it on.
const (
	StateOpen      State = "open"
	StateSucceeded State = "succeeded"
	StateFailed    State = "failed"
	StateVoid      State = "void"
)

// The states of an invoice, besides open: pending before lnd is known to have
// it, Void when lnd never made it.
const (
	StatePending  State = "pending"
	StateSettled  State = "settled"
	StateCanceled State = "canceled"
)

// Spend asks for the reservation of a payment.
type Spend struct {
	Account ID
	Hash    lntypes.Hash

	// Amount and MaxFee, together, are reserved. MaxFee is lowered to what the
	// account's limits allow, unless ExactFee says that the fee is settled
	// already, as a route's is: then a fee above the limits is denied.
	Amount, MaxFee lnwire.MilliSatoshi
	ExactFee       bool

	Payee                policy.PubKey
	FinalCLTV, TimeLock  uint32 // blocks; 0 where not known
	PaymentRequest, Memo string

	// Run is the life of lnd that it is sent to. AfterIndex is the highest
	// payment index of lnd's that had been seen before.
	Run        string
	AfterIndex uint64

	to transferee // zero but of a transfer
}

// Payment is one payment of an account. Amounts in msat.
type Payment struct {
	ID      int64  // in the ledger
	Index   uint64 // within the account: 1, 2, 3 …
	Account ID
	Hash    lntypes.Hash
	State   State

	// Transfer says that it pays an invoice of another account of this node:
	// lnd never hears of it.
	Transfer bool

	Amount, MaxFee, Reserved lnwire.MilliSatoshi

	// Paid is amount and fee together, Fee the fee alone; of a succeeded one.
	Paid, Fee lnwire.MilliSatoshi

	Payee                policy.PubKey
	PaymentRequest, Memo string

	// Preimage is zero but of a succeeded one.
	Preimage lntypes.Preimage

	Run        string
	AfterIndex uint64
	LndIndex   uint64 // lnd's payment_index; 0 while not known

	Created, Resolved time.Time
	Reason            string // why it failed or is void

	// Final is lnd's final lnrpc.Payment, in protobuf's wire form.
	Final []byte
}

// Outcome is the final state of a payment as lnd tells it.
type Outcome struct {
	// Paid is Σ total_amt_msat over the succeeded HTLCs, Fee the part of it
	// that is fees. Both zero for a failure.
	Paid, Fee lnwire.MilliSatoshi

	LndIndex uint64
	Preimage lntypes.Preimage // of a success
	Reason   string           // of a failure
	Final    []byte           // lnd's lnrpc.Payment in wire form, or nil
}

// NewInvoice asks for the ownership of an invoice that lnd is about to make.
type NewInvoice struct {
	Account ID
	Hash    lntypes.Hash

	// Preimage is nil for a hold invoice.
	Preimage *lntypes.Preimage

	Amount  lnwire.MilliSatoshi // 0: left to the payer
	Memo    string
	Private bool
	Expires time.Time
	Run     string
}

// Invoice is one invoice of an account. Amounts in msat.
type Invoice struct {
	ID          int64
	Index       uint64 // within the account: 1, 2, 3 …; 0 while pending
	SettleIndex uint64 // within the account, of a settled one: 1, 2, 3 …
	Account     ID
	Hash        lntypes.Hash
	Preimage    *lntypes.Preimage
	State       State

	Amount, Received lnwire.MilliSatoshi

	Memo             string
	Private          bool
	Run              string
	AddIndex         uint64 // lnd's add_index; 0 while not known
	Created, Expires time.Time
	Resolved         time.Time
	Reason           string // why it is void

	// Last is the lnrpc.Invoice as lnd told it last, in protobuf's wire form.
	Last []byte
}

// Page asks for a part of a list, as lnrpc.ListPaymentsRequest and
// ListInvoiceRequest do: from Offset on (exclusive; 0 with Reversed: the end),
// at most Max (0: 100), created within From and Until, both inclusive, where
// those are set. The list is always in ascending order.
type Page struct {
	Offset      uint64
	Max         uint64
	Reversed    bool
	From, Until time.Time
	// Open restricts invoices to those not yet settled or canceled
	// (pending_only); Unfinished lists payments that have not succeeded as well
	// (include_incomplete).
	Open, Unfinished bool
}
