package mpp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"pgregory.net/rapid"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

func keyring(t *testing.T, fill byte, older ...l402.MasterKey) (*l402.Keyring, l402.MasterKey) {
	t.Helper()
	key, err := l402.NewMasterKey(bytes.NewReader(bytes.Repeat([]byte{fill}, l402.MasterKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := l402.NewKeyring(key, older...)
	if err != nil {
		t.Fatal(err)
	}
	return ring, key
}

var preimage = lntypes.Preimage{1, 2, 3}

func terms() mpp.Terms {
	return mpp.Terms{Realm: `the "shop"`, Service: "weather", Price: 100_000, Invoice: "lnbcrt1u1pinvoice",
		Hash: preimage.Hash(), Network: "regtest", Description: `Q&A <b> \ endpoint`,
		Expires: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
}

// offer makes a challenge and sends it through a header.
func offer(t *testing.T, keys *l402.Keyring) mpp.Challenge {
	t.Helper()
	c, err := mpp.NewChallenge(keys, terms())
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Add("WWW-Authenticate", `L402 macaroon="AgEE", invoice="lnbc1"`)
	if err := c.Write(h); err != nil {
		t.Fatal(err)
	}
	joined := http.Header{"Www-Authenticate": {strings.Join(h.Values("WWW-Authenticate"), ", ")}}
	for _, h := range []http.Header{h, joined} {
		got, err := mpp.ParseChallenges(h)
		if err != nil || len(got) != 1 || got[0] != c {
			t.Fatalf("parsed %+v, %v; want %+v", got, err, c)
		}
	}
	return c
}

// present sends a credential through a header.
func present(t *testing.T, c mpp.Credential) mpp.Credential {
	t.Helper()
	value, err := c.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	got, err := mpp.ParseCredentials(http.Header{"Authorization": {"Basic dTpw", value}})
	if err != nil || len(got) != 1 || got[0] != c {
		t.Fatalf("parsed %+v, %v; want %+v", got, err, c)
	}
	return got[0]
}

func TestFromOfferToSale(t *testing.T) {
	keys, _ := keyring(t, 1)
	c := offer(t, keys)
	charge, err := c.Charge()
	hash := preimage.Hash()
	want := mpp.Charge{Amount: 100, Description: `Q&A <b> \ endpoint`, Invoice: "lnbcrt1u1pinvoice", Hash: &hash, Network: "regtest"}
	if err != nil || !reflect.DeepEqual(charge, want) {
		t.Fatalf("charge %+v, %v; want %+v", charge, err, want)
	}
	credential := present(t, mpp.Credential{Challenge: c, Preimage: preimage})
	sold, err := mpp.Verify(keys, `the "shop"`, credential)
	if err != nil || sold != (mpp.Sold{Service: "weather", Price: 100_000, Hash: hash, Expires: terms().Expires, ID: c.ID}) {
		t.Fatalf("sold %+v, %v", sold, err)
	}
}

func TestKeysRotate(t *testing.T) {
	old, oldKey := keyring(t, 1)
	c := offer(t, old)
	credential := mpp.Credential{Challenge: c, Preimage: preimage}
	rotated, _ := keyring(t, 2, oldKey)
	if _, err := mpp.Verify(rotated, c.Realm, credential); err != nil {
		t.Errorf("with the old key kept: %v", err)
	}
	retired, _ := keyring(t, 2)
	if _, err := mpp.Verify(retired, c.Realm, credential); !errors.Is(err, mpp.ErrUnknownChallenge) {
		t.Errorf("with the old key retired: %v", err)
	}
}

func TestAlteredCredentials(t *testing.T) {
	keys, _ := keyring(t, 1)
	good := mpp.Credential{Challenge: offer(t, keys), Preimage: preimage}
	cheap := terms()
	cheap.Service, cheap.Price = "cheap", 1000
	other, err := mpp.NewChallenge(keys, cheap)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		alter func(*mpp.Credential)
		want  error
	}{
		"fail/preimage":  {func(c *mpp.Credential) { c.Preimage[0]++ }, mpp.ErrWrongPreimage},
		"fail/id":        {func(c *mpp.Credential) { c.Challenge.ID = other.ID }, mpp.ErrUnknownChallenge},
		"fail/empty id":  {func(c *mpp.Credential) { c.Challenge.ID = "" }, mpp.ErrUnknownChallenge},
		"fail/realm":     {func(c *mpp.Credential) { c.Challenge.Realm = "other" }, mpp.ErrUnknownChallenge},
		"fail/method":    {func(c *mpp.Credential) { c.Challenge.Method = "card" }, mpp.ErrUnknownChallenge},
		"fail/intent":    {func(c *mpp.Credential) { c.Challenge.Intent = "session" }, mpp.ErrUnknownChallenge},
		"fail/request":   {func(c *mpp.Credential) { c.Challenge.Request = other.Request }, mpp.ErrUnknownChallenge},
		"fail/opaque":    {func(c *mpp.Credential) { c.Challenge.Opaque = other.Opaque }, mpp.ErrUnknownChallenge},
		"fail/no opaque": {func(c *mpp.Credential) { c.Challenge.Opaque = "" }, mpp.ErrUnknownChallenge},
		"fail/expires":   {func(c *mpp.Credential) { c.Challenge.Expires = "2030-01-01T00:00:00Z" }, mpp.ErrUnknownChallenge},
		"fail/digest":    {func(c *mpp.Credential) { c.Challenge.Digest = "sha-256=:x:" }, mpp.ErrUnknownChallenge},
		"fail/slots moved": {func(c *mpp.Credential) {
			c.Challenge.Method, c.Challenge.Intent = "lightning|charge", c.Challenge.Request
			c.Challenge.Request, c.Challenge.Expires = c.Challenge.Expires, ""
		}, mpp.ErrUnknownChallenge},
		"ok/description": {func(c *mpp.Credential) { c.Challenge.Description = "" }, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := good
			tt.alter(&c)
			if _, err := mpp.Verify(keys, good.Challenge.Realm, c); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	if _, err := mpp.Verify(keys, "another realm", good); !errors.Is(err, mpp.ErrUnknownChallenge) {
		t.Errorf("at another realm: %v", err)
	}
}

func request(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }

func TestCharges(t *testing.T) {
	details := `"methodDetails":{"invoice":"lnbc1"}`
	long := strings.Repeat("x", 33<<10)
	tests := map[string]struct {
		c    mpp.Challenge
		want error
	}{
		"ok/least":            {mpp.Challenge{Request: request(`{"amount":"1","currency":"sat",` + details + `}`)}, nil},
		"ok/padded":           {mpp.Challenge{Request: request(`{"amount":"1","currency":"sat",`+details+`}`) + "=="}, nil},
		"ok/unknown fields":   {mpp.Challenge{Request: request(`{"amount":"1","currency":"sat","x":[{}],` + details + `}`)}, nil},
		"fail/method":         {mpp.Challenge{Method: "card", Request: request(`{}`)}, mpp.ErrUnsupported},
		"fail/session":        {mpp.Challenge{Intent: "session", Request: request(`{}`)}, mpp.ErrUnsupported},
		"fail/digest":         {mpp.Challenge{Digest: "sha-256=:x:", Request: request(`{}`)}, mpp.ErrUnsupported},
		"fail/currency":       {mpp.Challenge{Request: request(`{"amount":"1","currency":"usd",` + details + `}`)}, mpp.ErrUnsupported},
		"fail/zero":           {mpp.Challenge{Request: request(`{"amount":"0","currency":"sat",` + details + `}`)}, mpp.ErrMalformed},
		"fail/negative":       {mpp.Challenge{Request: request(`{"amount":"-1","currency":"sat",` + details + `}`)}, mpp.ErrMalformed},
		"fail/fraction":       {mpp.Challenge{Request: request(`{"amount":"1.5","currency":"sat",` + details + `}`)}, mpp.ErrMalformed},
		"fail/number":         {mpp.Challenge{Request: request(`{"amount":1,"currency":"sat",` + details + `}`)}, mpp.ErrMalformed},
		"fail/too much":       {mpp.Challenge{Request: request(`{"amount":"2100000000000001","currency":"sat",` + details + `}`)}, mpp.ErrMalformed},
		"fail/no invoice":     {mpp.Challenge{Request: request(`{"amount":"1","currency":"sat"}`)}, mpp.ErrMalformed},
		"fail/hash":           {mpp.Challenge{Request: request(`{"amount":"1","currency":"sat","methodDetails":{"invoice":"l","paymentHash":"00"}}`)}, mpp.ErrMalformed},
		"fail/not an object":  {mpp.Challenge{Request: request(`[]`)}, mpp.ErrMalformed},
		"fail/two objects":    {mpp.Challenge{Request: request(`{}{}`)}, mpp.ErrMalformed},
		"fail/not base64url":  {mpp.Challenge{Request: "e30+"}, mpp.ErrMalformed},
		"fail/line break":     {mpp.Challenge{Request: "e3\n0"}, mpp.ErrMalformed},
		"fail/padding":        {mpp.Challenge{Request: "e30=="}, mpp.ErrMalformed},
		"fail/loose bits":     {mpp.Challenge{Request: "e31"}, mpp.ErrMalformed},
		"fail/not UTF-8":      {mpp.Challenge{Request: request("{\"amount\":\"\xff\"}")}, mpp.ErrMalformed},
		"fail/over the limit": {mpp.Challenge{Request: request(long)}, mpp.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := tt.c
			if c.Method == "" {
				c.Method = mpp.Method
			}
			if c.Intent == "" {
				c.Intent = mpp.IntentCharge
			}
			if _, err := c.Charge(); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestChallengeHeaders(t *testing.T) {
	full := `Payment id="i", realm="r", method="lightning", intent="charge", request="e30"`
	realm := func(text string) []string { return []string{strings.Replace(full, `"r"`, `"`+text+`"`, 1)} }
	tests := map[string]struct {
		lines []string
		n     int
		fails bool
	}{
		"ok/none":                {nil, 0, false},
		"ok/other scheme":        {[]string{`Basic realm="x"`}, 0, false},
		"ok/one":                 {[]string{full}, 1, false},
		"ok/two in one line":     {[]string{full + ", " + full}, 2, false},
		"ok/case and tokens":     {[]string{`pAyMeNt ID=i, Realm=r, method=lightning, intent=charge, request=e30`}, 1, false},
		"ok/unknown parameter":   {[]string{full + `, color="red"`}, 1, false},
		"ok/second is good":      {[]string{"Payment id=i", full}, 1, false},
		"fail/missing id":        {[]string{strings.Replace(full, `id="i", `, "", 1)}, 0, true},
		"fail/empty realm":       {[]string{strings.Replace(full, `"r"`, `""`, 1)}, 0, true},
		"ok/twice":               {[]string{full + `, id="j"`}, 1, false},
		"fail/expires":           {[]string{full + `, expires="tomorrow"`}, 0, true},
		"ok/long":                {realm(strings.Repeat("x", 20<<10)), 1, false},
		"fail/control character": {realm("r\x01"), 0, true},
		"fail/not UTF-8":         {realm("r\xff"), 0, true},
		"fail/too long":          {realm(strings.Repeat("x", 25<<10)), 0, true},
		"fail/too long escaped":  {realm(strings.Repeat("\t", 13<<10)), 0, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := mpp.ParseChallenges(http.Header{"Www-Authenticate": tt.lines})
			if len(got) != tt.n || (err != nil) != tt.fails {
				t.Errorf("%d challenges, %v", len(got), err)
			}
		})
	}
	appended, err := mpp.ParseChallenges(http.Header{"Www-Authenticate": {full + `, id="j", request="W10"`}})
	if err != nil || len(appended) != 1 || appended[0].ID != "i" || appended[0].Request != "e30" {
		t.Errorf("of a parameter given twice the first does not count: %+v, %v", appended, err)
	}
	if err := (mpp.Challenge{ID: "a\r\nSet-Cookie: x"}).Write(http.Header{}); err == nil {
		t.Error("wrote a header with a line break")
	}
}

func TestReceipts(t *testing.T) {
	want := mpp.Receipt{Hash: preimage.Hash(), ChallengeID: "id", Time: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC)}
	h := http.Header{}
	if err := want.Write(h); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := mpp.ParseReceipt(h); err != nil || !ok || got != want {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, ok, err := mpp.ParseReceipt(http.Header{}); ok || err != nil {
		t.Errorf("none: %v, %v", ok, err)
	}
	h.Set(mpp.HeaderReceipt, request(`{"method":"card","status":"success"}`))
	if _, _, err := mpp.ParseReceipt(h); !errors.Is(err, mpp.ErrUnsupported) {
		t.Errorf("another method's: %v", err)
	}
}

func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		MasterKey, Preimage, Realm, Header, Request, Opaque, Authorization, Receipt string
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	key, err := l402.ParseMasterKey(v.MasterKey)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := l402.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := mpp.NewChallenge(keys, terms())
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if err := c.Write(h); err != nil {
		t.Fatal(err)
	}
	value, err := mpp.Credential{Challenge: c, Preimage: preimage}.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	receipt := http.Header{}
	if err := (mpp.Receipt{Hash: preimage.Hash(), ChallengeID: c.ID, Time: terms().Expires}).Write(receipt); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]string{
		"header":        {h.Get("WWW-Authenticate"), v.Header},
		"request":       {decoded(t, c.Request), v.Request},
		"opaque":        {decoded(t, c.Opaque), v.Opaque},
		"authorization": {value, v.Authorization},
		"receipt":       {decoded(t, receipt.Get(mpp.HeaderReceipt)), v.Receipt},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s:\n got %s\nwant %s", name, pair[0], pair[1])
		}
	}
}

func decoded(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// A challenge of any texts comes back as it went, through header and
// credential.
func TestTextsTravel(t *testing.T) {
	word := rapid.StringMatching(`[ -~\x{a0}-\x{2100}]{1,40}`)
	rapid.Check(t, func(t *rapid.T) {
		c := mpp.Challenge{ID: word.Draw(t, "id"), Realm: word.Draw(t, "realm"), Method: word.Draw(t, "method"),
			Intent: word.Draw(t, "intent"), Request: word.Draw(t, "request"), Description: word.Draw(t, "description")}
		h := http.Header{}
		if err := c.Write(h); err != nil {
			t.Fatal(err)
		}
		if got, err := mpp.ParseChallenges(h); err != nil || len(got) != 1 || got[0] != c {
			t.Fatalf("%+v, %v; want %+v", got, err, c)
		}
		want := mpp.Credential{Challenge: c, Preimage: preimage}
		value, err := want.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := mpp.ParseCredentials(http.Header{"Authorization": {value}}); err != nil || len(got) != 1 || got[0] != want {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	})
}

func TestProblems(t *testing.T) {
	for err, want := range map[error]string{
		nil: "payment-required", mpp.ErrWrongPreimage: "lightning/invalid-preimage", mpp.ErrMalformed: "lightning/malformed-credential",
		mpp.ErrExpired: "lightning/expired-invoice", mpp.ErrUsed: "lightning/unknown-challenge",
		mpp.ErrUnknownChallenge: "lightning/unknown-challenge", errors.New("x"): "verification-failed",
	} {
		if p := mpp.ProblemOf(err, "d"); p.Type != "https://paymentauth.org/problems/"+want || p.Status != 402 {
			t.Errorf("%v: %+v", err, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`Payment id="i", realm="r", method="lightning", intent="charge", request="e30"`, "Payment e30")
	f.Add("Payment id=i, realm=\"\xff\t\", method=m, intent=i, request=r", "")
	f.Add(`Payment id=i, realm=r, method=lightning, intent=charge, request=`+request(`{"amount":"1","currency":"sat","methodDetails":{"invoice":"x"}}`), "")
	f.Fuzz(func(t *testing.T, challenge, credential string) {
		found, _ := mpp.ParseChallenges(http.Header{"Www-Authenticate": {challenge}})
		for _, c := range found {
			h := http.Header{}
			if err := c.Write(h); err != nil {
				t.Fatalf("read and not written: %+v: %v", c, err)
			}
			if again, err := mpp.ParseChallenges(h); err != nil || len(again) != 1 || again[0] != c {
				t.Fatalf("%+v, %v; want %+v", again, err, c)
			}
			_, _ = c.Charge()
			value, err := mpp.Credential{Challenge: c, Preimage: preimage}.Authorization()
			if err != nil {
				t.Fatalf("read and not presented: %+v: %v", c, err)
			}
			if again, err := mpp.ParseCredentials(http.Header{"Authorization": {value}}); err != nil || len(again) != 1 || again[0].Challenge != c {
				t.Fatalf("presented as %+v, %v; want %+v", again, err, c)
			}
		}
		paid, _ := mpp.ParseCredentials(http.Header{"Authorization": {credential}})
		for _, c := range paid {
			if _, err := mpp.Verify(fuzzKeys, "r", c); err == nil {
				t.Fatal("verified")
			}
		}
		_, _, _ = mpp.ParseReceipt(http.Header{mpp.HeaderReceipt: {credential}})
	})
}

var fuzzKeys = func() *l402.Keyring {
	key, err := l402.NewMasterKey(bytes.NewReader(make([]byte, l402.MasterKeySize)))
	if err != nil {
		panic(err)
	}
	keys, err := l402.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	return keys
}()
