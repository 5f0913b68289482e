package l402

import (
	"net/http"
	"strings"
	"testing"

	"gopkg.in/macaroon.v2"
)

// TestLimits sends more than is read.
func TestLimits(t *testing.T) {
	credential := buy(t, newKeyring(t))
	good := credential.Authorization(SchemeL402)
	many := make([]string, MaxPresented)
	for i := range many {
		many[i] = "L402 nonsense"
	}
	if got, err := ParseCredentials(http.Header{"Authorization": append(many, good)}); len(got) > 0 || err == nil {
		t.Errorf("credential number %d was read", MaxPresented+1)
	}
	if got, err := ParseCredentials(http.Header{"Authorization": append(many[1:], good)}); len(got) != 1 || err != nil {
		t.Errorf("credential number %d was not read: %v", MaxPresented, err)
	}
	big := strings.Repeat("x", MaxHeaderSize)
	for _, name := range []string{"Authorization", "Macaroon"} {
		if _, err := ParseCredentials(http.Header{name: {good, big}}); ReasonOf(err) != ReasonMalformed {
			t.Errorf("header %s over the limit: %v", name, err)
		}
	}
	h := make(http.Header)
	if err := WriteChallenge(h, credential.Tokens[0], "lnbc1x"); err != nil {
		t.Fatal(err)
	}
	h.Add("WWW-Authenticate", big)
	if _, err := ParseChallenges(h); ReasonOf(err) != ReasonMalformed {
		t.Errorf("header over the limit: %v", err)
	}
	var discharges Credential
	for range 2 {
		m, err := macaroon.New([]byte("key"), []byte("id"), "", macaroon.V2)
		if err != nil {
			t.Fatal(err)
		}
		token, err := attenuate(m, repeat(Caveat{Key: "a"}, MaxCaveats/2+1))
		if err != nil {
			t.Fatal(err)
		}
		discharges.Tokens = append(discharges.Tokens, token)
	}
	if _, _, err := discharges.macaroons(); ReasonOf(err) != ReasonMalformed {
		t.Errorf("%d caveats in two tokens: %v", 2*(MaxCaveats/2+1), err)
	}
	if _, err := newKeyring(t).VerifyChain(Credential{}); ReasonOf(err) != ReasonMalformed {
		t.Errorf("no tokens: %v", err)
	}
}

// TestCredentialID: where a token ends is part of what is hashed.
func TestCredentialID(t *testing.T) {
	a := Credential{Tokens: []Token{{raw: "ab"}, {raw: "c"}}}
	b := Credential{Tokens: []Token{{raw: "a"}, {raw: "bc"}}}
	if a.ID() == b.ID() {
		t.Error("two credentials have the same id")
	}
}
