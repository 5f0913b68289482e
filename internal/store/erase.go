package store

import (
	"context"
	"fmt"
	"time"
)

// eraseAgain is the pause before the log is tried again that somebody reads.
const eraseAgain = 200 * time.Millisecond

// Erase has what was deleted or replaced until now vanish from the database's
// files, from the log beside it too. It does not wait: somebody who reads there
// delays it, and so does the end of the process until the next Open. Of a
// database whose Schema has no Secrets it does nothing.
func (db *DB) Erase() {
	select {
	case db.erase <- struct{}{}:
	default: // asked for already
	}
}

// tryErase empties the log, or says when to try again.
func (db *DB) tryErase() (again <-chan time.Time) {
	if !db.emptyLog(context.Background()) {
		return time.After(eraseAgain)
	}
	return nil
}

// emptyLog writes the log into the database and truncates it, unless somebody
// reads there.
func (db *DB) emptyLog(ctx context.Context) bool {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil { // writers would wait meanwhile
		return false
	}
	var busy, frames, written int
	err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &written)
	_, restored := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds()))
	return err == nil && restored == nil && busy == 0
}
