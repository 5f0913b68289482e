package store

import "context"

// CopyTo writes the database, as it is at one moment, to a file that is not there
// yet, without what it has no more use for. Others may use the database meanwhile.
// Errors: disk_full, database_unwritable, database_corrupt.
func (db *DB) CopyTo(ctx context.Context, path string) error {
	conn, err := dial(db.path, "ro", 1)
	if err != nil {
		return db.explain(err)
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, "VACUUM INTO ?", path)
	return db.explain(err)
}
