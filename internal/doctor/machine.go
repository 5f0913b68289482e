package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leydenln/leyden/internal/buildinfo"
)

// Free bytes below which a disk is spoken of: lnd ends itself when it is full.
const (
	diskLow  = 2 << 30
	diskFull = 200 << 20
)

// checkDisk looks how much room there is.
func checkDisk(_ context.Context, e *Env) []Finding {
	dir := string(e.Home)
	if !has(dir) {
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return []Finding{unseen(e.asOperator(), "cannot see how much room there is for %s: %v", dir, err)}
	}
	return []Finding{room(dir, fs.Bavail*uint64(fs.Bsize))}
}

func room(dir string, free uint64) Finding {
	switch megabytes := free >> 20; {
	case free < diskFull:
		return fail("df -h "+dir, "only %d MB are free for %s: the node ends itself when there is nothing left", megabytes, dir)
	case free < diskLow:
		return warn("df -h "+dir, "only %d MB are free for %s", megabytes, dir)
	default:
		return ok("%d MB are free for %s", megabytes, dir)
	}
}

// maxHeaderAhead is how far a block's time may be ahead of the clock, by consensus.
const maxHeaderAhead = 2 * time.Hour

// checkClock looks whether somebody keeps the clock right, and whether the chain
// agrees with it.
func checkClock(ctx context.Context, e *Env) (found []Finding) {
	if l := e.ask(ctx); l.info != nil {
		if ahead := time.Unix(l.info.BestHeaderTimestamp, 0).Sub(e.Now); ahead > maxHeaderAhead {
			found = append(found, fail("sudo timedatectl set-ntp true", "the newest block's time is %d hours ahead of the clock: the clock is wrong", int(ahead.Hours())))
		}
	}
	synced, known := clockSynced()
	switch {
	case !known:
		found = append(found, unseen("timedatectl", "cannot see whether the clock is kept right"))
	case !synced:
		found = append(found, warn("sudo timedatectl set-ntp true", "nothing keeps the clock right: expiries of tokens, accounts and certificates depend on it"))
	case len(found) == 0:
		found = append(found, ok("the clock is kept right"))
	}
	return found
}

// checkVersions finds daemons that still run a program that has been replaced.
func checkVersions(ctx context.Context, e *Env) (found []Finding) {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	for _, name := range daemons {
		r, on := e.record(name)
		if !on {
			continue
		}
		exe := filepath.Join(e.Proc, strconv.Itoa(r.PID), "exe")
		target, err := os.Readlink(exe)
		restart := "leyden " + name + " stop, then leyden " + name + " start --detach"
		switch {
		case err != nil:
			found = append(found, unseen(e.asOperator(), "cannot see which program the %s runs", name))
		case strings.HasSuffix(target, " (deleted)"):
			found = append(found, warn(restart, "the %s still runs a program that has been replaced since", name))
		case !sameFile(exe, self):
			found = append(found, info(restart, "the %s runs %s, and not this program, %s", name, target, self))
		default:
			found = append(found, ok("the %s runs this program, leyden %s", name, buildinfo.Version()))
		}
	}
	if l := e.ask(ctx); l.info != nil {
		found = append(found, info("", "lnd is %s, leyden %s: whether there are newer ones, only their pages say", strings.TrimSuffix(l.info.Version, " commit="), buildinfo.Version()))
	}
	return found
}
