package lnc

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIdentityIsKept(t *testing.T) {
	static, remote := newKey(t), newKey(t)
	for name, want := range map[string]Identity{
		"ok/before":    {Static: static},
		"ok/paired":    {Static: static, Remote: remote.PubKey()},
		"ok/confirmed": {Static: static, Remote: remote.PubKey(), Confirmed: true},
	} {
		t.Run(name, func(t *testing.T) {
			kept, err := EncodeIdentity(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseIdentity(kept)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Static.PubKey().IsEqual(static.PubKey()) || got.Confirmed != want.Confirmed ||
				(got.Remote == nil) != (want.Remote == nil) || got.Remote != nil && !got.Remote.IsEqual(want.Remote) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	if _, err := EncodeIdentity(Identity{Remote: remote.PubKey()}); err == nil {
		t.Error("an identity without a key is kept")
	}
}

func FuzzParseIdentity(f *testing.F) {
	static, remote := newKey(f), newKey(f)
	for _, identity := range []Identity{{Static: static}, {Static: static, Remote: remote.PubKey(), Confirmed: true}} {
		kept, err := EncodeIdentity(identity)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kept)
		f.Add(kept[:len(kept)-1])
	}
	f.Add(bytes.Repeat([]byte{1}, keptRemote))
	f.Add(append([]byte{1, 0}, bytes.Repeat([]byte{0xff}, 32)...))
	f.Fuzz(func(t *testing.T, kept []byte) {
		identity, err := ParseIdentity(kept)
		if err != nil {
			return
		}
		again, err := EncodeIdentity(identity)
		if err != nil || !bytes.Equal(again, kept) {
			t.Fatalf("%x became %x, %v", kept, again, err)
		}
	})
}

// TestOpen: a program that is started again finds its session by the file
// alone.
func TestOpen(t *testing.T) {
	s := newSession(t)
	go echo(s.listen(t))
	path := filepath.Join(t.TempDir(), "keys", "node")
	for i, phrase := range []Phrase{s.phrase, s.phrase, {}} {
		d, err := Open(path, s.mailbox, phrase)
		if err != nil {
			t.Fatal(err)
		}
		d.password = s.stretched
		conn := dial(t, d)
		if err := exchange(conn, []byte("hello")); err != nil {
			t.Fatalf("start %d: %v", i, err)
		}
		d.Close()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("start %d: %v, %v", i, info, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, s.mailbox, s.phrase); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, s.mailbox, s.phrase); err == nil {
		t.Error("nonsense is an identity")
	}
}
