package store

import (
	"errors"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/leydenln/leyden/internal/fault"
)

// Codes of this package's errors.
const (
	CodeNewer      = "database_newer"
	CodeOlder      = "database_older"
	CodeForeign    = "database_foreign"
	CodeCorrupt    = "database_corrupt"
	CodeUnwritable = "database_unwritable"
	CodeBusy       = "database_busy"
	CodeDiskFull   = "disk_full"
	CodeClosed     = "database_closed"
)

// explain turns SQLite's error into a fault that says what to do. Errors that
// are none of SQLite's, the caller's own among them, pass unchanged.
func (db *DB) explain(err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Code != fault.Internal {
		return err
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	code, hint := classify(e, db.path)
	if code == "" {
		return err
	}
	return fault.New(code, hint, "database %q: %w", db.path, err)
}

func classify(e *sqlite.Error, path string) (code, hint string) {
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return CodeCorrupt, "restore it from a backup, or move it away to begin with an empty one: mv " + path + " " + path + ".corrupt"
	case sqlite3.SQLITE_FULL:
		return CodeDiskFull, "free some space, then try again"
	case sqlite3.SQLITE_IOERR:
		if strings.Contains(e.Error(), "no space") {
			return CodeDiskFull, "free some space, then try again"
		}
		return CodeUnwritable, "check the disk and the file's owner and mode"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return CodeUnwritable, "check the owner and mode of the file and its folder"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return CodeBusy, "another process holds it: stop that one, then try again"
	}
	return "", ""
}
