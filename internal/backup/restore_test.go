package backup

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/guardpost"
)

func TestRestoreEach(t *testing.T) {
	channels := []string{"a", "b", "c"}
	for name, c := range map[string]struct {
		multi []byte
		code  string
	}{
		"ok/one at a time":             {pack(channels...), ""},
		"fail/one is missing":          {pack("a", "b"), CodeFailed},
		"fail/nothing can be restored": {[]byte("garbled"), CodeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			if err := restoreEach(t.Context(), &fakeLnd{}, c.multi, channels); fault.Code(err) != c.code {
				t.Errorf("code %q, want %q: %v", fault.Code(err), c.code, err)
			}
		})
	}
}

// newHome is a home whose node has been made and has not run.
func newHome(t *testing.T) config.Home {
	t.Helper()
	h := config.Home(t.TempDir())
	for _, dir := range []string{h.Node(), h.Run(), h.Guard()} {
		if err := files.MkdirPrivate(dir); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// withAccount makes an account in the home's ledger.
func withAccount(t *testing.T, h config.Home) {
	t.Helper()
	l, err := account.Open(t.Context(), h.Guard()+"/guard.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	label := "agent"
	if list, err := l.List(t.Context()); err != nil || len(list) > 0 {
		label = fmt.Sprintf("agent %d", len(list)+1)
	}
	if _, err := l.Create(t.Context(), audit.Actor{Kind: "operator", Via: "test"}, account.New{Label: label, Balance: 5000}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// lostNode is the folder of a node with a ledger that has one account.
func lostNode(t *testing.T) Folder {
	t.Helper()
	h := newHome(t)
	withAccount(t, h)
	f := begun(t, "a", "b")
	k := ledgerKeeper{home: h}
	if err := k.keep(t.Context(), f, alice); err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, f Folder) *Backup {
	t.Helper()
	b, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRestore(t *testing.T) {
	f, h := lostNode(t), newHome(t)
	b := read(t, f)
	if books, err := f.CheckLedger(t.Context(), b); err != nil || books.Accounts != 1 {
		t.Fatalf("%+v, %v", books, err)
	}
	for range 2 { // again, as after a restore that was cut short before the ledger
		if err := os.RemoveAll(h.Guard()); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), h, f, b, true); err != nil {
			t.Fatal(err)
		}
	}
	err := guardpost.Offline(t.Context(), h.Guard(), func(_ string, l *account.Ledger) error {
		list, err := l.List(t.Context())
		if err != nil || len(list) != 1 || list[0].Label != "agent" {
			t.Errorf("%+v, %v", list, err)
		}
		if frozen, err := l.FrozenAll(t.Context()); err != nil || !frozen {
			t.Errorf("frozen: %t, %v", frozen, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), h, f, b, true); fault.Code(err) != "accounts_exist" {
		t.Errorf("over accounts: %v", err)
	}
	if _, err := Restore(t.Context(), h, f, b, false); err != nil {
		t.Errorf("the channels alone: %v", err)
	}
}

func TestHandOver(t *testing.T) {
	f, h := lostNode(t), newHome(t)
	if _, err := Restore(t.Context(), h, f, read(t, f), false); err != nil {
		t.Fatal(err)
	}
	follower := NewFollower(h, "regtest", slog.New(slog.DiscardHandler))
	waits := func() bool {
		s, err := StatusOf(h, os.Getpid())
		return err == nil && s.Restoring
	}
	if err := follower.restore(t.Context(), &fakeLnd{}, Owner{Network: "regtest", Key: "02bb"}); fault.Code(err) != CodeOtherNode || !waits() {
		t.Errorf("to another node: %v", err)
	}
	if err := follower.restore(t.Context(), &fakeLnd{away: errors.New("no peer")}, alice); fault.Code(err) != CodeRefused || !waits() {
		t.Errorf("in vain: %v", err)
	}
	ln := &fakeLnd{restored: []string{"a", "b"}}
	if err := follower.restore(t.Context(), ln, alice); err != nil || waits() || !ln.stopped {
		t.Errorf("%v, started again: %t", err, ln.stopped)
	}
	if s, err := StatusOf(h, os.Getpid()); err != nil || s.Restored != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestStatus(t *testing.T) {
	h := newHome(t)
	if _, err := StatusOf(h, 0); fault.Code(err) != CodeNoFolder {
		t.Errorf("without a folder: %v", err)
	}
	f := begun(t, "a", "b")
	if err := Remember(h, f); err != nil {
		t.Fatal(err)
	}
	s, err := StatusOf(h, 0)
	if err != nil || !s.OK || s.Channels != 2 || s.Following || s.To != string(f) {
		t.Errorf("%+v, %v", s, err)
	}
	follower := NewFollower(h, "regtest", slog.New(slog.DiscardHandler))
	follower.tell(fault.New(CodeLoses, "", "x"))
	if s, err = StatusOf(h, os.Getpid()); err != nil || s.OK || s.Code != CodeLoses || !s.Following {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = StatusOf(h, os.Getpid()+1); err != nil || !s.OK {
		t.Errorf("of an earlier run: %+v, %v", s, err)
	}
	if s, err = StatusOf(h, 0); err != nil || s.OK || s.Code != CodeLoses || s.Following {
		t.Errorf("of the last run: %+v, %v", s, err)
	}
	follower.tell(nil)
	if s, err = StatusOf(h, os.Getpid()); err != nil || !s.OK || s.Checked == nil {
		t.Errorf("%+v, %v", s, err)
	}
	spoil(ChannelsFile, "x")(t, f)
	if s, err = StatusOf(h, os.Getpid()); err != nil || s.OK || s.Code != CodeDamaged {
		t.Errorf("%+v, %v", s, err)
	}
	if err := Forget(h); err != nil {
		t.Fatal(err)
	}
	if _, err := To(h); fault.Code(err) != CodeNoFolder {
		t.Errorf("%v", err)
	}
}
