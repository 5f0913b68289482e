package l402

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

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
