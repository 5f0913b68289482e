package doctor

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/backup"
	"github.com/leydenln/leyden/internal/bakery"
)

// backup writes a backup of that time, which a node keeps.
func (b *bench) backup(at time.Time) (to string) {
	b.Helper()
	b.made("standalone", "mainnet", "")
	to = filepath.Join(b.dir, "copies")
	b.write(".leyden/node/leyden-backup.yaml", "to: "+to+"\n", 0o600)
	b.write("copies/channel.backup", "channels", 0o600)
	data, err := json.Marshal(backup.Manifest{Network: "mainnet", Node: "02aa", Channels: []backup.Copy{
		{Time: at, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("channels")))},
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.write("copies/leyden-backup.json", string(data), 0o600)
	return to
}

// follows makes the node run, and see to its backup.
func (b *bench) follows(checked time.Time, wrong string) {
	b.Helper()
	b.runs(aNode, running{State: "active"})
	data, err := json.Marshal(backup.Following{PID: os.Getpid(), Checked: checked, Error: wrong})
	if err != nil {
		b.Fatal(err)
	}
	b.write(".leyden/run/backup.json", string(data), 0o600)
}

func TestBackup(t *testing.T) {
	disk := want{Warn, "same disk"} // all of a test is
	checked{
		"ok/no node": {func(*bench) {}, nil},
		"ok/stopped": {func(b *bench) { b.backup(now) }, []want{{OK, "is whole"}, {Info, "only a trial proves"}, disk}},
		"ok/followed": {func(b *bench) { b.backup(now.AddDate(-1, 0, 0)); b.follows(now, "") },
			[]want{{OK, "is whole"}, {Info, "only a trial proves"}, disk}},
		"ok/just started": {func(b *bench) { b.backup(now); b.runs(aNode, running{State: "active"}) },
			[]want{{OK, "is whole"}, {Info, "only a trial proves"}, disk}},
		"fail/never seen": {func(b *bench) {
			b.backup(now)
			b.runs(aNode, running{State: "active"})
			b.Now = time.Now().Add(backupLate + time.Hour)
		}, []want{{Warn, "for a while"}, disk}},
		"fail/restoring": {func(b *bench) { b.backup(now); b.write(".leyden/node/leyden-restore.json", "{}", 0o600) }, []want{{Warn, "is to be restored"}, disk}},
		"ok/restoring": {func(b *bench) {
			b.backup(now)
			b.write(".leyden/node/leyden-restore.json", "{}", 0o600)
			b.runs(aNode, running{State: "active"})
		}, []want{{Info, "is being restored"}, disk}},
		"fail/none":      {func(b *bench) { b.made("standalone", "mainnet", "") }, []want{{Warn, "no second copy"}}},
		"fail/no money":  {func(b *bench) { b.made("standalone", "regtest", "") }, []want{{Info, "no second copy"}}},
		"fail/old":       {func(b *bench) { b.backup(now.Add(-backupOld - time.Hour)) }, []want{{Warn, "is of 2026-10-22"}, disk}},
		"fail/late":      {func(b *bench) { b.backup(now); b.follows(now.Add(-backupLate-time.Minute), "") }, []want{{Warn, "for a while"}, disk}},
		"fail/wrong":     {func(b *bench) { b.backup(now); b.follows(now, "disk full") }, []want{{Fail, "disk full"}, disk}},
		"fail/damaged":   {func(b *bench) { b.backup(now); b.write("copies/channel.backup", "x", 0o600) }, []want{{Fail, "not well"}, disk}},
		"fail/gone":      {func(b *bench) { os.RemoveAll(b.backup(now)) }, []want{{Fail, "not well"}}},
		"fail/no ledger": {func(b *bench) { b.backup(now); b.accounts() }, []want{{Warn, "no copy of the accounts"}, disk}},
		"fail/malformed": {func(b *bench) { b.backup(now); b.write(".leyden/node/leyden-backup.yaml", "x: 1\n", 0o600) }, []want{{Fail, "cannot be understood"}}},
	}.run(t, checkBackup)
}

func TestBaked(t *testing.T) {
	soon, past := now.Add(time.Hour), now.Add(-time.Hour)
	records := func(all ...bakery.Record) func(*bench) {
		return func(b *bench) {
			for i, r := range all {
				r.RootKeyID = uint64(i + 7)
				data, err := json.Marshal(r)
				if err != nil {
					b.Fatal(err)
				}
				b.write(fmt.Sprintf(".leyden/bakery/%d.json", r.RootKeyID), string(data), 0o600)
			}
		}
	}
	checked{
		"ok/none":          {func(*bench) {}, nil},
		"ok/expires":       {records(bakery.Record{Made: now, Expires: &soon}), []want{{OK, "1 baked macaroons"}}},
		"fail/for ever":    {records(bakery.Record{Made: now, File: "/a"}, bakery.Record{Made: now, File: "/b"}), []want{{Info, "2 baked macaroons never expire: /a; /b"}}},
		"fail/expired":     {records(bakery.Record{Made: past, Expires: &past, File: "/a"}), []want{{Info, "has expired"}}},
		"fail/old":         {records(bakery.Record{Made: now.AddDate(-2, 0, 0), File: "/a"}), []want{{Info, "is 730 days old"}}},
		"fail/still alive": {records(bakery.Record{Made: now, Replaces: 3, File: "/a"}), []want{{Fail, "still works"}}},
		"fail/malformed":   {func(b *bench) { b.write(".leyden/bakery/7.json", "x", 0o600) }, []want{{Fail, "records of baked macaroons"}}},
	}.run(t, checkBaked)
}
