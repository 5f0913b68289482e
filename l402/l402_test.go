package l402

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"gopkg.in/macaroon.v2"
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

// TestSecretsCannotBePrinted looks for the bytes of a key and a preimage in
// everything that prints, logs or marshals.
func TestSecretsCannotBePrinted(t *testing.T) {
	ring := newKeyring(t)
	key, credential := ring.current, buy(t, ring)
	type inside struct {
		Key  MasterKey
		Cred Credential
		ring *Keyring
		key  MasterKey
	}
	in := inside{Key: key, Cred: credential, ring: ring, key: key}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		for _, value := range []any{key, &key, credential, &credential, in, &in, ring, *ring, []MasterKey{key}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "key", key, "credential", credential, "inside", in)
	}
	text, err := json.Marshal(map[string]any{"key": key, "credential": credential, "inside": in, "id": key.ID()})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	if n := strings.Count(out.String(), secretText); n < 50 {
		t.Errorf("%q occurs %d times, want at least 50", secretText, n)
	}
	for _, secret := range [][]byte{key.secret().key[:], key.secret().prk, credential.Preimage[:]} {
		for _, form := range []string{
			fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), string(secret),
			strings.Trim(fmt.Sprint(secret), "[]"), fmt.Sprintf("%#v", secret[:4])[len("[]byte{"):],
		} {
			if strings.Contains(out.String(), strings.TrimSuffix(form, "}")) {
				t.Errorf("a secret was printed as %.8q…", form)
			}
		}
	}
}

func TestMasterKeys(t *testing.T) {
	a, err := NewMasterKey(bytes.NewReader(bytes.Repeat([]byte{1}, MasterKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewMasterKey(bytes.NewReader(bytes.Repeat([]byte{2}, MasterKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	again := mustKey(t, a.Reveal())
	if !a.Equal(again) || a.Equal(b) || a.Equal(MasterKey{}) || !(MasterKey{}).Equal(MasterKey{}) {
		t.Error("Equal is wrong")
	}
	if a.ID() != again.ID() || a.ID() == b.ID() || !(MasterKey{}).IsZero() || (MasterKey{}).Reveal() != "" {
		t.Error("ID, IsZero or Reveal is wrong")
	}
	for name, text := range map[string]string{
		"empty": "", "short": a.Reveal()[1:], "long": a.Reveal() + "0", "no hex": strings.Repeat("g", 64),
	} {
		if _, err := ParseMasterKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("fail/%s: %v", name, err)
		}
	}
	if _, err := NewMasterKey(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("a key without randomness: %v", err)
	}
	for name, keys := range map[string][]MasterKey{"zero": {{}}, "zero among others": {a, {}}, "twice": {a, b, again}} {
		if _, err := NewKeyring(keys[0], keys[1:]...); err == nil {
			t.Errorf("fail/%s: made a keyring", name)
		}
	}
}

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

func repeat(c Caveat, n int) []Caveat {
	all := make([]Caveat, n)
	for i := range all {
		all[i] = c
	}
	return all
}

func TestCaveatConstructors(t *testing.T) {
	names := map[string]bool{
		"a": true, "lightning_loop": true, "a/b.c-d": true, strings.Repeat("a", 128): true,
		"": false, "a b": false, "a,b": false, "a:b": false, "a=b": false, "a\n": false, "a\x7f": false,
		strings.Repeat("a", 129): false,
	}
	for name, ok := range names {
		if _, err := ServicesCaveat(Service{Name: name}); (err == nil) != ok {
			t.Errorf("service %q: %v", name, err)
		}
		if _, err := CapabilitiesCaveat("a", name); (err == nil) != ok {
			t.Errorf("capability %q: %v", name, err)
		}
		if _, err := CapabilitiesCaveat(name, "a"); (err == nil) != ok {
			t.Errorf("capability of %q: %v", name, err)
		}
		if _, err := ValidUntilCaveat(name, time.Unix(1, 0)); (err == nil) != ok {
			t.Errorf("valid until of %q: %v", name, err)
		}
	}
	many := make([]Service, MaxListItems+1)
	for i := range many {
		many[i] = Service{Name: "a", Tier: uint8(i)}
	}
	if _, err := ServicesCaveat(many...); err == nil {
		t.Error("too many services")
	}
	caveat, err := ServicesCaveat(many[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseServices(caveat.Value); err != nil || !reflect.DeepEqual(got, many[1:]) {
		t.Errorf("services %v (%v)", got, err)
	}
	if _, err := ParseServices(caveat.Value + ",b:0"); ReasonOf(err) != ReasonMalformed {
		t.Errorf("too many services: %v", err)
	}
	if _, err := CapabilitiesCaveat("a"); err == nil {
		t.Error("no capabilities")
	}
	if _, err := ValidUntilCaveat("a", time.Unix(-1, 0)); err == nil {
		t.Error("before 1970")
	}
}

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
	for now, want := range map[int64]Reason{99: "", 100: ReasonExpired} {
		if err := verified.Allows(Request{Service: "weather", Now: time.Unix(now, 0)}, nil); ReasonOf(err) != want {
			t.Errorf("at %d: %v, want %q: the discharge's caveats count", now, err, want)
		}
	}
}

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

// TestChallengeLines pins the two lines, byte for byte: other programs read
// them with regular expressions.
func TestChallengeLines(t *testing.T) {
	token := mustTokens(t, []string{loadVectors(t).Tokens[0].Token})[0]
	h := http.Header{}
	h.Set("WWW-Authenticate", `Payment id="1"`)
	if err := WriteChallenge(h, token, "lnbc1x"); err != nil {
		t.Fatal(err)
	}
	b := token.Base64()
	want := []string{
		`LSAT macaroon="` + b + `", invoice="lnbc1x"`,
		`L402 macaroon="` + b + `", invoice="lnbc1x", version="0", token="` + b + `"`,
		`Payment id="1"`,
	}
	if got := h.Values("WWW-Authenticate"); !reflect.DeepEqual(got, want) {
		t.Errorf("wrote\n%q, want\n%q", got, want)
	}
	for name, invoice := range map[string]string{"empty": "", "quote": `ln"`, "line": "ln\r\nX: y", "long": strings.Repeat("l", 7093)} {
		if err := WriteChallenge(make(http.Header), token, invoice); err == nil {
			t.Errorf("fail/%s: written", name)
		}
	}
	if err := WriteChallenge(make(http.Header), Token{}, "lnbc1x"); err == nil {
		t.Error("fail/no token: written")
	}
}

func TestGRPC(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "Application/GRPC; charset=x": true,
		"application/grpc-web": false, "application/json": false, "": false,
	} {
		if got := IsGRPC(http.Header{"Content-Type": {contentType}}); got != want {
			t.Errorf("%q: %v", contentType, got)
		}
	}
	h := make(http.Header)
	token := buy(t, newKeyring(t)).Tokens[0]
	if err := WriteGRPCChallenge(h, token, "lnbc1x"); err != nil {
		t.Fatal(err)
	}
	if h.Get("Grpc-Status") != "13" || h.Get("Grpc-Message") != "payment required" || !IsGRPC(h) {
		t.Errorf("header %v", h)
	}
	if got, err := ParseChallenges(h); err != nil || len(got) != 2 {
		t.Errorf("challenges %v (%v)", got, err)
	}
	if err := WriteGRPCChallenge(make(http.Header), Token{}, "lnbc1x"); err == nil {
		t.Error("written without a token")
	}
}

func TestClientNonces(t *testing.T) {
	n, err := NewClientNonce(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseClientNonce(n.String()); err != nil || got != n {
		t.Errorf("read %v (%v), want %v", got, err, n)
	}
	for name, s := range map[string]string{
		"empty": "", "short": n.String()[1:], "long": n.String() + "A", "padded": n.String() + "==",
		"alphabet": "+" + n.String()[1:], "line feed": n.String()[:21] + "\n", "spare bits": n.String()[:21] + "B",
	} {
		if _, err := ParseClientNonce(s); ReasonOf(err) != ReasonMalformed {
			t.Errorf("fail/%s: %v", name, err)
		}
	}
	if _, err := NewClientNonce(strings.NewReader("short")); err == nil {
		t.Error("made without randomness")
	}
}

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
	if _, err := newKeyring(t).VerifyChain(Credential{}); ReasonOf(err) != ReasonMalformed {
		t.Errorf("no tokens: %v", err)
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
