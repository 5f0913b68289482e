package l402

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
)

// vectors is testdata/vectors.json, which other implementations can use too.
type vectors struct {
	MasterKeys []struct {
		MasterKey string `json:"master_key"`
		KeyID     string `json:"key_id"`
	} `json:"master_keys"`
	Tokens []struct {
		Name, Identifier, Random, Token string
		MasterKey                       string `json:"master_key"`
		PaymentHash                     string `json:"payment_hash"`
		RootKey                         string `json:"root_key"`
		Caveats                         []string
	}
	Challenges []struct {
		Name, Note string
		Lines      []string
		Want       []vectorChallenge
		Malformed  bool
	}
	Credentials []struct {
		Name, Note string
		Header     http.Header
		Want       []vectorCredential
		Malformed  bool
		Stripped   http.Header
	}
	Verdicts []vectorVerdict
}

type vectorChallenge struct {
	Scheme, Invoice, Version string
	Tokens                   []string
}

type vectorCredential struct {
	Tokens   []string
	Preimage string
}

type vectorVerdict struct {
	Name, Note, Service, Capability, Preimage string
	Tokens                                    []string
	Now                                       int64
	Reason                                    Reason
	Revoked                                   bool
	DailyCalls                                *uint64 `json:"daily_calls"`
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// vectorKeyring holds the current and the older key of the vectors.
func vectorKeyring(t testing.TB) *Keyring {
	t.Helper()
	v := loadVectors(t)
	ring, err := NewKeyring(mustKey(t, v.MasterKeys[0].MasterKey), mustKey(t, v.MasterKeys[1].MasterKey))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustKey(t testing.TB, text string) MasterKey {
	t.Helper()
	key, err := ParseMasterKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustTokens(t testing.TB, texts []string) []Token {
	t.Helper()
	tokens := make([]Token, len(texts))
	for i, text := range texts {
		token, err := ParseToken(text)
		if err != nil {
			t.Fatalf("token %d: %v", i, err)
		}
		tokens[i] = token
	}
	return tokens
}

func mustHex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustPreimage(t testing.TB, text string) lntypes.Preimage {
	t.Helper()
	p, err := lntypes.MakePreimageFromStr(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestVectorKeys(t *testing.T) {
	for _, v := range loadVectors(t).MasterKeys {
		if got := mustKey(t, v.MasterKey).ID().String(); got != v.KeyID {
			t.Errorf("id of %s is %s, want %s", v.MasterKey, got, v.KeyID)
		}
	}
}

func TestVectorTokens(t *testing.T) {
	for _, v := range loadVectors(t).Tokens {
		t.Run(v.Name, func(t *testing.T) {
			key := mustKey(t, v.MasterKey)
			root, err := key.rootKey(mustHex(t, v.Identifier))
			if err != nil || hex.EncodeToString(root) != v.RootKey {
				t.Errorf("root key %x (%v), want %s", root, err, v.RootKey)
			}
			ring, err := NewKeyring(key)
			if err != nil {
				t.Fatal(err)
			}
			var caveats []Caveat
			for _, text := range v.Caveats {
				caveat, err := ParseCaveat(text)
				if err != nil {
					t.Fatal(err)
				}
				caveats = append(caveats, caveat)
			}
			hash := lntypes.Hash(mustHex(t, v.PaymentHash))
			token, err := ring.Mint(bytes.NewReader(mustHex(t, v.Random)), hash, caveats...)
			if err != nil {
				t.Fatal(err)
			}
			if token.Base64() != v.Token {
				t.Errorf("minted\n%s, want\n%s", token.Base64(), v.Token)
			}
			id, err := token.Identifier()
			if err != nil {
				t.Fatal(err)
			}
			if raw, _ := id.MarshalBinary(); hex.EncodeToString(raw) != v.Identifier {
				t.Errorf("identifier %x, want %s", raw, v.Identifier)
			}
			if id.PaymentHash != hash || id.TokenID.KeyID() != key.ID() {
				t.Errorf("identifier %+v has another payment hash or key id", id)
			}
			if got, err := token.Caveats(); err != nil || !slices.Equal(got, caveats) {
				t.Errorf("caveats %v (%v), want %v", got, err, caveats)
			}
		})
	}
}

func TestVectorChallenges(t *testing.T) {
	for _, v := range loadVectors(t).Challenges {
		t.Run(name(v.Malformed, v.Name), func(t *testing.T) {
			got, err := ParseChallenges(http.Header{"Www-Authenticate": v.Lines})
			if v.Malformed != (ReasonOf(err) == ReasonMalformed) || v.Malformed != (err != nil) {
				t.Fatalf("error %v, malformed %v (%s)", err, v.Malformed, v.Note)
			}
			var want []Challenge
			for _, w := range v.Want {
				want = append(want, Challenge{
					Scheme: Scheme(w.Scheme), Tokens: mustTokens(t, w.Tokens), Invoice: w.Invoice, Version: w.Version,
				})
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v (%s)", got, want, v.Note)
			}
		})
	}
}

func TestVectorCredentials(t *testing.T) {
	for _, v := range loadVectors(t).Credentials {
		t.Run(name(v.Malformed, v.Name), func(t *testing.T) {
			got, err := ParseCredentials(v.Header)
			if v.Malformed != (ReasonOf(err) == ReasonMalformed) || v.Malformed != (err != nil) {
				t.Fatalf("error %v, malformed %v (%s)", err, v.Malformed, v.Note)
			}
			var want []Credential
			for _, w := range v.Want {
				want = append(want, Credential{Tokens: mustTokens(t, w.Tokens), Preimage: mustPreimage(t, w.Preimage)})
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %d credentials, want %d (%s)", len(got), len(want), v.Note)
			}
			stripped := maps.Clone(v.Header)
			Strip(stripped)
			if !reflect.DeepEqual(stripped, v.Stripped) {
				t.Errorf("stripped to %v, want %v (%s)", stripped, v.Stripped, v.Note)
			}
		})
	}
}

func TestVectorVerdicts(t *testing.T) {
	verifier := NewVerifier(vectorKeyring(t), 1000)
	for _, v := range loadVectors(t).Verdicts {
		t.Run(name(v.Reason != "", v.Name), func(t *testing.T) {
			for _, pass := range []string{"cold", "remembered"} {
				if got := judge(t, verifier, v); ReasonOf(got) != v.Reason || (got == nil) != (v.Reason == "") {
					t.Errorf("%s: %v, want %q (%s)", pass, got, v.Reason, v.Note)
				}
			}
		})
	}
}

// judge reads the credential of a vector as a server would and asks for what
// the vector asks for.
func judge(t *testing.T, verifier *Verifier, v vectorVerdict) error {
	t.Helper()
	header := "L402 " + v.Tokens[0]
	for _, token := range v.Tokens[1:] {
		header += "," + token
	}
	credentials, err := ParseCredentials(http.Header{"Authorization": {header + ":" + v.Preimage}})
	if err != nil {
		t.Fatal(err)
	}
	verified, err := verifier.Verify(credentials[0])
	if err != nil {
		return err
	}
	request := Request{Service: v.Service, Capability: v.Capability, Now: time.Unix(v.Now, 0)}
	if v.DailyCalls != nil {
		request.Conditions = []Condition{AtMost("weather_daily_calls", *v.DailyCalls)}
	}
	return verified.Allows(request, func(id TokenID) bool {
		return v.Revoked && id == verified.Identifier().TokenID
	})
}

func name(fails bool, text string) string {
	if fails {
		return "fail/" + text
	}
	return "ok/" + text
}
