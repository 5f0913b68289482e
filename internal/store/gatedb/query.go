package gatedb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
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
	Used    time.Time // by a Payment credential, zero when it is not
}

// Records returns the chosen transactions, newest first.
func (db *DB) Records(ctx context.Context, f Filter) ([]Record, error) {
	var (
		where []string
		args  []any
	)
	choose := func(clause string, arg any) { where, args = append(where, clause), append(args, arg) }
	if f.Service != "" {
		choose("t.service = ?", f.Service)
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
	query += " ORDER BY created_ms DESC, t.payment_hash"
	if f.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", f.Limit)
	}
	return db.records(ctx, query, args...)
}

// Find returns the transactions whose token id or payment hash it is. Those
// that were paid are found at once, others perhaps only by reading everything.
func (db *DB) Find(ctx context.Context, id [32]byte) ([]Record, error) {
	for _, where := range []string{
		" WHERE t.payment_hash = ?1 OR (t.state = 'settled' AND t.token_id = ?1)",
		" WHERE t.token_id = ?1",
	} {
		all, err := db.records(ctx, selectRecord+where, id[:])
		if len(all) > 0 || err != nil {
			return all, err
		}
	}
	return nil, nil
}

func (db *DB) records(ctx context.Context, query string, args ...any) ([]Record, error) {
	var all []Record
	err := db.each(ctx, query, func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		all = append(all, r)
		return err
	}, args...)
	return all, err
}

const selectRecord = `SELECT t.payment_hash, t.token_id, token, t.service, price_msat, client, client_prefix,
	state, created_ms, expires_ms, settled_ms, paid_msat, revoked_ms, reason, redeemed_ms
	FROM transactions t LEFT JOIN revocations r ON r.token_id = t.token_id
	LEFT JOIN redemptions d ON d.payment_hash = t.payment_hash`

func scanRecord(rows *sql.Rows) (Record, error) {
	var (
		raw                          rawTransaction
		settled, paid, revoked, used sql.NullInt64
		reason                       sql.NullString
	)
	if err := rows.Scan(append(raw.fields(), &settled, &paid, &revoked, &reason, &used)...); err != nil {
		return Record{}, err
	}
	t, err := raw.transaction()
	r := Record{Transaction: t, Reason: reason.String}
	if settled.Valid {
		r.Settled, r.Paid = time.UnixMilli(settled.Int64), lnwire.MilliSatoshi(paid.Int64)
	}
	if used.Valid {
		r.Used = time.UnixMilli(used.Int64)
	}
	if revoked.Valid {
		r.Revoked = time.UnixMilli(revoked.Int64)
	}
	return r, err
}

// ServiceTotals are sums over one service's transactions.
type ServiceTotals struct {
	Service  string              `json:"service"`
	Open     int64               `json:"open"`
	Settled  int64               `json:"settled"`
	Canceled int64               `json:"canceled"` // of those still on record
	Received lnwire.MilliSatoshi `json:"received_msat"`
}

// TotalsByService counts the transactions made since the time, zero for all,
// of each service that has any.
func (db *DB) TotalsByService(ctx context.Context, since time.Time) ([]ServiceTotals, error) {
	all := []ServiceTotals{}
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
