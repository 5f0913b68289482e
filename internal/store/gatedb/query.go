package gatedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
)

// Filter chooses transactions. Zero values choose all.
type Filter struct {
	Service string
	State   State
	Since   time.Time // made at this time or later
	Limit   int       // the newest so many; 0: no bound
}

// Record is a transaction with what the gate's owner did about its token.
type Record struct {
	Transaction
	Revoked time.Time // zero when it is not
	Reason  string    // of the revocation
}

// Records returns the chosen transactions, newest first.
func (db *DB) Records(ctx context.Context, f Filter) ([]Record, error) {
	var (
		where []string
		args  []any
		all   []Record
	)
	choose := func(clause string, arg any) { where, args = append(where, clause), append(args, arg) }
	if f.Service != "" {
		choose("service = ?", f.Service)
	}
	if f.State != "" {
		choose("state = ?", string(f.State))
	}
	if !f.Since.IsZero() {
		choose("created_ms >= ?", f.Since.UnixMilli())
	}
	query := selectRecord
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	query += " ORDER BY created_ms DESC, payment_hash"
	if f.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", f.Limit)
	}
	err := db.each(ctx, query, func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		all = append(all, r)
		return err
	}, args...)
	return all, err
}

// Find returns the transactions whose token id or payment hash it is.
func (db *DB) Find(ctx context.Context, id [32]byte) ([]Record, error) {
	var all []Record
	err := db.each(ctx, selectRecord+" WHERE t.token_id = ?1 OR payment_hash = ?1", func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		all = append(all, r)
		return err
	}, id[:])
	return all, err
}

const selectRecord = `SELECT payment_hash, t.token_id, token, service, price_msat, client, client_prefix,
	state, created_ms, expires_ms, settled_ms, paid_msat, revoked_ms, reason
	FROM transactions t LEFT JOIN revocations r ON r.token_id = t.token_id`

func scanRecord(rows *sql.Rows) (Record, error) {
	var (
		raw                    rawTransaction
		settled, paid, revoked sql.NullInt64
		reason                 sql.NullString
	)
	if err := rows.Scan(append(raw.fields(), &settled, &paid, &revoked, &reason)...); err != nil {
		return Record{}, err
	}
	t, err := raw.transaction()
	r := Record{Transaction: t, Reason: reason.String}
	if settled.Valid {
		r.Settled, r.Paid = time.UnixMilli(settled.Int64), lnwire.MilliSatoshi(paid.Int64)
	}
	if revoked.Valid {
		r.Revoked = time.UnixMilli(revoked.Int64)
	}
	return r, err
}

// ServiceTotals are sums over one service's transactions.
type ServiceTotals struct {
	Service  string
	Open     int64
	Settled  int64
	Canceled int64 // of those still on record
	Received lnwire.MilliSatoshi
}

// TotalsByService counts the transactions made since the time, zero for all,
// of each service that has any.
func (db *DB) TotalsByService(ctx context.Context, since time.Time) ([]ServiceTotals, error) {
	var all []ServiceTotals
	from := int64(0)
	if !since.IsZero() {
		from = since.UnixMilli()
	}
	err := db.each(ctx, `SELECT service, sum(state = 'open'), sum(state = 'settled'), sum(state = 'canceled'),
		coalesce(sum(paid_msat), 0) FROM transactions WHERE created_ms >= ? GROUP BY service ORDER BY service`,
		func(rows *sql.Rows) error {
			var (
				t        ServiceTotals
				received int64
			)
			err := rows.Scan(&t.Service, &t.Open, &t.Settled, &t.Canceled, &received)
			t.Received = lnwire.MilliSatoshi(received)
			all = append(all, t)
			return err
		}, from)
	return all, err
}

// ErrUnknownToken: no transaction sold the token.
var ErrUnknownToken = errors.New("no such token")

// RevokeSold is Revoke for a token that is on record, by its id or the payment
// hash it was sold for. It returns the token's id. Error: ErrUnknownToken.
func (db *DB) RevokeSold(ctx context.Context, id [32]byte, now time.Time, reason string) (l402.TokenID, error) {
	found, err := db.Find(ctx, id)
	if err != nil {
		return l402.TokenID{}, err
	}
	if len(found) == 0 {
		return l402.TokenID{}, ErrUnknownToken
	}
	token := found[0].TokenID
	return token, db.Revoke(ctx, token, now, reason)
}
