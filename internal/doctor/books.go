package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/daemon"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/guardpost"
	"github.com/leydenln/leyden/internal/store"
)

// maxCopied is the largest ledger that is copied to be read, in bytes.
const maxCopied = 256 << 20

// errLeftAlone is in the chain of errors of books that were not looked at.
var errLeftAlone = errors.New("left alone")

// ledger opens the books for reading. Only their owner does: what another user
// leaves beside them would be in the owner's way. is is false where there are none.
func (e *Env) ledger(ctx context.Context, read func(*account.Ledger) error) (is bool, err error) {
	info, err := os.Stat(ledgerFile(e.Home.Guard()))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && owner(info) != e.Self.UID {
		err = fmt.Errorf("%w: only the owner of the accounts opens them", errLeftAlone)
	}
	if err != nil {
		return true, err
	}
	dir, done, err := quiet(e.Home.Guard(), info.Size())
	if err != nil {
		return true, err
	}
	defer done()
	return true, guardpost.Offline(ctx, dir, func(_ string, l *account.Ledger) error { return read(l) })
}

func ledgerFile(dir string) string { return filepath.Join(dir, "guard.db") }

// quiet returns a folder in which the books can be read without a trace. SQLite
// makes files beside a database that nobody uses, so that is a copy of it, with
// what a process that was killed has left in the log beside it.
func quiet(dir string, size int64) (at string, done func(), err error) {
	inUse := func() bool { _, on := daemon.Running(filepath.Join(dir, "guard.lock")); return on }
	if inUse() {
		return dir, func() {}, nil
	}
	if size > maxCopied {
		return "", nil, fmt.Errorf("%w: they are too large to be copied, and no node runs: leyden accounts check reads them in their place", errLeftAlone)
	}
	if at, err = os.MkdirTemp("", "leyden-doctor-"); err != nil {
		return "", nil, fmt.Errorf("%w: %w", errLeftAlone, err)
	}
	done = func() { os.RemoveAll(at) }
	for _, end := range []string{"", "-wal"} {
		data, readErr := os.ReadFile(ledgerFile(dir) + end)
		if readErr == nil {
			err = errors.Join(err, files.Write(ledgerFile(at)+end, data, 0o600))
		} else if end == "" || !errors.Is(readErr, fs.ErrNotExist) {
			err = errors.Join(err, readErr)
		}
	}
	if err == nil && inUse() {
		err = errors.New("a node was started meanwhile: look again")
	}
	if err != nil {
		done()
		return "", nil, fmt.Errorf("%w: %w", errLeftAlone, err)
	}
	return at, done, nil
}

// notRead is the finding of books that could not be read. Those of an older version
// are brought up to date by the next start.
func (e *Env) notRead(err error) Finding {
	switch {
	case fault.Code(err) == store.CodeOlder:
		return unseen("leyden node start --detach", "the accounts' books are of an older version: %v", err)
	case errors.Is(err, errLeftAlone), errors.Is(err, fs.ErrPermission), errors.Is(err, context.DeadlineExceeded):
		return unseen(e.asOperator(), "cannot read the accounts' books: %v", err)
	}
	return fail(fault.Hint(err), "the accounts' books cannot be read, so that the guard lets nobody pay: %v", err)
}

// checkAccounts looks at the limits of every account.
func checkAccounts(ctx context.Context, e *Env) (found []Finding) {
	var accounts []account.Account
	is, err := e.ledger(ctx, func(l *account.Ledger) (err error) {
		accounts, err = l.List(ctx)
		return err
	})
	switch {
	case !is:
		return nil
	case err != nil:
		return []Finding{unseen(e.notRead(err).Fix, "cannot read the accounts: %v", err)} // checkBooks says how bad that is
	case len(accounts) == 0:
		return []Finding{info("leyden accounts create BALANCE --save_to FILE", "there are no accounts: nothing holds an agent to a limit")}
	}
	return append(judgeAccounts(accounts), e.backed(ctx, accounts)...)
}

// judgeAccounts says what bounds each account beside its balance.
func judgeAccounts(accounts []account.Account) (found []Finding) {
	var everybody, forever, frozen []string
	for _, a := range accounts {
		name, l := a.Label, a.Limits
		if name == "" {
			name = a.ID.String()
		}
		if l.MaxPayment == 0 && l.Hour+l.Day+l.Week+l.Month == 0 {
			found = append(found, warn("leyden accounts limits "+name+" --max-payment SAT --limit-day SAT",
				"account %s may spend its whole balance of %d sat in one payment: it has no limit", name, uint64(a.Balance)/1000))
		}
		if len(l.AllowPayees)+len(l.DenyPayees) == 0 {
			everybody = append(everybody, name)
		}
		if a.Expires.IsZero() {
			forever = append(forever, name)
		}
		if a.Frozen {
			frozen = append(frozen, name)
		}
	}
	if len(found) == 0 {
		found = append(found, ok("all %d accounts have a limit beside their balance", len(accounts)))
	}
	for _, of := range []struct {
		names     []string
		what, fix string
	}{
		{everybody, "may pay everybody", "leyden accounts limits ACCOUNT --allow-payee PUBKEY"},
		{forever, "never expire", "leyden accounts update ACCOUNT EXPIRATION"},
		{frozen, "are frozen", "leyden thaw ACCOUNT"},
	} {
		if len(of.names) > 0 {
			found = append(found, info(of.fix, "%d accounts %s: %s", len(of.names), of.what, few(of.names)))
		}
	}
	return found
}

// backed compares what accounts may spend with what there is: lnd's accounts do
// not.
func (e *Env) backed(ctx context.Context, accounts []account.Account) []Finding {
	live := e.ask(ctx)
	if live.info == nil || live.err != nil {
		return nil
	}
	var sum uint64
	for _, a := range accounts {
		sum += uint64(a.Balance)
	}
	if have := uint64(max(live.inChannel, 0)) * 1000; sum > have {
		return []Finding{warn("leyden accounts check", "the accounts have %d sat together, the node has %d in channels: not all of them can spend", sum/1000, have/1000)}
	}
	return []Finding{ok("the node has in channels what the accounts have, %d sat", sum/1000)}
}

// checkBooks recomputes the books and the journal's chain.
func checkBooks(ctx context.Context, e *Env) (found []Finding) {
	var report account.Report
	var broken []string
	is, err := e.ledger(ctx, func(l *account.Ledger) (err error) {
		if report, err = l.Check(ctx); err != nil {
			return err
		}
		_, broken, err = l.Journal().Verify(ctx)
		return err
	})
	switch {
	case !is:
		return nil
	case err != nil:
		return []Finding{e.notRead(err)}
	}
	if len(report.Faults) > 0 {
		found = append(found, fail("leyden freeze, then leyden accounts check", "the accounts' books are not consistent: %s", few(report.Faults)))
	}
	if len(broken) > 0 {
		found = append(found, fail("leyden audit verify", "the journal was altered: %s", few(broken)))
	}
	for _, w := range report.Warnings {
		found = append(found, warn("leyden accounts check", "%s", w))
	}
	if len(found) == 0 {
		found = append(found, ok("the accounts' books are consistent, and the journal is whole"))
	}
	return found
}

// few joins the first of many.
func few(list []string) string {
	const most = 3
	if len(list) > most {
		list = append(list[:most:most], "…")
	}
	return strings.Join(list, "; ")
}
