package fetch_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
	"github.com/leydenln/leyden/l402/mpp"
)

// payment makes a purchase by the Payment scheme.
func payment(t testing.TB, state l402http.State) l402http.Purchase {
	t.Helper()
	p := purchase(t, origin, state)
	key, err := l402.NewMasterKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := l402.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := mpp.NewChallenge(keys, mpp.Terms{Realm: "r", Service: "s", Price: p.Amount, Invoice: p.Invoice,
		Hash: p.Hash, Network: "regtest", Expires: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	p.Scheme, p.Payment, p.Credential.Tokens = l402http.SchemeOfPayment, &c, nil
	return p
}

func TestStoreKeepsPayments(t *testing.T) {
	s := fetch.NewFileStore(filepath.Join(t.TempDir(), "tokens"))
	for _, state := range []l402http.State{l402http.StatePending, l402http.StatePaid} {
		want := payment(t, state)
		if err := s.Save(want); err != nil {
			t.Fatal(err)
		}
		held, err := s.Load(origin)
		if err != nil || len(held) != 1 || !reflect.DeepEqual(held[0], want) {
			t.Fatalf("%+v, %v; want %+v", held, err, want)
		}
		if held[0].State = l402http.StateSpent; state == l402http.StatePending {
			held[0].State = l402http.StateFailed
		}
		if err := s.Save(held[0]); err != nil {
			t.Fatal(err)
		}
		if held, err := s.Load(origin); err != nil || len(held) != 0 {
			t.Fatalf("%+v, %v", held, err)
		}
	}
}

func TestDamagedPayments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tokens")
	s := fetch.NewFileStore(dir)
	p := payment(t, l402http.StatePaid)
	if err := s.Save(p); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "api.example.com", p.Hash.String()+".json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"fail/version":  {`"version": 2`, `"version": 1`},
		"fail/intent":   {`"intent": "charge"`, `"intent": "session"`},
		"fail/invoice":  {`"invoice": "lnbcrt`, `"invoice": "lnbcrt1`},
		"fail/scheme":   {`"scheme": "Payment"`, `"scheme": "L402"`},
		"fail/no realm": {`"realm": "r"`, `"realm": ""`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(string(good), change[0], change[1], 1)
			if bad == string(good) {
				t.Fatalf("nothing to change in %s", good)
			}
			if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Load(origin); err == nil {
				t.Error("read")
			}
		})
	}
}

// TestJournalThatCouldNotBeRead: a purchase whose file would be too long to be
// read again is refused before it is paid, not written.
func TestJournalThatCouldNotBeRead(t *testing.T) {
	s := fetch.NewFileStore(filepath.Join(t.TempDir(), "tokens"))
	p := payment(t, l402http.StatePending)
	p.Payment.Description = strings.Repeat("<", 22<<10)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(p); err != nil {
		t.Errorf("a challenge that can be answered: %v", err)
	}
	if held, err := s.Load(origin); err != nil || len(held) != 1 || !reflect.DeepEqual(held[0], p) {
		t.Errorf("%d purchases, %v", len(held), err)
	}
	p = payment(t, l402http.StatePending)
	p.Path = "/" + strings.Repeat("x", 128<<10)
	if err := s.Save(p); err == nil {
		t.Error("written")
	}
	if _, err := s.Load(origin); err != nil {
		t.Errorf("the folder cannot be read: %v", err)
	}
}
