// Package gatedb is the gate's database: every challenge with what became of
// it, revoked tokens, and the ids of the master keys. It promises that a
// settled transaction never becomes anything else. It holds nothing that a
// token's verification needs but the revocations, which the gate keeps in
// memory, and no secret: a token without its preimage opens nothing.
package gatedb

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"time"

	"github.com/leydenln/leyden/internal/store"
	"github.com/leydenln/leyden/l402"
)

//go:embed schema
var schema embed.FS

// applicationID is "LyGt".
const applicationID = 0x4c794774

// pace lets strangers who ask for challenges at the same time share a write to
// the disk.
const pace = 8 * time.Millisecond

// DB is the gate's database.
type DB struct {
	*store.DB
}

// Open opens or makes the database file. Errors are store.Open's.
func Open(ctx context.Context, path string) (*DB, error) {
	scripts, err := fs.Sub(schema, "schema")
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, path, store.Schema{Name: "gate", ID: applicationID, Migrations: scripts, Pace: pace})
	if err != nil {
		return nil, err
	}
	return &DB{db}, nil
}

// Revoke makes a token worthless. Revoking it again keeps the first time.
func (db *DB) Revoke(ctx context.Context, id l402.TokenID, now time.Time, reason string) error {
	return db.exec(ctx, `INSERT INTO revocations (token_id, revoked_ms, reason) VALUES (?, ?, ?)
		ON CONFLICT DO NOTHING`, id[:], now.UnixMilli(), reason)
}

// Revoked returns the ids of all revoked tokens.
func (db *DB) Revoked(ctx context.Context) ([]l402.TokenID, error) {
	var ids []l402.TokenID
	err := db.each(ctx, `SELECT token_id FROM revocations`, func(rows *sql.Rows) error {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		ids = append(ids, l402.TokenID(raw))
		return nil
	})
	return ids, err
}

// SawKey records that a master key has been in use.
func (db *DB) SawKey(ctx context.Context, id l402.KeyID, now time.Time) error {
	return db.exec(ctx, `INSERT INTO keys (key_id, first_ms) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		id[:], now.UnixMilli())
}

// Keys returns the ids of all master keys that have been in use, oldest first.
func (db *DB) Keys(ctx context.Context) ([]l402.KeyID, error) {
	var ids []l402.KeyID
	err := db.each(ctx, `SELECT key_id FROM keys ORDER BY first_ms, key_id`, func(rows *sql.Rows) error {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		ids = append(ids, l402.KeyID(raw))
		return nil
	})
	return ids, err
}

func (db *DB) exec(ctx context.Context, query string, args ...any) error {
	return db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
}

func (db *DB) each(ctx context.Context, query string, scan func(*sql.Rows) error, args ...any) error {
	return db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
