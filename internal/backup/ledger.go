package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/guardpost"
)

// ledgerEvery is the least time from one copy of the ledger to the next, but for
// changes of channels.
const ledgerEvery = 5 * time.Minute

// tempDir is where a copy is made, in the ledger's own folder.
const tempDir = "backup-copy"

// ledgerKeeper copies the ledger of a home when it has changed.
type ledgerKeeper struct {
	home   config.Home
	folder Folder
	when   time.Time // of the copy
}

// keepChanged copies a ledger that has changed, once the last copy is old enough or
// not whole any more.
func (k *ledgerKeeper) keepChanged(ctx context.Context, to Folder, o Owner) error {
	if k.folder == to && time.Since(k.when) < ledgerEvery {
		m, err := to.manifest()
		if err != nil {
			return err
		}
		if _, _, err := to.intact(LedgerFile, m.Ledger); err == nil {
			return nil
		}
	}
	return k.keep(ctx, to, o)
}

// keep copies the ledger, unless the copy is of the same.
func (k *ledgerKeeper) keep(ctx context.Context, to Folder, o Owner) error {
	return guardpost.Offline(ctx, k.home.Guard(), func(_ string, l *account.Ledger) error {
		if err := to.keepLedger(ctx, k.home, l, o); err != nil {
			return err
		}
		k.folder, k.when = to, time.Now()
		return nil
	})
}

// keepLedger makes a copy of the ledger, as it is at one moment, the folder's, unless
// that is of the same. It is made in the home first: SQLite must not be let loose on a
// folder that may be far away.
func (f Folder) keepLedger(ctx context.Context, h config.Home, l *account.Ledger, o Owner) error {
	m, err := f.manifest()
	if err != nil {
		return err
	}
	if m.Node != o.Key {
		return fault.New(CodeOtherNode, "choose another folder", "the backup in %q is of node %s", string(f), m.Node)
	}
	temp := filepath.Join(h.Guard(), tempDir)
	err = os.RemoveAll(temp) // a copy that was cut short
	if err == nil {
		err = os.Mkdir(temp, 0o700)
	}
	if err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "copy the ledger: %w", err)
	}
	defer os.RemoveAll(temp)
	same, err := f.continues(ctx, m, l, temp)
	if err != nil || same {
		return err
	}
	path := filepath.Join(temp, LedgerFile)
	if err := l.CopyTo(ctx, path); err != nil {
		return err
	}
	head, err := headIn(ctx, path)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "copy the ledger: %w", err)
	}
	c := copyOf(data, time.Now())
	c.Head = head.String()
	m.Ledger = f.prepend(LedgerFile, m.Ledger, c)
	return f.replace(m, LedgerFile, data)
}

// continues refuses a ledger whose journal does not go on from that of the copy: it is
// a new one, or an older one, and the copy is all that is left of what it lacks. same
// says that the copy is whole and of this very ledger.
func (f Folder) continues(ctx context.Context, m Manifest, l *account.Ledger, temp string) (same bool, err error) {
	was, whole, err := f.ledgerHead(ctx, m, temp)
	if err != nil || was.Seq == 0 {
		return false, err
	}
	entries, err := l.Journal().List(ctx, audit.Query{After: was.Seq - 1, Limit: 2})
	if err != nil {
		return false, err
	}
	if len(entries) == 0 || entries[0].Seq != was.Seq || entries[0].Hash != was.Hash {
		return false, fault.New(CodeLoses, "leyden node backup follow --to another folder; the accounts come back with leyden node backup restore",
			"the accounts of this node do not go on from the copy in %q, whose journal has %d entries", string(f), was.Seq)
	}
	return whole && len(entries) == 1, nil
}

// ledgerHead is the end of the journal in the copy that is there, the zero Head if
// there is none; whole says that it is what was written. What a damaged copy was, the
// manifest says, and where that is, the file.
func (f Folder) ledgerHead(ctx context.Context, m Manifest, temp string) (head audit.Head, whole bool, err error) {
	_, c, err := f.intact(LedgerFile, m.Ledger)
	if whole = err == nil; !whole && len(m.Ledger) > 0 {
		c = m.Ledger[0]
	}
	if c.Head != "" {
		if head, err = audit.ParseHead(c.Head); err != nil {
			err = fault.New(CodeDamaged, "move it away, or choose another folder", "%q: %w", f.path(ManifestFile), err)
		}
		return head, whole, err
	}
	data, err := os.ReadFile(f.path(LedgerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Head{}, false, nil
	}
	path := filepath.Join(temp, "before.db")
	if err == nil {
		err = files.Write(path, data, 0o600)
	}
	if err == nil {
		head, err = headIn(ctx, path)
	}
	if err != nil {
		err = fault.New(CodeDamaged, "move it away, or choose another folder",
			"%q is there already, and is no copy of accounts: %w", f.path(LedgerFile), err)
	}
	return head, false, err
}

// headIn is the end of the journal in a ledger that nobody uses.
func headIn(ctx context.Context, path string) (head audit.Head, err error) {
	l, err := account.View(ctx, path, nil)
	if err != nil {
		return head, err
	}
	defer l.Close()
	last, err := l.Journal().List(ctx, audit.Query{Limit: 1, Newest: true})
	if err == nil && len(last) > 0 {
		head = audit.Head{Seq: last[0].Seq, Hash: last[0].Hash}
	}
	return head, err
}
