// Package guarddb is the guard's database: the journal and the ledger of
// accounts, in one file so that a change and its journal entry are one
// transaction. It promises the constraints that need no program: the journal
// and the ledger's entries are append-only. What the rows mean is said by the
// packages above: audit and account.
package guarddb

import (
	"context"
	"embed"
	"io/fs"

	"github.com/leydenln/leyden/internal/store"
)

//go:embed schema
var schema embed.FS

// applicationID is "LyGd".
const applicationID = 0x4c794764

// DB is the guard's database. Queries are made with New over the transaction
// that Read or Write hands out.
type DB struct {
	*store.DB
}

// Open opens or makes the database file. Errors are store.Open's.
func Open(ctx context.Context, path string) (*DB, error) { return open(ctx, path, store.Open) }

// View opens a database file that is there for reading only. Errors are
// store.View's.
func View(ctx context.Context, path string) (*DB, error) { return open(ctx, path, store.View) }

func open(ctx context.Context, path string, how func(context.Context, string, store.Schema) (*store.DB, error)) (*DB, error) {
	scripts, err := fs.Sub(schema, "schema")
	if err != nil {
		return nil, err
	}
	db, err := how(ctx, path, store.Schema{Name: "guard", ID: applicationID, Migrations: scripts, Secrets: true})
	if err != nil {
		return nil, err
	}
	return &DB{db}, nil
}
