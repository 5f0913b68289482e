package l402

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func FuzzParseIdentifier(f *testing.F) {
	for _, v := range loadVectors(f).Tokens {
		f.Add(mustHex(f, v.Identifier))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, err := ParseIdentifier(raw)
		if err != nil {
			return
		}
		if again, err := id.MarshalBinary(); err != nil || string(again) != string(raw) {
			t.Fatalf("%x was read as %x", raw, again)
		}
	})
}

// FuzzCaveats judges whatever caveats a holder can write.
func FuzzCaveats(f *testing.F) {
	for _, seed := range []string{
		"services=weather:0", "services=weather:0\nservices=weather:0,maps:1", "services=", "services=:,:",
		"weather_valid_until=1900000000", "weather_valid_until=-1", "weather_valid_until=9223372036854775808",
		"weather_capabilities=read,write\nweather_capabilities=,", "calls=5\ncalls=6", "=", "a", "preimage=00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		var v Verified
		for line := range strings.Lines(lines) {
			caveat, err := ParseCaveat(strings.TrimSuffix(line, "\n"))
			if err != nil {
				continue
			}
			if caveat.String() != strings.TrimSuffix(line, "\n") {
				t.Fatalf("%q was read as %q", line, caveat)
			}
			v.caveats = append(v.caveats, caveat)
		}
		request := Request{
			Service: "weather", Capability: "read", Now: time.Unix(1800000000, 0),
			Conditions: []Condition{AtMost("calls", 5)},
		}
		err := v.Allows(request, nil)
		if err == nil && !strings.Contains(lines, "weather:") {
			t.Fatalf("%q opens the service", lines)
		}
		if err != nil && ReasonOf(err) == "" {
			t.Fatalf("%v has no reason", err)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	for _, v := range loadVectors(f).Verdicts {
		f.Add(v.Tokens[0])
	}
	ring := vectorKeyring(f)
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		if again, err := ParseToken(token.Base64()); err != nil || again != token {
			t.Fatalf("%q does not survive writing: %v", text, err)
		}
		if _, err := token.Caveats(); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.VerifyChain(Credential{Tokens: []Token{token, token}}); ReasonOf(err) == "" {
			t.Fatalf("unpaid %q: %v", text, err)
		}
	})
}

func FuzzParseChallenges(f *testing.F) {
	for _, v := range loadVectors(f).Challenges {
		f.Add(strings.Join(v.Lines, "\n"))
	}
	f.Fuzz(func(t *testing.T, lines string) {
		h := http.Header{"Www-Authenticate": strings.Split(lines, "\n")}
		challenges, err := ParseChallenges(h)
		if err != nil && (len(challenges) > 0 || ReasonOf(err) != ReasonMalformed) {
			t.Fatalf("%d challenges and error %v", len(challenges), err)
		}
		for _, c := range challenges {
			if len(c.Tokens) == 0 || len(c.Tokens) > MaxTokens || c.Invoice == "" || schemeOf(string(c.Scheme)) != c.Scheme {
				t.Fatalf("incomplete challenge %+v", c)
			}
			again := make(http.Header)
			if err := WriteChallenge(again, c.Tokens[0], c.Invoice); err != nil {
				t.Fatalf("challenge that cannot be written: %v", err)
			}
			if got, err := ParseChallenges(again); err != nil || got[0].Tokens[0] != c.Tokens[0] || got[0].Invoice != c.Invoice {
				t.Fatalf("%+v was written, %+v read (%v)", c, got, err)
			}
		}
	})
}

func FuzzParseCredentials(f *testing.F) {
	for _, v := range loadVectors(f).Credentials {
		f.Add(strings.Join(v.Header["Authorization"], "\n"), strings.Join(v.Header["Macaroon"], "\n"))
	}
	f.Fuzz(func(t *testing.T, authorization, macaroon string) {
		h := http.Header{"Authorization": strings.Split(authorization, "\n"), "Macaroon": strings.Split(macaroon, "\n")}
		credentials, err := ParseCredentials(h)
		if err != nil && (len(credentials) > 0 || ReasonOf(err) != ReasonMalformed) {
			t.Fatalf("%d credentials and error %v", len(credentials), err)
		}
		for _, c := range credentials {
			again := http.Header{"Authorization": {c.Authorization(SchemeL402)}}
			if got, err := ParseCredentials(again); err != nil || !reflect.DeepEqual(got, []Credential{c}) {
				t.Fatalf("a credential does not survive writing: %v", err)
			}
		}
		Strip(h)
		if left, err := ParseCredentials(h); len(left) > 0 || err != nil {
			t.Fatalf("%q %q left after strip (%v)", h["Authorization"], h["Macaroon"], err)
		}
	})
}

func FuzzParseClientNonce(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("____________________-w")
	f.Add("AAAAAAAAAAAAAAAAAAAAAB")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseClientNonce(s); err == nil && n.String() != s {
			t.Fatalf("%q was read as %q", s, n)
		}
	})
}
