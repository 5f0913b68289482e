package gatedb

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
)

// State is what became of a challenge.
type State string

// The states of a transaction. Settled is final.
const (
	StateOpen     State = "open"
	StateSettled  State = "settled"
	StateCanceled State = "canceled" // cancelled, expired, or never made
)

// Transaction is one challenge: an invoice and the token that it buys.
type Transaction struct {
	Hash    lntypes.Hash
	TokenID l402.TokenID // the payment hash where there is no token
	Token   l402.Token   // zero when it was sold by the Payment scheme alone
	Service string
	Price   lnwire.MilliSatoshi // msat asked for
	Client  []byte              // 32 bytes that name the client, or none
	Prefix  netip.Prefix        // the client's network
	State   State
	Created time.Time
	Expires time.Time           // of the invoice
	Settled time.Time           // zero until settled
	Paid    lnwire.MilliSatoshi // msat received, 0 until settled
}

// Mint records a challenge whose invoice is about to be made; durable on
// return.
func (db *DB) Mint(ctx context.Context, t Transaction) error {
	prefix, err := t.Prefix.MarshalText()
	if err != nil {
		return err
	}
	client := t.Client
	if client == nil {
		client = []byte{}
	}
	return db.exec(ctx, `INSERT INTO transactions
		(payment_hash, token_id, token, service, price_msat, client, client_prefix, state, created_ms, expires_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)`,
		t.Hash[:], t.TokenID[:], t.Token.Base64(), t.Service, int64(t.Price), client, string(prefix),
		t.Created.UnixMilli(), t.Expires.UnixMilli())
}

// Settle records that an invoice was paid. It reports whether the hash was
// one of ours and not settled before: a settlement may be seen more than once.
// A cancelled transaction that turns out to be paid becomes settled.
func (db *DB) Settle(ctx context.Context, hash lntypes.Hash, at time.Time, paid lnwire.MilliSatoshi) (bool, error) {
	return db.change(ctx, `UPDATE transactions SET state = 'settled', settled_ms = ?, paid_msat = ?
		WHERE payment_hash = ? AND state <> 'settled'`, at.UnixMilli(), int64(paid), hash[:])
}

// Cancel records that an open challenge can no longer be paid.
func (db *DB) Cancel(ctx context.Context, hash lntypes.Hash) error {
	return db.exec(ctx, `UPDATE transactions SET state = 'canceled' WHERE payment_hash = ? AND state = 'open'`, hash[:])
}

// Prune forgets cancelled challenges made before the time, and all but about the
// newest keep of them: strangers make as many as they like. It returns how many.
func (db *DB) Prune(ctx context.Context, before time.Time, keep int) (int64, error) {
	return db.count(ctx, `DELETE FROM transactions WHERE state = 'canceled' AND created_ms < max(?, coalesce((
			SELECT created_ms FROM transactions WHERE state = 'canceled' ORDER BY created_ms DESC LIMIT 1 OFFSET ?), 0))`,
		before.UnixMilli(), keep)
}

// OpenTransactions returns the open transactions, oldest first.
func (db *DB) OpenTransactions(ctx context.Context) ([]Transaction, error) {
	var all []Transaction
	err := db.each(ctx, `SELECT payment_hash, token_id, token, service, price_msat, client, client_prefix,
		state, created_ms, expires_ms FROM transactions WHERE state = 'open' ORDER BY created_ms`,
		func(rows *sql.Rows) error {
			var raw rawTransaction
			if err := rows.Scan(raw.fields()...); err != nil {
				return err
			}
			t, err := raw.transaction()
			all = append(all, t)
			return err
		})
	return all, err
}

// Totals are sums over all transactions.
type Totals struct {
	Open     int64               // invoices that may still be paid
	Settled  int64               // invoices that were paid
	Received lnwire.MilliSatoshi // msat
}

// Totals counts the transactions.
func (db *DB) Totals(ctx context.Context) (Totals, error) {
	var t Totals
	err := db.Read(ctx, func(tx *sql.Tx) error {
		var received int64
		err := tx.QueryRowContext(ctx, `SELECT
			(SELECT count(*) FROM transactions WHERE state = 'open'),
			(SELECT count(*) FROM transactions WHERE state = 'settled'),
			(SELECT coalesce(sum(paid_msat), 0) FROM transactions WHERE state = 'settled')`,
		).Scan(&t.Open, &t.Settled, &received)
		t.Received = lnwire.MilliSatoshi(received)
		return err
	})
	return t, err
}

// rawTransaction is a transaction as it is stored, without its settlement.
type rawTransaction struct {
	hash, id              []byte
	token, prefix         string
	price, created, until int64
	t                     Transaction
}

// fields are where the columns go that every query begins with.
func (r *rawTransaction) fields() []any {
	return []any{&r.hash, &r.id, &r.token, &r.t.Service, &r.price, &r.t.Client, &r.prefix, &r.t.State,
		&r.created, &r.until}
}

func (r *rawTransaction) transaction() (Transaction, error) {
	t := r.t
	t.Hash, t.TokenID = lntypes.Hash(r.hash), l402.TokenID(r.id)
	t.Price, t.Created, t.Expires = lnwire.MilliSatoshi(r.price), time.UnixMilli(r.created), time.UnixMilli(r.until)
	if len(t.Client) == 0 {
		t.Client = nil
	}
	var err error
	if r.token != "" {
		t.Token, err = l402.ParseToken(r.token)
	}
	return t, errors.Join(err, t.Prefix.UnmarshalText([]byte(r.prefix)))
}

func (db *DB) change(ctx context.Context, query string, args ...any) (bool, error) {
	n, err := db.count(ctx, query, args...)
	return n > 0, err
}
