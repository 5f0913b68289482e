package backup

import (
	"context"
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

// ledgerKeeper copies the ledger of a home when it has changed.
type ledgerKeeper struct {
	home   config.Home
	folder Folder
	head   int64     // number of the last entry of the journal in the copy
	when   time.Time // of the copy
}

// keepChanged copies a ledger that has changed, once the last copy is old enough.
func (k *ledgerKeeper) keepChanged(ctx context.Context, to Folder, o Owner) error {
	if k.folder == to && time.Since(k.when) < ledgerEvery {
		return nil
	}
	return k.keep(ctx, to, o)
}

// keep copies the ledger, unless the copy is of the same.
func (k *ledgerKeeper) keep(ctx context.Context, to Folder, o Owner) error {
	return guardpost.Offline(ctx, k.home.Guard(), func(_ string, l *account.Ledger) error {
		last, err := l.Journal().List(ctx, audit.Query{Limit: 1, Newest: true})
		if err != nil {
			return err
		}
		var head int64
		if len(last) > 0 {
			head = last[0].Seq
		}
		if k.folder == to && k.head == head {
			return nil
		}
		if err := to.keepLedger(ctx, k.home, l, o); err != nil {
			return err
		}
		k.folder, k.head, k.when = to, head, time.Now()
		return nil
	})
}

// keepLedger makes a copy of the ledger, as it is at one moment, the folder's. It is
// made in the home first: SQLite must not be let loose on a folder that may be far
// away.
func (f Folder) keepLedger(ctx context.Context, h config.Home, l *account.Ledger, o Owner) error {
	m, err := f.manifest()
	if err != nil {
		return err
	}
	if m.Node != o.Key {
		return fault.New(CodeOtherNode, "choose another folder", "the backup in %q is of node %s", string(f), m.Node)
	}
	temp, err := os.MkdirTemp(h.Guard(), "backup-")
	if err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "copy the ledger: %w", err)
	}
	defer os.RemoveAll(temp)
	path := filepath.Join(temp, LedgerFile)
	if err := l.CopyTo(ctx, path); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "copy the ledger: %w", err)
	}
	m.Ledger = f.prepend(LedgerFile, m.Ledger, copyOf(data, time.Now()))
	return f.replace(m, LedgerFile, data)
}

// Books are what the copy of a ledger holds.
type Books struct {
	Accounts uint64    `json:"accounts"`
	Time     time.Time `json:"time"`
}

// CheckLedger recomputes the folder's copy of the ledger. Nil without one. Code:
// backup_unusable.
func (f Folder) CheckLedger(ctx context.Context, b *Backup) (books *Books, err error) {
	if b.Ledger == nil {
		return nil, nil
	}
	temp, err := os.MkdirTemp("", "leyden-trial-")
	if err != nil {
		return nil, fault.New("write_failed", "check TMPDIR", "folder for a copy of the ledger: %w", err)
	}
	defer os.RemoveAll(temp)
	data, _, err := f.intact(LedgerFile, []Copy{*b.Ledger})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(temp, LedgerFile)
	if err := files.Write(path, data, 0o600); err != nil {
		return nil, err
	}
	l, err := account.View(ctx, path, nil)
	if err != nil {
		return nil, fault.New(CodeFailed, hintDamaged, "the copy of the ledger: %w", err)
	}
	defer l.Close()
	found, err := l.Check(ctx)
	if err == nil && len(found.Faults) > 0 {
		err = fault.New(CodeFailed, "leyden accounts check", "the copy of the ledger is not consistent: %s", found.Faults[0])
	}
	return &Books{Accounts: found.Accounts, Time: b.Ledger.Time}, err
}
