package account_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/policy"
)

// secrets are in no file that is not meant to have them, and easy to look for.
var (
	privateKey = bytes.Repeat([]byte{0xa7}, 32)
	phrase     = bytes.Repeat([]byte{0xb8}, 14)
	macaroon   = bytes.Repeat([]byte{0xc9}, 60)
)

func newSession(t testing.TB, l *account.Ledger, w *wall, of *account.ID) account.Session {
	t.Helper()
	n := account.Session{
		Label: "phone", Kind: account.SessionReadonly, Mailbox: "relay:443", Expires: w.now().Add(time.Hour),
		Permissions: []account.Permission{{Entity: "info", Action: "read"}}, PrivateKey: privateKey, Phrase: phrase,
	}
	if of != nil {
		n.Kind, n.Account = account.SessionAccount, *of
	}
	rand.Read(n.LocalKey[:])
	n.ID = account.SessionID(n.LocalKey[1:5])
	return must(l.ReserveSession(t.Context(), operator, n))(t)
}

func began(t testing.TB, l *account.Ledger, w *wall, of *account.ID) account.Session {
	t.Helper()
	return must(l.BeginSession(t.Context(), newSession(t, l, w, of).ID, macaroon))(t)
}

func secretless(t testing.TB, s account.Session) {
	t.Helper()
	if len(s.PrivateKey)+len(s.Phrase)+len(s.Macaroon) > 0 {
		t.Error("a session that has ended still has secrets")
	}
}

// TestSessionLife: reserved, created, paired once, ended once.
func TestSessionLife(t *testing.T) {
	w := newWall()
	l := open(t, w)
	s := newSession(t, l, w, nil)
	if s.State != account.SessionReserved || !s.Created.Equal(w.now()) || s.Permissions[0].Entity != "info" {
		t.Errorf("reserved: %+v", s)
	}
	s = must(l.BeginSession(t.Context(), s.ID, macaroon))(t)
	if s.State != account.SessionCreated || !bytes.Equal(s.Macaroon, macaroon) || !bytes.Equal(s.Phrase, phrase) {
		t.Errorf("created: %+v", s)
	}
	client, other := bytes.Repeat([]byte{2}, 33), bytes.Repeat([]byte{3}, 33)
	for range 2 {
		s = must(l.PairSession(t.Context(), s.ID, client))(t)
	}
	if !bytes.Equal(s.RemoteKey, client) || len(s.Phrase) > 0 {
		t.Errorf("paired: %x, phrase of %d bytes", s.RemoteKey, len(s.Phrase))
	}
	_, err := l.PairSession(t.Context(), s.ID, other)
	wantCode(t, err, account.CodeBadSession)
	if found := must(l.SessionByKey(t.Context(), s.LocalKey[:]))(t); found.ID != s.ID {
		t.Errorf("by its key: %s", found.ID)
	}
	for range 2 {
		s = must(l.EndSession(t.Context(), operator, s.ID, account.SessionRevoked, "enough"))(t)
	}
	if s.State != account.SessionRevoked || s.Reason != "enough" || s.Ended.IsZero() {
		t.Errorf("ended: %+v", s)
	}
	secretless(t, s)
	_, err = l.EndSession(t.Context(), operator, s.ID, account.SessionExpired, "")
	wantCode(t, err, account.CodeSessionEnded)
	_, err = l.PairSession(t.Context(), s.ID, client)
	wantCode(t, err, account.CodeSessionEnded)
	_, err = l.BeginSession(t.Context(), s.ID, macaroon)
	wantCode(t, err, account.CodeSessionEnded)
	_, err = l.Session(t.Context(), account.SessionID{})
	wantCode(t, err, account.CodeSessionUnknown)
	if list := must(l.Sessions(t.Context()))(t); len(list) != 1 {
		t.Errorf("%d sessions", len(list))
	}
	wantClean(t, l)
}

func TestSessionRefused(t *testing.T) {
	w := newWall()
	l := open(t, w)
	good := account.Session{ID: account.SessionID{1}, Kind: account.SessionAdmin, Mailbox: "relay:443", Expires: w.now().Add(time.Hour),
		PrivateKey: privateKey, Phrase: phrase}
	for name, c := range map[string]struct {
		change func(*account.Session)
		code   string
	}{
		"fail/expired":         {func(s *account.Session) { s.Expires = w.now() }, account.CodeBadSession},
		"fail/label":           {func(s *account.Session) { s.Label = "a\nb" }, account.CodeBadSession},
		"fail/long label":      {func(s *account.Session) { s.Label = strings.Repeat("x", 65) }, account.CodeBadSession},
		"fail/unknown account": {func(s *account.Session) { s.Kind = account.SessionAccount }, account.CodeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			c.change(&s)
			_, err := l.ReserveSession(t.Context(), operator, s)
			wantCode(t, err, c.code)
		})
	}
}

// TestSessionsEndWithTheirAccount, and nobody else's do.
func TestSessionsEndWithTheirAccount(t *testing.T) {
	w := newWall()
	l := open(t, w)
	mine, other := newAccount(t, l, 1000, policy.Limits{}), newAccount(t, l, 1000, policy.Limits{})
	rotated, kept, admin := began(t, l, w, &mine.ID), began(t, l, w, &other.ID), began(t, l, w, nil)
	must(l.Rotate(t.Context(), operator, mine.ID))(t)
	removed, reserved := began(t, l, w, &mine.ID), newSession(t, l, w, &mine.ID)
	must(l.Remove(t.Context(), operator, mine.ID))(t)
	for _, ended := range []account.Session{rotated, removed, reserved} {
		now := must(l.Session(t.Context(), ended.ID))(t)
		if now.State != account.SessionRevoked || now.Account != mine.ID {
			t.Errorf("%s is %s", ended.ID, now.State)
		}
		secretless(t, now)
	}
	for _, open := range []account.Session{kept, admin} {
		if now := must(l.Session(t.Context(), open.ID))(t); !now.Open() {
			t.Errorf("%s is %s", open.ID, now.State)
		}
	}
	_, err := l.ReserveSession(t.Context(), operator, account.Session{Kind: account.SessionAccount, Account: mine.ID, Expires: w.now().Add(1e9)})
	wantCode(t, err, account.CodeUnknown)
	wantClean(t, l)
}

// TestSessionSecretsStay: neither a copy of the ledger, nor its journal, nor what
// is printed has them.
func TestSessionSecretsStay(t *testing.T) {
	w := newWall()
	l := open(t, w)
	s := began(t, l, w, nil)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := l.CopyTo(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	printed := append(text, fmt.Sprintf("%v %+v %#v %x %s", s, s, s, s.Phrase, s.Macaroon)...)
	for _, secret := range [][]byte{privateKey, phrase, macaroon} {
		if bytes.Contains(copied, secret[:8]) {
			t.Error("a secret is in the copy")
		}
		if bytes.Contains(printed, fmt.Appendf(nil, "%x", secret[:4])) || bytes.Contains(printed, secret[:4]) {
			t.Error("a secret prints")
		}
	}
	then := openAt(t, path, w)
	if now := must(then.Session(t.Context(), s.ID))(t); now.State != account.SessionRevoked {
		t.Errorf("in the copy it is %s", now.State)
	}
	wantClean(t, then)
	if now := must(l.Session(t.Context(), s.ID))(t); !now.Open() {
		t.Error("the copying ended the session")
	}
}

func TestSessionRootKey(t *testing.T) {
	id := account.SessionID{0x01, 0x02, 0x03, 0xff}
	if got := id.RootKeyID(); got != 0xffeeddcc010203ff {
		t.Errorf("root key %x", got)
	}
	if back, ok := account.SessionOfRootKey(id.RootKeyID()); !ok || back != id {
		t.Errorf("back: %s, %v", back, ok)
	}
	for _, key := range []uint64{0, 0xffeeddcd010203ff, 0x010203ff} {
		if _, ok := account.SessionOfRootKey(key); ok {
			t.Errorf("%x is taken for a session's", key)
		}
	}
}
