package l402

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lntypes"
)

// TestRotation mints with one key, moves on to the next and retires the first.
func TestRotation(t *testing.T) {
	first, second := newKeyring(t).current, newKeyring(t).current
	before, err := NewKeyring(first)
	if err != nil {
		t.Fatal(err)
	}
	sold := buy(t, before)
	during, err := NewKeyring(second, first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := during.VerifyChain(sold); err != nil {
		t.Errorf("during rotation: %v", err)
	}
	id, err := buy(t, during).Tokens[0].Identifier()
	if err != nil || id.TokenID.KeyID() != second.ID() || during.Current() != second.ID() {
		t.Errorf("minted with key %v (%v), want %v", id.TokenID.KeyID(), err, second.ID())
	}
	after, err := NewKeyring(second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.VerifyChain(sold); !errors.Is(err, ReasonUnknownKey) {
		t.Errorf("after rotation: %v", err)
	}
}

func TestMintRefuses(t *testing.T) {
	ring := newKeyring(t)
	services := Caveat{Key: "services", Value: "weather:0"}
	for name, caveats := range map[string][]Caveat{
		"no services":      {{Key: "a", Value: "b"}},
		"nothing":          nil,
		"empty key":        {services, {Value: "b"}},
		"equal sign":       {services, {Key: "a=b", Value: "c"}},
		"too many caveats": append(make([]Caveat, 0), repeat(Caveat{Key: "services", Value: "w:0"}, MaxCaveats+1)...),
		"too long":         {services, {Key: "a", Value: strings.Repeat("b", MaxTokenSize)}},
	} {
		if _, err := ring.Mint(rand.Reader, lntypes.Hash{}, caveats...); err == nil {
			t.Errorf("fail/%s: minted", name)
		}
	}
	if _, err := ring.Mint(strings.NewReader("short"), lntypes.Hash{}, services); err == nil {
		t.Error("minted without randomness")
	}
}
