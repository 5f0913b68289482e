package audit

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/leydenln/leyden/internal/store/guarddb"
)

// Record is an entry of the journal.
type Record struct {
	Seq              int64
	At               time.Time // UTC, to the ms
	Kind             string
	Actor            Actor
	Account, Subject string
	Detail           string // a JSON object
	Hash             Hash
}

// Query chooses entries; a zero field chooses all.
type Query struct {
	Account string // 16 lower-case hex digits
	Kind    string
	Since   time.Time
	After   int64 // sequence number

	// Limit is how many at most; Newest makes them the last ones instead of the
	// first.
	Limit  int
	Newest bool
}

// pageSize is how many entries are in memory at once.
const pageSize = 500

// List returns the entries, oldest first.
func (j *Journal) List(ctx context.Context, q Query) ([]Record, error) {
	var list []Record
	err := j.Each(ctx, q, func(r Record) error {
		list = append(list, r)
		return nil
	})
	return list, err
}

// Each calls fn with the entries, oldest first, until it returns an error. The
// database is not held while fn runs.
func (j *Journal) Each(ctx context.Context, q Query, fn func(Record) error) error {
	return j.rows(ctx, q, func(row guarddb.Journal) error { return fn(record(row)) })
}

func (j *Journal) rows(ctx context.Context, q Query, fn func(guarddb.Journal) error) error {
	left := q.Limit
	if left <= 0 {
		left = math.MaxInt
	}
	after, err := j.start(ctx, q)
	for err == nil && left > 0 {
		var page []guarddb.Journal
		size := min(left, pageSize)
		if page, err = j.page(ctx, q, after, size); err != nil {
			return err
		}
		for _, row := range page {
			if err := fn(row); err != nil {
				return err
			}
			after = row.Seq
		}
		if len(page) < size {
			return nil
		}
		left -= len(page)
	}
	return err
}

// start returns the sequence number after which the chosen entries begin.
func (j *Journal) start(ctx context.Context, q Query) (after int64, err error) {
	after = q.After
	err = j.read(ctx, func(db *guarddb.Queries) error {
		if !q.Since.IsZero() {
			first, err := db.JournalSince(ctx, q.Since.UnixMilli())
			if errors.Is(err, sql.ErrNoRows) {
				after = math.MaxInt64
				return nil
			}
			if err != nil {
				return err
			}
			after = max(after, first-1)
		}
		if !q.Newest || q.Limit <= 0 {
			return nil
		}
		var first int64
		var err error
		if skip := int64(q.Limit) - 1; q.Account == "" {
			first, err = db.JournalNewest(ctx, guarddb.JournalNewestParams{After: after, Kind: q.Kind, Skip: skip})
		} else {
			first, err = db.JournalNewestOf(ctx,
				guarddb.JournalNewestOfParams{Account: q.Account, After: after, Kind: q.Kind, Skip: skip})
		}
		if errors.Is(err, sql.ErrNoRows) {
			return nil // there are fewer: all of them
		}
		after = max(after, first-1)
		return err
	})
	return after, err
}

func (j *Journal) page(ctx context.Context, q Query, after int64, size int) (page []guarddb.Journal, err error) {
	err = j.read(ctx, func(db *guarddb.Queries) (err error) {
		if q.Account == "" {
			page, err = db.JournalPage(ctx, guarddb.JournalPageParams{After: after, Kind: q.Kind, Max: int64(size)})
		} else {
			page, err = db.JournalPageOf(ctx,
				guarddb.JournalPageOfParams{Account: q.Account, After: after, Kind: q.Kind, Max: int64(size)})
		}
		return err
	})
	return page, err
}

func (j *Journal) read(ctx context.Context, fn func(*guarddb.Queries) error) error {
	return j.db.Read(ctx, func(tx *sql.Tx) error { return fn(guarddb.New(tx)) })
}

func record(row guarddb.Journal) Record {
	return Record{
		Seq:     row.Seq,
		At:      time.UnixMilli(row.AtMs).UTC(),
		Kind:    row.Kind,
		Actor:   Actor{Kind: row.Actor, Via: row.Via, Peer: row.Peer, Macaroon: row.Macaroon},
		Account: row.Account,
		Subject: row.Subject,
		Detail:  row.Detail,
		Hash:    previous(row.Hash),
	}
}
