package backup

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

// TestLedgerOfALiveNode: a copy is made beside a process that writes, and only when
// there is something new.
func TestLedgerOfALiveNode(t *testing.T) {
	h := newHome(t)
	withAccount(t, h)
	l, err := account.Open(t.Context(), h.Guard()+"/guard.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, k := begun(t, "a"), ledgerKeeper{home: h}
	left := filepath.Join(h.Guard(), tempDir)
	if err := os.Mkdir(left, 0o700); err != nil { // by one that was killed
		t.Fatal(err)
	}
	spoil(LedgerFile, "half of")(t, Folder(left))
	copies := func() int {
		if err := k.keep(context.Background(), f, alice); err != nil {
			t.Fatal(err)
		}
		m, err := f.manifest()
		if err != nil {
			t.Fatal(err)
		}
		return len(m.Ledger)
	}
	if got := []int{copies(), copies()}; !slices.Equal(got, []int{1, 1}) {
		t.Errorf("copies %v", got)
	}
	if _, err := l.Create(t.Context(), audit.Actor{Kind: "operator", Via: "test"}, account.New{Label: "second", Balance: 1000}); err != nil {
		t.Fatal(err)
	}
	if got := copies(); got != 2 {
		t.Errorf("%d copies after a change", got)
	}
	books, err := f.CheckLedger(t.Context(), read(t, f))
	if err != nil || books.Accounts != 2 {
		t.Errorf("%+v, %v", books, err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("a copy is left in the home")
	}
}

// TestLedgerUnderLoad: every copy that is made while others write is consistent, and
// goes on from the one before.
func TestLedgerUnderLoad(t *testing.T) {
	h := newHome(t)
	withAccount(t, h)
	l, err := account.Open(t.Context(), filepath.Join(h.Guard(), LedgerFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	list, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.Credit(t.Context(), audit.Actor{Kind: "operator", Via: "test"}, list[0].ID, 1, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	f, k := begun(t, "a"), ledgerKeeper{home: h}
	for range 5 {
		if err := k.keep(t.Context(), f, alice); err != nil {
			t.Fatal(err)
		}
		if books, err := f.CheckLedger(t.Context(), read(t, f)); err != nil || books.Accounts != 1 {
			t.Fatalf("%+v, %v", books, err)
		}
	}
}

// TestLedgerIsNotLost: the copy is replaced only by a ledger that goes on from it.
func TestLedgerIsNotLost(t *testing.T) {
	other := func(t *testing.T, _ Folder, h config.Home) {
		remove(LedgerFile)(t, Folder(h.Guard()))
		withAccount(t, h)
	}
	for name, c := range map[string]struct {
		change func(*testing.T, Folder, config.Home)
		spoil  func(*testing.T, Folder)
		code   string
	}{
		"ok/nothing new":           {},
		"ok/more":                  {change: func(t *testing.T, _ Folder, h config.Home) { withAccount(t, h) }},
		"ok/restored":              {change: restored},
		"ok/the copy is damaged":   {spoil: spoil(LedgerFile, "x")},
		"ok/the copy is gone":      {spoil: remove(LedgerFile)},
		"ok/the manifest lacks it": {spoil: forgetLedger},
		"fail/another":             {change: other, code: CodeLoses},
		"fail/another, copy gone":  {change: other, spoil: remove(LedgerFile), code: CodeLoses},
		"fail/another, not in it":  {change: other, spoil: forgetLedger, code: CodeLoses},
		"fail/an older one":        {change: older, code: CodeLoses},
		"fail/an empty one":        {change: empty, code: CodeLoses},
		"fail/not ours, no copy":   {spoil: both(forgetLedger, spoil(LedgerFile, "somebody else's")), code: CodeDamaged},
		"fail/manifest with rubbish": {spoil: func(t *testing.T, f Folder) {
			m, err := f.manifest()
			if err != nil {
				t.Fatal(err)
			}
			m.Ledger[0].Head = "x"
			if err := f.write(m); err != nil {
				t.Fatal(err)
			}
		}, code: CodeDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			withAccount(t, h)
			f := begun(t, "a")
			if err := (&ledgerKeeper{home: h}).keep(t.Context(), f, alice); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(t, f, h)
			}
			if c.spoil != nil {
				c.spoil(t, f)
			}
			before, _ := os.ReadFile(f.path(LedgerFile)) // may be gone
			err := (&ledgerKeeper{home: h}).keep(t.Context(), f, alice)
			if fault.Code(err) != c.code {
				t.Fatalf("code %q, want %q: %v", fault.Code(err), c.code, err)
			}
			after, _ := os.ReadFile(f.path(LedgerFile))
			if c.code != "" {
				if !slices.Equal(before, after) {
					t.Error("the copy was replaced")
				}
				return
			}
			if b := read(t, f); b.Ledger == nil || b.LedgerFault != nil || b.Cut != "" {
				t.Errorf("%+v", b)
			}
		})
	}
}

// restored puts the copy in the place of the home's ledger.
func restored(t *testing.T, f Folder, h config.Home) {
	if err := os.RemoveAll(h.Guard()); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), h, f, read(t, f), true); err != nil {
		t.Fatal(err)
	}
}

// older makes a copy of more than the home's ledger has afterwards.
func older(t *testing.T, f Folder, h config.Home) {
	path := filepath.Join(h.Guard(), LedgerFile)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	withAccount(t, h)
	if err := (&ledgerKeeper{home: h}).keep(t.Context(), f, alice); err != nil {
		t.Fatal(err)
	}
	spoil(LedgerFile, string(old))(t, Folder(h.Guard()))
}

// empty begins the home's ledger anew.
func empty(t *testing.T, _ Folder, h config.Home) {
	remove(LedgerFile)(t, Folder(h.Guard()))
	l, err := account.Open(t.Context(), filepath.Join(h.Guard(), LedgerFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// forgetLedger takes the ledger out of the manifest, as one does that was damaged and
// made anew.
func forgetLedger(t *testing.T, f Folder) {
	m, err := f.manifest()
	if err != nil {
		t.Fatal(err)
	}
	m.Ledger = nil
	if err := f.write(m); err != nil {
		t.Fatal(err)
	}
}

func both(one, two func(*testing.T, Folder)) func(*testing.T, Folder) {
	return func(t *testing.T, f Folder) {
		one(t, f)
		two(t, f)
	}
}

// TestLedgerIsLookedFor: a copy that was made a moment ago and is gone is made again
// though nothing has changed.
func TestLedgerIsLookedFor(t *testing.T) {
	h := newHome(t)
	withAccount(t, h)
	f, k := begun(t, "a"), ledgerKeeper{home: h}
	for name, harm := range map[string]func(*testing.T, Folder){
		"gone": remove(LedgerFile), "damaged": spoil(LedgerFile, "x"), "of another time": forgetLedger,
	} {
		if err := k.keepChanged(t.Context(), f, alice); err != nil {
			t.Fatal(err)
		}
		harm(t, f)
		if err := k.keepChanged(t.Context(), f, alice); err != nil {
			t.Fatal(err)
		}
		if b := read(t, f); b.Ledger == nil || b.LedgerFault != nil {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

// TestRestoreWithoutTheLedger: a damaged copy of the accounts does not keep the
// channels from being restored.
func TestRestoreWithoutTheLedger(t *testing.T) {
	f, h := lostNode(t), newHome(t)
	spoil(LedgerFile, "x")(t, f)
	b := read(t, f)
	if _, err := f.CheckLedger(t.Context(), b); fault.Code(err) != CodeDamaged {
		t.Errorf("checked: %v", err)
	}
	if err := Remember(h, f); err != nil {
		t.Fatal(err)
	}
	if s, err := StatusOf(h, 0); err != nil || s.OK || s.Code != CodeDamaged || s.Channels != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Restore(t.Context(), h, f, b, true); fault.Code(err) != CodeDamaged {
		t.Errorf("with the accounts: %v", err)
	}
	if s, err := StatusOf(h, 0); err != nil || s.Restoring {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Restore(t.Context(), h, f, b, false); err != nil {
		t.Errorf("the channels alone: %v", err)
	}
}
