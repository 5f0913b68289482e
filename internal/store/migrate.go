package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"sort"
	"strconv"

	"github.com/leydenln/leyden/internal/fault"
)

var migrationName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)

// migrate checks whose database it is, which changes nothing, and then applies
// what it lacks.
func (db *DB) migrate(ctx context.Context, schema Schema) error {
	steps, err := migrations(schema.Migrations)
	if err != nil {
		return err
	}
	version, err := db.version(ctx, schema)
	if err != nil {
		return err
	}
	if version > len(steps) {
		return db.newer(version, len(steps))
	}
	for ; version < len(steps); version++ {
		if err := db.apply(ctx, schema, version+1, steps[version]); err != nil {
			return fmt.Errorf("bring %s database to version %d: %w", schema.Name, version+1, err)
		}
	}
	return nil
}

func (db *DB) newer(version, known int) error {
	return fault.New(CodeNewer, "install the newer leyden again, or restore a backup",
		"database %q has version %d, this program knows %d", db.path, version, known)
}

// isCurrent refuses a database that has not had exactly the migrations known.
func (db *DB) isCurrent(ctx context.Context, schema Schema, known int) error {
	version, err := db.version(ctx, schema)
	switch {
	case err != nil:
		return err
	case version > known:
		return db.newer(version, known)
	case version < known:
		return fault.New(CodeOlder, "start the node or the guard once: it brings the database up to date",
			"database %q has version %d, this program wants %d", db.path, version, known)
	}
	return nil
}

// version returns how many migrations the database has had. It is SQLite's
// user_version; the owner is its application_id. It only reads: not even the
// journal mode of somebody else's database is changed.
func (db *DB) version(ctx context.Context, schema Schema) (version int, err error) {
	var owner, tables int
	for query, into := range map[string]*int{
		"PRAGMA application_id":              &owner,
		"PRAGMA user_version":                &version,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := db.read.QueryRowContext(ctx, query).Scan(into); err != nil {
			return 0, err
		}
	}
	if owner != int(schema.ID) && (owner != 0 || version != 0 || tables != 0) {
		return 0, fault.New(CodeForeign, "name another file; this one was left as it was",
			"database %q is not a %s database of leyden", db.path, schema.Name)
	}
	return version, nil
}

func (db *DB) apply(ctx context.Context, schema Schema, version int, script string) error {
	return inTx(ctx, db.write, func(tx *sql.Tx) error {
		var now int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&now); err != nil || now >= version {
			return err // another process was first
		}
		if _, err := tx.ExecContext(ctx, script); err != nil {
			return err
		}
		marks := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", schema.ID, version)
		_, err := tx.ExecContext(ctx, marks)
		return err
	})
}

// migrations reads the scripts in their order. A gap or a strange name is a
// mistake in the program.
func migrations(dir fs.FS) ([]string, error) {
	names, err := fs.Glob(dir, "*")
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	scripts := make([]string, len(names))
	for i, name := range names {
		m := migrationName.FindStringSubmatch(name)
		if m == nil {
			return nil, fmt.Errorf("migration %q: want NNNN_what.sql", name)
		}
		if n, err := strconv.Atoi(m[1]); err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %q: want number %04d", name, i+1)
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		scripts[i] = string(text)
	}
	return scripts, nil
}
