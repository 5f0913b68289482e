package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/backup"
	"github.com/leydenln/leyden/internal/fault"
)

const (
	// backupLate is how long ago a running node may last have seen that its copy is
	// of all channels; it looks twice a minute.
	backupLate = 10 * time.Minute

	// backupOld is how old the copy of a node that does not run may be.
	backupOld = 30 * 24 * time.Hour
)

// checkBackup looks whether the channel backup, without which channels are lost
// with the disk, is kept somewhere else, and is the present one.
func checkBackup(_ context.Context, e *Env) []Finding {
	n, is, err := e.node()
	if err != nil || !is {
		return nil
	}
	r, _ := e.record(aNode)
	s, err := backup.StatusOf(e.Home, r.PID)
	if fault.Code(err) == backup.CodeNoFolder {
		return []Finding{e.graver(n.Network, "leyden node backup follow --to DIR", "the node keeps no second copy of its channel backup: with this disk, its channels are lost")}
	}
	if errors.Is(err, fs.ErrPermission) {
		return []Finding{unseen(e.asOperator(), "cannot read where the channel backup is kept: %v", err)}
	}
	if err != nil {
		return []Finding{fail("leyden node backup follow --to DIR", "where the channel backup is kept cannot be understood: %v", err)}
	}
	found := e.judgeBackup(s, r.PID != 0)
	if onDiskOf(s.To, e.Home.Node()) {
		found = append(found, e.graver(n.Network, "leyden node backup follow --to DIR, on another disk or machine", "the backup in %s is on the same disk as the node", s.To))
	}
	return found
}

func (e *Env) judgeBackup(s backup.Status, runs bool) []Finding {
	const look, prove = "leyden node backup status", "leyden node backup verify"
	switch {
	case s.Restoring && !runs:
		return []Finding{warn("leyden node start --detach", "a backup is to be restored: lnd has yet to take it over")}
	case s.Restoring:
		return []Finding{info(look, "a backup is being restored: lnd takes it over once it has caught up with the chain")}
	case s.Error != "":
		return []Finding{fail(look, "the backup in %s is not well: %s", s.To, s.Error)}
	case s.Time == nil:
		return []Finding{fail(look, "there is no backup in %s yet", s.To)}
	case runs && e.Now.Sub(e.seen(s)) > backupLate:
		return []Finding{warn(look, "the running node has not seen to the backup in %s for a while", s.To)}
	case !runs && e.Now.Sub(*s.Time) > backupOld:
		return []Finding{warn("leyden node start --detach", "the backup in %s is of %s", s.To, s.Time.UTC().Format(time.DateOnly))}
	case s.Ledger == nil && has(filepath.Join(e.Home.Guard(), "guard.db")):
		return []Finding{warn(look, "the backup in %s has no copy of the accounts", s.To)}
	}
	return []Finding{
		ok("the backup in %s is whole, of %d channels, of %s", s.To, s.Channels, s.Time.UTC().Format(time.DateTime)),
		info(prove, "whether that backup can be restored, only a trial proves"),
	}
}

// seen is when the running node last saw to its backup, or began to run.
func (e *Env) seen(s backup.Status) time.Time {
	if s.Checked != nil {
		return *s.Checked
	}
	info, err := os.Stat(filepath.Join(e.Home.Run(), aNode+".pid"))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// onDiskOf says whether both are there, on one file system.
func onDiskOf(a, b string) bool {
	one, errOne := os.Stat(a)
	other, errOther := os.Stat(b)
	return errOne == nil && errOther == nil && sameDisk(one, other)
}
