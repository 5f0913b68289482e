package gatedb

import (
	"context"
	"database/sql"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
)

// Redemption is what Redeem found.
type Redemption int

// What Redeem finds. Only Redeemed uses the payment up.
const (
	Redeemed Redemption = iota
	AlreadyRedeemed
	RedemptionRevoked // its token id has been revoked
	RedemptionUnknown // no such transaction is on record
)

// Redeem uses a payment up: of any number of calls one gets Redeemed, until it
// is restored. Durable on return. The record need not be kept after until.
func (db *DB) Redeem(ctx context.Context, hash lntypes.Hash, service string, now, until time.Time) (Redemption, error) {
	var found Redemption
	err := db.Write(ctx, func(tx *sql.Tx) error {
		var revoked bool
		err := tx.QueryRow(`SELECT r.token_id IS NOT NULL FROM transactions t
			LEFT JOIN revocations r ON r.token_id = t.token_id
			WHERE t.payment_hash = ? AND t.service = ?`, hash[:], service).Scan(&revoked)
		switch {
		case err == sql.ErrNoRows:
			found = RedemptionUnknown
			return nil
		case err != nil:
			return err
		case revoked:
			found = RedemptionRevoked
			return nil
		}
		r, err := tx.Exec(`INSERT INTO redemptions (payment_hash, service, redeemed_ms, until_ms) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, hash[:], service, now.UnixMilli(), until.UnixMilli())
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if found = Redeemed; n == 0 {
			found = AlreadyRedeemed
		}
		return err
	})
	return found, err
}

// RestorePayment undoes the redemption of a payment whose request was not
// answered.
func (db *DB) RestorePayment(ctx context.Context, hash lntypes.Hash) error {
	return db.exec(ctx, `DELETE FROM redemptions WHERE payment_hash = ? AND answered = 0`, hash[:])
}

// AnsweredPayments records that the requests of these payments were answered.
func (db *DB) AnsweredPayments(ctx context.Context, hashes []lntypes.Hash) error {
	return db.Write(ctx, func(tx *sql.Tx) error {
		for _, hash := range hashes {
			if _, err := tx.Exec(`UPDATE redemptions SET answered = 1 WHERE payment_hash = ?`, hash[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// RestoreUnanswered restores the payments whose requests a crash cut short, and
// returns how many. To be called while nothing is served.
func (db *DB) RestoreUnanswered(ctx context.Context) (int64, error) {
	return db.count(ctx, `DELETE FROM redemptions WHERE answered = 0`)
}

// PruneRedemptions forgets answered redemptions that nobody can present again
// at the time, and returns how many.
func (db *DB) PruneRedemptions(ctx context.Context, now time.Time) (int64, error) {
	return db.count(ctx, `DELETE FROM redemptions WHERE answered = 1 AND until_ms < ?`, now.UnixMilli())
}

// count changes rows and returns how many.
func (db *DB) count(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = db.Write(ctx, func(tx *sql.Tx) error {
		r, err := tx.Exec(query, args...)
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	return n, err
}
