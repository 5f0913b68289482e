package l402

import (
	"crypto/rand"
	"testing"

	"github.com/lightningnetwork/lnd/lntypes"
)

func newKeyring(t testing.TB) *Keyring {
	t.Helper()
	key, err := NewMasterKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// buy mints a token of the base tier of weather, and pays for it.
func buy(t testing.TB, ring *Keyring, caveats ...Caveat) Credential {
	t.Helper()
	var p lntypes.Preimage
	if _, err := rand.Read(p[:]); err != nil {
		t.Fatal(err)
	}
	services, err := ServicesCaveat(Service{Name: "weather"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := ring.Mint(rand.Reader, p.Hash(), append([]Caveat{services}, caveats...)...)
	if err != nil {
		t.Fatal(err)
	}
	return Credential{Tokens: []Token{token}, Preimage: p}
}

func repeat(c Caveat, n int) []Caveat {
	all := make([]Caveat, n)
	for i := range all {
		all[i] = c
	}
	return all
}
