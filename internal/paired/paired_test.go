package paired

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/lnc"
)

func newSession(t testing.TB, phrase lnc.Phrase) Session {
	t.Helper()
	s := New(phrase)
	s.Mailbox, s.Node, s.Network = "relay.example:443", "02ab", "regtest"
	s.Identity = lnc.Identity{Static: newKey(t), Remote: newKey(t).PubKey()}
	return s
}

func newKey(t testing.TB) *btcec.PrivateKey {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestFolder(t *testing.T) {
	folder := Folder(filepath.Join(t.TempDir(), "a", "lnc"))
	if _, err := folder.Load(""); fault.Code(err) != CodeNone {
		t.Errorf("nothing is there: %v", err)
	}
	phrases := []lnc.Phrase{lnc.NewPhrase(), lnc.NewPhrase()}
	var kept []Session
	for i, phrase := range phrases {
		s := newSession(t, phrase)
		s.Created = s.Created.Add(time.Duration(-i) * time.Hour)
		if err := folder.Save(s); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, s)
	}
	last, err := folder.Load("")
	if err != nil || last.ID() != kept[0].ID() {
		t.Errorf("the last is %q, %v; want %q", last.ID(), err, kept[0].ID())
	}
	got, found, err := folder.Find(phrases[1])
	if err != nil || !found || got.Phrase != phrases[1] || got.Node != "02ab" || got.Network != "regtest" ||
		got.Mailbox != "relay.example:443" || !got.Created.Equal(kept[1].Created) ||
		got.Identity.Static.Key != kept[1].Identity.Static.Key || !got.Identity.Remote.IsEqual(kept[1].Identity.Remote) {
		t.Errorf("found %+v, %v, %v", got, found, err)
	}
	if _, found, err := folder.Find(lnc.NewPhrase()); found || err != nil {
		t.Errorf("other words: %v, %v", found, err)
	}

	other := newSession(t, lnc.NewPhrase())
	other.Identity = kept[0].Identity
	if err := folder.Save(other); fault.Code(err) != CodeCorrupt {
		t.Errorf("another session takes its place: %v", err)
	}
	for _, id := range []string{"00000000", "../../x", "XX", kept[0].ID()[:7]} {
		if _, err := folder.Load(id); fault.Code(err) != CodeNone {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := folder.Remove(kept[0].ID()); err != nil {
		t.Fatal(err)
	}
	if all, err := folder.All(); err != nil || len(all) != 1 || all[0].ID() != kept[1].ID() {
		t.Errorf("left: %d, %v", len(all), err)
	}
}

// TestDialerKeeps: what must outlive the process is in the file before the
// handshake goes on, and the words no longer than they are needed.
func TestDialerKeeps(t *testing.T) {
	folder, phrase := Folder(t.TempDir()), lnc.NewPhrase()
	s := New(phrase)
	d := folder.Dialer(&s)
	identity := lnc.Identity{Static: newKey(t), Remote: newKey(t).PubKey()}
	for _, confirmed := range []bool{false, true} {
		identity.Confirmed = confirmed
		if err := d.Persist(identity); err != nil {
			t.Fatal(err)
		}
		got, err := folder.Load(s.ID())
		if err != nil || got.Identity.Confirmed != confirmed || got.Phrase.IsZero() != confirmed {
			t.Errorf("confirmed %v: %+v, %v", confirmed, got, err)
		}
	}
	if _, found, err := folder.Find(phrase); !found || err != nil {
		t.Errorf("its words do not name it any more: %v", err)
	}
	full := Folder(filepath.Join(t.TempDir(), "file"))
	if err := os.WriteFile(string(full), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again := New(phrase)
	if err := full.Dialer(&again).Persist(identity); err == nil || again.ID() != "" {
		t.Errorf("nothing was kept, and it is %q: %v", again.ID(), err)
	}
}

func TestLockTakesTurns(t *testing.T) {
	folder := Folder(t.TempDir())
	unlock, err := folder.Lock(t.Context(), "01020304")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := folder.Lock(ctx, "01020304"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two have it: %v", err)
	}
	unlock()
	again, err := folder.Lock(t.Context(), "01020304")
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestDamage(t *testing.T) {
	s := newSession(t, lnc.NewPhrase())
	whole, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	other := newSession(t, lnc.NewPhrase())
	another, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"fail/empty":   "",
		"fail/half":    string(whole[:len(whole)/2]),
		"fail/keys":    strings.Replace(string(whole), `"keys":"01`, `"keys":"02`, 1),
		"fail/odd":     strings.Replace(string(whole), `"keys":"01`, `"keys":"1`, 1),
		"fail/phrase":  strings.Replace(string(whole), `"phrase":"`, `"phrase":"00`, 1),
		"fail/another": string(another),
	} {
		t.Run(name, func(t *testing.T) {
			folder := Folder(t.TempDir())
			if err := os.WriteFile(folder.path(s.ID()), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := folder.Load(s.ID())
			if fault.Code(err) != CodeCorrupt || !strings.Contains(err.Error(), folder.path(s.ID())) {
				t.Fatalf("%v", err)
			}
			if key := fmt.Sprintf("%x", s.Identity.Static.Serialize()); strings.Contains(err.Error(), key) {
				t.Error("the error says the key")
			}
		})
	}
}

func FuzzSession(f *testing.F) {
	whole, err := json.Marshal(newSession(f, lnc.NewPhrase()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"keys":""}`))
	f.Add([]byte(`{"keys":"01","phrase":5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Session
		if json.Unmarshal(data, &s) != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var same Session
		if err := json.Unmarshal(again, &same); err != nil || same.ID() != s.ID() || same.Phrase != s.Phrase {
			t.Fatalf("%s became %s, %v", data, again, err)
		}
	})
}
