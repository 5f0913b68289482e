package l402

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestTokenText(t *testing.T) {
	token := buy(t, newKeyring(t)).Tokens[0]
	stored, err := json.Marshal(struct{ Token Token }{token})
	if err != nil || !strings.Contains(string(stored), token.Base64()) {
		t.Fatalf("stored as %s (%v)", stored, err)
	}
	var read struct{ Token Token }
	if err := json.Unmarshal(stored, &read); err != nil || read.Token != token {
		t.Errorf("read %v (%v), want %v", read.Token, err, token)
	}
	if err := json.Unmarshal([]byte(`{"Token":"AAAA"}`), &read); ReasonOf(err) != ReasonMalformed {
		t.Errorf("read what is no token: %v", err)
	}
	if s := fmt.Sprint(token); !strings.HasPrefix(s, "token:") || len(s) != len("token:")+12 {
		t.Errorf("prints as %q", s)
	}
	located, err := token.WithLocation("https://a.example")
	if err != nil || located == token || len(located.raw) != len(token.raw)+2+len("https://a.example") {
		t.Errorf("with location %d bytes, without %d (%v)", len(located.raw), len(token.raw), err)
	}
	if raw, err := token.MarshalBinary(); err != nil || string(raw) != token.raw {
		t.Errorf("binary %x (%v)", raw, err)
	}
}
