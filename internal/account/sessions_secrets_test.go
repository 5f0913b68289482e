package account_test

import (
	"bytes"
	"crypto/rand"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/until"
)

// secretSession is one whose secrets are like no other bytes.
func secretSession(t testing.TB, l *account.Ledger, w *wall) account.Session {
	t.Helper()
	n := account.Session{Label: "phone", Kind: account.SessionAdmin, Mailbox: "relay:443", Expires: w.now().Add(time.Hour),
		PrivateKey: make([]byte, 32), Phrase: make([]byte, 14)}
	size, err := rand.Int(rand.Reader, big.NewInt(3000))
	if err != nil {
		t.Fatal(err)
	}
	macaroon := make([]byte, 100+size.Int64())
	for _, secret := range [][]byte{n.LocalKey[:], n.PrivateKey, n.Phrase, macaroon} {
		rand.Read(secret)
	}
	n.ID = account.SessionID(n.LocalKey[1:5])
	must(l.ReserveSession(t.Context(), operator, n))(t)
	return must(l.BeginSession(t.Context(), n.ID, macaroon))(t)
}

// inFiles says whether bytes are anywhere in the files of a folder.
func inFiles(t testing.TB, dir string, secret []byte) bool {
	t.Helper()
	list := must(os.ReadDir(dir))(t)
	for _, e := range list {
		if data := must(os.ReadFile(filepath.Join(dir, e.Name())))(t); bytes.Contains(data, secret) {
			return true
		}
	}
	return false
}

// TestSessionSecretsVanish: what the ledger has forgotten is not in its files any
// more, neither in the database nor in the log beside it, however they are mixed.
func TestSessionSecretsVanish(t *testing.T) {
	dir := t.TempDir()
	w := newWall()
	l := openAt(t, filepath.Join(dir, "guard.db"), w)
	var gone [][]byte
	vanished := func() bool {
		gone = slices.DeleteFunc(gone, func(secret []byte) bool { return !inFiles(t, dir, secret) })
		return len(gone) == 0
	}
	client := make([]byte, 33)
	var all []account.Session
	for range 60 {
		all = append(all, secretSession(t, l, w))
	}
	if !inFiles(t, dir, all[0].Phrase) || !inFiles(t, dir, all[0].Macaroon[:64]) {
		t.Fatal("what is looked for is not found where it is")
	}
	for i, s := range all {
		if i%2 == 0 {
			rand.Read(client)
			must(l.PairSession(t.Context(), s.ID, client))(t)
			gone = append(gone, s.Phrase)
		}
	}
	until.True(t, "the phrases of those that have paired are gone", vanished)
	for i, s := range all {
		if i%3 != 0 {
			must(l.EndSession(t.Context(), operator, s.ID, account.SessionRevoked, "enough"))(t)
			gone = append(gone, s.PrivateKey, s.Phrase, s.Macaroon[:64], s.Macaroon[len(s.Macaroon)-32:])
		}
	}
	until.True(t, "the secrets of those that have ended are gone", vanished)
	for i, s := range all {
		if i%3 == 0 && !inFiles(t, dir, s.PrivateKey) {
			t.Errorf("session %d is open, and its key is gone", i)
		}
	}
}
