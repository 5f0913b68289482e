package l402

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gopkg.in/macaroon.v2"
)

// TestDischarge gives a token a third-party caveat and discharges it.
func TestDischarge(t *testing.T) {
	ring := newKeyring(t)
	credential := buy(t, ring)
	m, err := credential.Tokens[0].macaroon()
	if err != nil {
		t.Fatal(err)
	}
	shared := []byte("shared by holder and third party")
	if err := m.AddThirdPartyCaveat(shared, []byte("who"), "https://third.example"); err != nil {
		t.Fatal(err)
	}
	token, err := marshalToken(m)
	if err != nil {
		t.Fatal(err)
	}
	credential.Tokens = []Token{token}
	if _, err := ring.VerifyChain(credential); ReasonOf(err) != ReasonBadChain {
		t.Errorf("without the discharge: %v", err)
	}
	discharge, err := macaroon.New(shared, []byte("who"), "", macaroon.V2)
	if err != nil {
		t.Fatal(err)
	}
	if err := discharge.AddFirstPartyCaveat([]byte("weather_valid_until=100")); err != nil {
		t.Fatal(err)
	}
	discharge.Bind(m.Signature())
	second, err := marshalToken(discharge)
	if err != nil {
		t.Fatal(err)
	}
	credential.Tokens = []Token{token, second}
	verified, err := ring.VerifyChain(credential)
	if err != nil {
		t.Fatal(err)
	}
	if got := verified.Caveats(); len(got) != 2 || got[1].Key != "weather_valid_until" {
		t.Errorf("caveats %v, want that of the token and that of the discharge", got)
	}
	for now, want := range map[int64]Reason{99: "", 100: ReasonExpired} {
		if err := verified.Allows(Request{Service: "weather", Now: time.Unix(now, 0)}, nil); ReasonOf(err) != want {
			t.Errorf("at %d: %v, want %q: the discharge's caveats count", now, err, want)
		}
	}
}

func TestReasonOf(t *testing.T) {
	err := fmt.Errorf("gate: %w", refuse(ReasonExpired, "expired: detail"))
	if ReasonOf(err) != ReasonExpired || !errors.Is(err, ReasonExpired) || errors.Is(err, ReasonRevoked) {
		t.Errorf("reason of %v is %q", err, ReasonOf(err))
	}
	if ReasonOf(nil) != "" || ReasonOf(io.EOF) != "" {
		t.Error("a reason out of nothing")
	}
	if got := quote(strings.Repeat("a", 1000)); len(got) > 80 {
		t.Errorf("quoted at %d bytes", len(got))
	}
}
