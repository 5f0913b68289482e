package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// backupName is lnd's, in the folder of the network.
const backupName = "channel.backup"

// checkBackup looks whether the static channel backup, without which channels are
// lost with the disk, is somewhere else as well, and is the present one.
func checkBackup(_ context.Context, e *Env) []Finding {
	n, is, err := e.node()
	if err != nil || !is {
		return nil
	}
	own := filepath.Join(e.Home.Node(), "data", "chain", "bitcoin", n.Network, backupName)
	made, err := os.Stat(own)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // no wallet yet, or one that has never run
	case err != nil:
		return []Finding{unseen(e.asOperator(), "cannot look at the channel backup: %v", reason(err))}
	case e.Backup == "":
		return []Finding{e.graver(n.Network, "copy it to another machine after each change, then: leyden doctor --backup COPY",
			"the channel backup %s is on this disk; where it is besides was not said", own)}
	}
	kept := e.Backup
	if info, err := os.Stat(kept); err == nil && info.IsDir() {
		kept = filepath.Join(kept, backupName)
	}
	copied, err := os.Stat(kept)
	copyIt := "cp " + own + " " + kept
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{fail(copyIt, "there is no copy of the channel backup in %s", kept)}
	case err != nil:
		return []Finding{unseen("", "cannot look at %s: %v", kept, reason(err))}
	case os.SameFile(made, copied):
		return []Finding{fail("pass another place with --backup", "%s is the channel backup itself, and no copy", kept)}
	case differ(own, kept):
		return []Finding{fail(copyIt, "the copy %s is not the present channel backup: it is %s older, and channels that were opened since are not in it",
			kept, made.ModTime().Sub(copied.ModTime()).Round(time.Minute))}
	case sameDisk(made, copied):
		return []Finding{warn("keep a copy on another machine as well", "the copy %s is on the same disk as the node", kept)}
	}
	return []Finding{ok("the copy %s is the present channel backup", kept)}
}
