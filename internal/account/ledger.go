// Package account is the ledger of spending accounts: what each owns, what is
// reserved for payments in flight, what limits it has. It promises: double
// entry, append-only, in msat; every operation is one durable transaction with
// its journal entry; each may be repeated and takes effect once; the sum of the
// open reservations never exceeds a balance, however many requests race; at
// most one open payment per payment hash. It knows no lnd: the guard tells it
// outcomes, in wire form where they are kept for the account to read again.
package account

import (
	"context"
	"errors"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/policy"
)

var errStub = errors.New("not built yet")

// Codes of this package's errors (fault.Error). Denials by limits are
// *policy.Denied.
const (
	CodeUnknown     = "account_unknown"
	CodeExpired     = "account_expired"
	CodeFrozen      = "frozen"
	CodeLabel       = "bad_label"
	CodeInFlight    = "payment_in_flight"
	CodeAlreadyPaid = "already_paid"
	CodeHashTaken   = "hash_taken"
	CodeBadAmount   = "bad_amount"
	CodeReserved    = "balance_reserved"
	CodeNotFound    = "not_found"
)

// Ledger is an open ledger. Safe for concurrent use.
type Ledger struct{}

// Open opens or makes the database file. Errors are store.Open's. now is the
// clock; nil means time.Now.
func Open(ctx context.Context, path string, now func() time.Time) (*Ledger, error) {
	return nil, errStub
}

// Close waits for writes under way.
func (l *Ledger) Close() error { return errStub }

// Journal is the audit journal in the same database.
func (l *Ledger) Journal() *audit.Journal { return nil }

// Accounts.

// New describes an account to be made.
type New struct {
	Label   string
	Balance lnwire.MilliSatoshi
	Expires time.Time
	Limits  policy.Limits
}

// Create makes an account. Codes: bad_label, bad_amount.
func (l *Ledger) Create(ctx context.Context, by audit.Actor, n New) (Account, error) {
	return Account{}, errStub
}

// Get returns an account, also a removed one. Code: account_unknown.
func (l *Ledger) Get(ctx context.Context, id ID) (Account, error) { return Account{}, errStub }

// Find returns the live account with the id (16 hex digits) or label.
func (l *Ledger) Find(ctx context.Context, idOrLabel string) (Account, error) {
	return Account{}, errStub
}

// List returns all live accounts, oldest first.
func (l *Ledger) List(ctx context.Context) ([]Account, error) { return nil, errStub }

// Change is what Update alters; nil leaves as it is.
type Change struct {
	Label   *string
	Expires *time.Time // zero: never
	Limits  *policy.Limits
	Frozen  *bool
	// Balance sets the balance by an entry of the operator's, never below what
	// is reserved.
	Balance *lnwire.MilliSatoshi
}

// Update changes an account.
func (l *Ledger) Update(ctx context.Context, by audit.Actor, id ID, c Change) (Account, error) {
	return Account{}, errStub
}

// Credit adds the operator's amount; a repeated key (not empty) does nothing.
func (l *Ledger) Credit(ctx context.Context, by audit.Actor, id ID, amount lnwire.MilliSatoshi, key string) (Account, error) {
	return Account{}, errStub
}

// Debit takes an amount away, never below what is reserved (balance_reserved).
func (l *Ledger) Debit(ctx context.Context, by audit.Actor, id ID, amount lnwire.MilliSatoshi, key string) (Account, error) {
	return Account{}, errStub
}

// Rotate raises the generation.
func (l *Ledger) Rotate(ctx context.Context, by audit.Actor, id ID) (Account, error) {
	return Account{}, errStub
}

// Remove gives the balance back to the operator and ends the account. Refused
// while payments are in flight (payment_in_flight).
func (l *Ledger) Remove(ctx context.Context, by audit.Actor, id ID) (Account, error) {
	return Account{}, errStub
}

// SetFrozenAll freezes or thaws every account, and what moves money for
// operators. FrozenAll reads it.
func (l *Ledger) SetFrozenAll(ctx context.Context, by audit.Actor, frozen bool) error { return errStub }

// FrozenAll says whether everything is frozen.
func (l *Ledger) FrozenAll(ctx context.Context) (bool, error) { return true, errStub }

// Usage returns what the account has spent and has open, for `limits`.
func (l *Ledger) Usage(ctx context.Context, id ID) (policy.Usage, error) {
	return policy.Usage{}, errStub
}

// Payments.

// Reserve takes the amount and the maximum fee aside before lnd sees the
// payment. Codes: account_unknown, account_expired, frozen, payment_in_flight,
// already_paid, bad_amount; or *policy.Denied.
func (l *Ledger) Reserve(ctx context.Context, by audit.Actor, s Spend) (Payment, error) {
	return Payment{}, errStub
}

// Raise adds a further shard to an open payment, with the checks of Reserve. A
// shard is judged with the payment it belongs to, as one.
func (l *Ledger) Raise(ctx context.Context, by audit.Actor, payment int64, amount, fee lnwire.MilliSatoshi) (Payment, error) {
	return Payment{}, errStub
}

// Seen records lnd's payment index of an open payment.
func (l *Ledger) Seen(ctx context.Context, payment int64, lndIndex uint64) error { return errStub }

// Settle debits what was really paid and frees the rest. If lnd paid more than
// was reserved, which must not happen, that is debited and journalled all the
// same. Repeating it does nothing.
func (l *Ledger) Settle(ctx context.Context, payment int64, o Outcome) (Payment, error) {
	return Payment{}, errStub
}

// Release frees everything: state is StateFailed or StateVoid. Repeating it does nothing;
// a settled payment is never released.
func (l *Ledger) Release(ctx context.Context, payment int64, state State, o Outcome) (Payment, error) {
	return Payment{}, errStub
}

// OpenPayments returns all open payments: of one account, or of all (nil).
func (l *Ledger) OpenPayments(ctx context.Context, of *ID) ([]Payment, error) { return nil, errStub }

// PaymentByHash returns the account's latest payment of the hash that is not
// void. Code: not_found.
func (l *Ledger) PaymentByHash(ctx context.Context, of ID, hash lntypes.Hash) (Payment, error) {
	return Payment{}, errStub
}

// OpenByHash returns the open payment of the hash, whoever's. Code: not_found.
func (l *Ledger) OpenByHash(ctx context.Context, hash lntypes.Hash) (Payment, error) {
	return Payment{}, errStub
}

// Payments returns a page of the account's payments that are not void, and how
// many there are in all. Open ones only with Unfinished.
func (l *Ledger) Payments(ctx context.Context, of ID, p Page) (list []Payment, total uint64, err error) {
	return nil, 0, errStub
}

// Invoices.

// OwnInvoice records the ownership before lnd sees the invoice. Codes:
// hash_taken, account_unknown, account_expired, frozen; or *policy.Denied.
func (l *Ledger) OwnInvoice(ctx context.Context, by audit.Actor, n NewInvoice) (Invoice, error) {
	return Invoice{}, errStub
}

// InvoiceMade records that lnd has it, with lnd's add index.
func (l *Ledger) InvoiceMade(ctx context.Context, hash lntypes.Hash, addIndex uint64, last []byte) (Invoice, error) {
	return Invoice{}, errStub
}

// InvoiceVoid records that lnd never made it; the hash is free again.
func (l *Ledger) InvoiceVoid(ctx context.Context, hash lntypes.Hash, reason string) error {
	return errStub
}

// InvoiceSettled credits what was received, once. An invoice that is pending
// counts as made.
func (l *Ledger) InvoiceSettled(ctx context.Context, hash lntypes.Hash, addIndex uint64, received lnwire.MilliSatoshi, preimage lntypes.Preimage, last []byte) (Invoice, error) {
	return Invoice{}, errStub
}

// InvoiceCanceled records that it cannot be paid any more.
func (l *Ledger) InvoiceCanceled(ctx context.Context, hash lntypes.Hash, last []byte) (Invoice, error) {
	return Invoice{}, errStub
}

// InvoiceByHash returns an invoice, whoever's. Void ones are not found.
func (l *Ledger) InvoiceByHash(ctx context.Context, hash lntypes.Hash) (Invoice, error) {
	return Invoice{}, errStub
}

// Invoices returns a page of the account's invoices that are neither void nor
// pending.
func (l *Ledger) Invoices(ctx context.Context, of ID, p Page) ([]Invoice, error) { return nil, errStub }

// InvoicesSince returns, for a subscription, what was added after addIndex and
// what was settled after settleIndex (the account's own numbers), ascending.
func (l *Ledger) InvoicesSince(ctx context.Context, of ID, addIndex, settleIndex uint64) (added, settled []Invoice, err error) {
	return nil, nil, errStub
}

// OpenInvoices returns all pending and open invoices: of one account, or of all
// (nil).
func (l *Ledger) OpenInvoices(ctx context.Context, of *ID) ([]Invoice, error) { return nil, errStub }

// Integrity.

// Report is what Check found.
type Report struct {
	Accounts, Payments, Invoices, Entries uint64
	OpenPayments                          uint64

	// Balances is the sum of all accounts' balances in msat.
	Balances lnwire.MilliSatoshi

	// Faults are sentences, empty when all is well.
	Faults []string
}

// Check recomputes everything from the entries: sums, running totals,
// reservations, windows, journal references.
func (l *Ledger) Check(ctx context.Context) (Report, error) { return Report{}, errStub }
