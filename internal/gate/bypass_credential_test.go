package gate

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/leydenln/leyden/l402"
)

// bought is a credential with all that must not reach a backend.
type bought struct {
	authorization string // L402 …
	token         string // base64
	macaroon      string // hex, the preimage inside
	nonce         string
	secrets       [][]byte
}

func buyAll(t *testing.T, g *Gate, node *fakeNode, path string) bought {
	t.Helper()
	c := challenge(t, get(t, g, path))
	preimage := node.settle(t, c.Invoice, false)
	inside, err := c.Tokens[0].Attenuate(l402.Caveat{Key: "preimage", Value: preimage.String()})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := inside.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	nonce, err := l402.NewClientNonce(zeros{})
	if err != nil {
		t.Fatal(err)
	}
	b := bought{
		authorization: l402.Credential{Tokens: c.Tokens, Preimage: preimage}.Authorization(l402.SchemeL402),
		token:         c.Tokens[0].Base64(), macaroon: hex.EncodeToString(raw), nonce: nonce.String(),
	}
	b.secrets = [][]byte{[]byte(preimage.String()), []byte(strings.ToUpper(preimage.String())), preimage[:], []byte(b.token), []byte(b.macaroon),
		raw, []byte(b.nonce), []byte(base64.StdEncoding.EncodeToString(preimage[:]))}
	return b
}

// zeros is a source of numbers that anybody could guess.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestCredentialStaysAtTheGate sends good credentials in every form that is
// read, beside others and in several lines: what the backend gets has nothing
// of them, and everything else.
func TestCredentialStaysAtTheGate(t *testing.T) {
	r, node := newRecorder(t, recorderAnswer), newFakeNode()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(shopServices, r.addr()))
	b := buyAll(t, g, node, "/paid/x")
	_, pair, _ := strings.Cut(b.authorization, " ")
	lsat := "LSAT " + pair
	forms := []string{
		"Authorization: " + b.authorization, "Authorization: " + lsat, "authorization: l402 " + pair, "AUTHORIZATION:  L402   " + pair,
		"Authorization: lSaT\t" + pair, "Authorization: " + b.authorization + "\r\nAuthorization: " + lsat,
		"Authorization: " + lsat + ", " + b.authorization, "Authorization: Basic a2VlcDptZQ==\r\nAuthorization: " + b.authorization,
		"Authorization: Basic a2VlcDptZQ==, " + b.authorization, "Authorization: " + b.authorization + ", Basic a2VlcDptZQ==",
		"Macaroon: " + b.macaroon, "Token: " + b.macaroon, "Grpc-Metadata-Macaroon: " + b.macaroon, "Grpc-Metadata-Token: " + b.macaroon,
		"macaroon: " + strings.ToUpper(b.macaroon), "Macaroon: 00\r\nMacaroon: " + b.macaroon,
		"Authorization: " + b.authorization + "\r\nMacaroon: " + b.macaroon + "\r\nToken: " + b.macaroon,
		"Authorization: L402 garbage\r\nAuthorization: " + b.authorization, "Authorization: " + b.authorization + "\r\nAuthorization: L402 " + b.token,
		"Authorization: " + b.authorization + "\r\nConnection: Authorization, X-Forwarded-For, X-Keep, keep-alive",
		"L402-Client: " + b.nonce + "\r\nAuthorization: " + b.authorization,
		"Cookie: a=b; l402_client=" + b.nonce + "; c=d\r\nAuthorization: " + b.authorization,
		"Cookie: l402_client=" + b.nonce + "\r\nCookie: a=b\r\nAuthorization: " + b.authorization,
		"Cookie: l402_client=\"" + b.nonce + "\"\r\nAuthorization: " + b.authorization,
		"L402_Client: " + b.nonce + "\r\nGrpc_Metadata_Macaroon: " + b.macaroon + "\r\nAuthorization: " + b.authorization,
		"Authorization: L402\r\n " + pair, "Authorization:\r\n " + b.authorization,
		"Proxy-Authorization: " + b.authorization + "\r\nAuthorization: " + b.authorization,
	}
	for _, form := range forms {
		for _, path := range []string{"/paid/x", "/paid/free", "/elsewhere"} {
			before := string(r.bytes())
			answer := exchange(t, g.Addr(), "GET "+path+" HTTP/1.1\r\nHost: x\r\nX-Keep: kept\r\nConnection: close\r\n"+form+"\r\n\r\n")
			if !strings.HasPrefix(answer, "HTTP/1.1 200") {
				t.Errorf("%s, %.60q: %.80q", path, form, answer)
			}
			for ours, theirs := range map[string]string{"a2VlcDptZQ==": "\r\nAuthorization: Basic a2VlcDptZQ==\r\n", "a=b": "\r\nCookie: a=b"} {
				after := string(r.bytes())
				if strings.Contains(form, ours) && strings.Count(after, theirs) != strings.Count(before, theirs)+1 {
					t.Errorf("%s, %.60q: something else went as well", path, form)
				}
			}
		}
	}
	keepsSecrets(t, r, b)
}

// keepsSecrets checks that nothing of a credential is among the bytes that the
// backend got.
func keepsSecrets(t *testing.T, r *recorder, b bought) {
	t.Helper()
	all := r.bytes()
	for i, secret := range b.secrets {
		if at := bytes.Index(all, secret); at >= 0 {
			t.Errorf("secret %d reached the backend: %q", i, all[max(0, at-100):min(len(all), at+20)])
		}
	}
}

// TestCredentialThatOpensNothing is refused, and not shown to the backend of a
// free path either.
func TestCredentialThatOpensNothing(t *testing.T) {
	r, node := newRecorder(t, recorderAnswer), newFakeNode()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(shopServices, r.addr()))
	b := buyAll(t, g, node, "/paid/x")
	_, pair, _ := strings.Cut(b.authorization, " ")
	token, preimage, _ := strings.Cut(pair, ":")
	wrong := strings.Repeat("0", len(preimage))
	for _, form := range []string{
		"Authorization: L402 " + token, "Authorization: L402 " + token + ":", "Authorization: L402 " + token + ":" + wrong,
		"Authorization: L402 " + token + ":" + preimage[:62], "Authorization: L402 " + token + ":" + preimage + "00", "Authorization: L402 :" + preimage,
		"Authorization: L402 " + token[:len(token)-8] + ":" + preimage, "Authorization: Bearer " + pair, "Authorization: " + pair,
		"Authorization: Basic " + pair, "Authorization: L402" + pair, "Authorization: \"" + b.authorization + "\"", "Proxy-Authorization: " + b.authorization,
		"X-Authorization: " + b.authorization, "Cookie: Authorization=" + b.authorization, "Macaroon: " + token, "Macaroon: " + hexOf(t, token),
		"Authorization : " + b.authorization, "X: y\r\nAuthorization\t: " + b.authorization,
		"Www-Authenticate: " + b.authorization, "Payment-Receipt: x", "X-Forwarded-For: 127.0.0.1\r\nX-Paid: true", "L402-Charged: no", "Authorization: L402 token=\"" + token + "\", preimage=\"" + preimage + "\"",
	} {
		answer := exchange(t, g.Addr(), "GET /paid/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+form+"\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 402") && !strings.HasPrefix(answer, "HTTP/1.1 400") {
			t.Errorf("%.60q: %.80q", form, answer)
		}
	}
	for _, path := range []string{"?Authorization=", "?token=", "/"} {
		answer := exchange(t, g.Addr(), "GET /paid/x"+path+strings.ReplaceAll(b.authorization, " ", "%20")+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 402") && !strings.HasPrefix(answer, "HTTP/1.1 400") {
			t.Errorf("%s: %.80q", path, answer)
		}
	}
	for _, body := range []string{"5\r\nhello\r\n0\r\nAuthorization: " + b.authorization + "\r\n\r\n"} {
		answer := exchange(t, g.Addr(), "POST /paid/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\nConnection: close\r\n\r\n"+body)
		if !strings.HasPrefix(answer, "HTTP/1.1 402") && !strings.HasPrefix(answer, "HTTP/1.1 400") {
			t.Errorf("in a trailer: %.80q", answer)
		}
	}
	if got := r.requests(); len(got) != 0 {
		t.Errorf("the backend got %q", got)
	}
}

func hexOf(t *testing.T, token string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(raw)
}

// TestTokenOfAnotherService opens neither a dearer service nor one of the same
// path under another name.
func TestTokenOfAnotherService(t *testing.T) {
	r, node := newRecorder(t, recorderAnswer), newFakeNode()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(shopServices, r.addr()))
	b := buyAll(t, g, node, "/paid/x")
	answer := exchange(t, g.Addr(), "GET /x HTTP/1.1\r\nHost: dear.test\r\nConnection: close\r\nAuthorization: "+b.authorization+"\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 402") || len(r.requests()) != 0 {
		t.Errorf("%.80q, %q", answer, r.requests())
	}
}

// TestPassCredential hands all of it on where the seller asks for that.
func TestPassCredential(t *testing.T) {
	r, node := newRecorder(t, recorderAnswer), newFakeNode()
	g := openGate(t, t.TempDir(), node, fmt.Sprintf("services: [{name: a, passcredential: true, address: %q}]\n", r.addr()))
	b := buyAll(t, g, node, "/x")
	resp := get(t, g, "/x", "Authorization", b.authorization, "L402-Client", b.nonce)
	got := string(r.bytes())
	if resp.StatusCode != http.StatusOK || !strings.Contains(got, "Authorization: "+b.authorization+"\r\n") || !strings.Contains(got, b.nonce) {
		t.Errorf("status %d, the backend got %q", resp.StatusCode, got)
	}
}
