package fetch_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

const origin = l402http.Origin("https://api.example.com:443")

// purchase makes a purchase in the given state.
func purchase(t testing.TB, o l402http.Origin, state l402http.State) l402http.Purchase {
	t.Helper()
	i := fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage()}
	text, hash, err := i.Encode()
	if err != nil {
		t.Fatal(err)
	}
	token, err := fetchtest.NewSeller("").Token(hash, "a")
	if err != nil {
		t.Fatal(err)
	}
	p := l402http.Purchase{Origin: o, Path: "/a", State: state, Scheme: l402.SchemeL402,
		Credential: l402.Credential{Tokens: []l402.Token{token}}, Invoice: text, Hash: hash,
		Amount: i.Amount, Created: time.Now().Truncate(time.Second).UTC()}
	if state != l402http.StatePending && state != l402http.StateFailed {
		p.Credential.Preimage, p.Fee, p.Paid = i.Preimage, 1000, p.Created
	}
	return p
}

func TestStoreKeepsWhatItWasGiven(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tokens")
	s := fetch.NewFileStore(dir)
	want := purchase(t, origin, l402http.StatePaid)
	for _, p := range []l402http.Purchase{want, purchase(t, "https://api.example.com:8443", l402http.StatePaid),
		purchase(t, "http://[::1]:80", l402http.StatePending), purchase(t, origin, l402http.StateRefused)} {
		if err := s.Save(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.MarkUsed(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(origin)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d purchases, %v", len(got), err)
	}
	g := got[0]
	if g.Credential.ID() != want.Credential.ID() || !g.Used || g.Hash != want.Hash || g.Amount != want.Amount ||
		g.Fee != want.Fee || !g.Created.Equal(want.Created) || g.Invoice != want.Invoice || g.State != want.State {
		t.Errorf("got %+v\nwant %+v", g, want)
	}
	if all, err := s.All(); err != nil || len(all) != 4 {
		t.Errorf("%d in all, %v", len(all), err)
	}
	checkModes(t, dir)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 || entries[0].Name() != "%3a%3a1" ||
		entries[1].Name() != "api.example.com" {
		t.Errorf("folders %v, %v", entries, err)
	}
}

// checkModes fails for whatever others could read.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStoreSetsAside(t *testing.T) {
	s := fetch.NewFileStore(t.TempDir())
	p := purchase(t, origin, l402http.StatePaid)
	for _, state := range []l402http.State{l402http.StatePaid, l402http.StateRefused} {
		p.State = state
		if err := s.Save(p); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Load(origin); err != nil || len(got) != 0 {
		t.Errorf("%d active, %v", len(got), err)
	}
	all, err := s.All()
	if err != nil || len(all) != 1 || all[0].State != l402http.StateRefused {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := s.Remove(all[0]); err != nil {
		t.Error(err)
	}
	if all, err := s.All(); err != nil || len(all) != 0 {
		t.Errorf("%d left, %v", len(all), err)
	}
}

func TestStoreKeepsPending(t *testing.T) {
	s := fetch.NewFileStore(t.TempDir())
	p := purchase(t, origin, l402http.StatePending)
	if err := s.Save(p); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(p); fault.Code(err) != "payment_unresolved" {
		t.Errorf("got %v", err)
	}
	if got, err := s.Load(origin); err != nil || len(got) != 1 {
		t.Errorf("%d left, %v", len(got), err)
	}
}

// TestDamagedFiles: whatever happens to a file, it is an error that names it.
func TestDamagedFiles(t *testing.T) {
	change := func(old, with string) func([]byte) []byte {
		return func(b []byte) []byte { return []byte(strings.Replace(string(b), old, with, 1)) }
	}
	cases := map[string]struct {
		damage func([]byte) []byte
		code   string
	}{
		"fail/empty":            {func([]byte) []byte { return nil }, fetch.CodeCorruptStore},
		"fail/cut short":        {func(b []byte) []byte { return b[:len(b)/2] }, fetch.CodeCorruptStore},
		"fail/zeros":            {func(b []byte) []byte { return make([]byte, len(b)) }, fetch.CodeCorruptStore},
		"fail/two documents":    {func(b []byte) []byte { return append(b, b...) }, fetch.CodeCorruptStore},
		"fail/unknown field":    {change(`"path"`, `"paths"`), fetch.CodeCorruptStore},
		"fail/unknown state":    {change(`"paid"`, `"bought"`), fetch.CodeCorruptStore},
		"fail/other version":    {change(`"version": 1`, `"version": 2`), fetch.CodeCorruptStore},
		"fail/no preimage":      {change(`"preimage"`, `"reason"`), fetch.CodeCorruptStore},
		"fail/unknown scheme":   {change(`"L402"`, `"Basic"`), fetch.CodeCorruptStore},
		"fail/another's origin": {change(`api.example.com`, `evil.example.com`), fetch.CodeCorruptStore},
		"fail/no token":         {change(`"tokens": [`, `"tokens": [], "reason": "", "x": [`), fetch.CodeCorruptStore},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := fetch.NewFileStore(dir)
			p := purchase(t, origin, l402http.StatePaid)
			if err := s.Save(p); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "api.example.com", p.Hash.String()+".json")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = s.Load(origin)
			if fault.Code(err) != c.code || !strings.Contains(err.Error(), path) || fault.Hint(err) == "" {
				t.Errorf("got %v (hint %q)", err, fault.Hint(err))
			}
			if strings.Contains(err.Error(), p.Credential.Preimage.String()) {
				t.Errorf("the error shows the preimage: %v", err)
			}
		})
	}
	t.Run("fail/others can read it", func(t *testing.T) {
		dir := t.TempDir()
		s := fetch.NewFileStore(dir)
		p := purchase(t, origin, l402http.StatePaid)
		if err := s.Save(p); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "api.example.com", p.Hash.String()+".json"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(origin); fault.Code(err) != "insecure_file" {
			t.Errorf("got %v", err)
		}
	})
}

func TestLockIsPerOrigin(t *testing.T) {
	dir := t.TempDir()
	a, b := fetch.NewFileStore(dir), fetch.NewFileStore(dir)
	unlock, err := a.Lock(t.Context(), origin)
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Lock(t.Context(), "https://api.example.com:8443")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Lock(ctx, origin); err == nil {
		t.Fatal("locked twice")
	}
	got := make(chan error)
	go func() {
		unlock, err := b.Lock(t.Context(), origin)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestStoreKnowsEveryInvoice: a purchase never takes the place of another, of
// whatever origin, that was paid for or may be.
func TestStoreKnowsEveryInvoice(t *testing.T) {
	const neighbour, stranger = "http://api.example.com:80", "http://evil.example:80"
	states := map[string]l402http.State{
		"fail/pending": l402http.StatePending, "fail/paid": l402http.StatePaid, "fail/refused": l402http.StateRefused,
		"fail/expired": l402http.StateExpired, "ok/failed": l402http.StateFailed,
	}
	for name, state := range states {
		for _, o := range []l402http.Origin{origin, neighbour, stranger} {
			t.Run(name+" "+string(o), func(t *testing.T) {
				s := fetch.NewFileStore(t.TempDir())
				first := purchase(t, origin, state)
				if err := s.Save(first); err != nil {
					t.Fatal(err)
				}
				again := first
				again.Origin, again.State = o, l402http.StatePending
				again.Credential.Preimage, again.Paid = [32]byte{}, time.Time{}
				err := s.Save(again)
				if want := state != l402http.StateFailed; errors.Is(err, l402http.ErrInvoiceReused) != want || !want && err != nil {
					t.Fatalf("got %v", err)
				}
				all, err := s.All()
				if err != nil || state != l402http.StateFailed && (len(all) != 1 || all[0].Origin != origin || all[0].State != state) {
					t.Errorf("left %+v, %v", all, err)
				}
			})
		}
	}
}

// TestHostsNamedAsFolders: no host name confuses the store.
func TestHostsNamedAsFolders(t *testing.T) {
	s := fetch.NewFileStore(t.TempDir())
	for _, host := range []string{"old", "tokens", "a", "..", ".client.key", "[fe80::1%25eth0]"} {
		o := l402http.Origin("http://" + host + ":80")
		for _, state := range []l402http.State{l402http.StatePaid, l402http.StateRefused} {
			if err := s.Save(purchase(t, o, state)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Load(o); err != nil || len(got) != 1 {
			t.Errorf("%s: %d tokens, %v", host, len(got), err)
		}
		unlock, err := s.Lock(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		unlock()
	}
	if all, err := s.All(); err != nil || len(all) != 12 {
		t.Errorf("%d in all, %v", len(all), err)
	}
}

// TestUnreadableStoreIsNotTheNetwork: nothing is asked for, and nobody is sent to
// look for a fault in the network.
func TestUnreadableStoreIsNotTheNetwork(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "127.0.0.1"), nil, 0o600); err != nil { // no folder
		t.Fatal(err)
	}
	cfg := fetch.Default()
	cfg.Tokens.Dir = dir
	c, err := fetch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Do(t.Context(), fetch.Request{URL: "http://127.0.0.1:1/", Out: io.Discard})
	if fault.Code(err) != fetch.CodeCorruptStore || !strings.Contains(fault.Hint(err), "tokens folder") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}
