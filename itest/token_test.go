package itest

import (
	"encoding/base64"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// challengeForm is the challenge as other people's programs read it.
var challengeForm = regexp.MustCompile(`^L402 macaroon="([^"]+)", invoice="([^"]+)"`)

// credential is a token that was paid for by hand.
type credential struct{ macaroon, preimage string }

// buy takes the challenge of a URL, pays it, and returns what it bought.
func (w *world) buy(t *testing.T, url string) credential {
	t.Helper()
	resp := ask(t, url, "")
	if resp.StatusCode != http.StatusPaymentRequired {
		t.Fatalf("%s: status %d, want 402", url, resp.StatusCode)
	}
	for _, line := range resp.Header.Values("WWW-Authenticate") {
		if m := challengeForm.FindStringSubmatch(line); m != nil {
			return credential{macaroon: m[1], preimage: payInvoice(t, w.buyerNode(), m[2])}
		}
	}
	t.Fatalf("no challenge in %q", resp.Header)
	return credential{}
}

func (c credential) header(scheme string) string { return scheme + " " + c.macaroon + ":" + c.preimage }

func ask(t *testing.T, url, authorization string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestCredentials presents what was bought, and what was made of it.
func TestCredentials(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate := w.gate(t, false, back.services()...)
	good, other := w.buy(t, gate.URL+"/a"), w.buy(t, gate.URL+"/dear")
	raw, err := base64.StdEncoding.DecodeString(good.macaroon)
	if err != nil {
		t.Fatal(err)
	}
	tampered := func(at int) string {
		bad := append([]byte(nil), raw...)
		bad[at] ^= 1
		return base64.StdEncoding.EncodeToString(bad)
	}
	dearer := base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(raw), "cheap", "dear!", 1)))

	cases := map[string]struct {
		path, authorization string
		status              int
	}{
		"ok/L402":                 {"/a", good.header("L402"), http.StatusOK},
		"ok/LSAT":                 {"/a", good.header("LSAT"), http.StatusOK},
		"ok/scheme in lower case": {"/a", good.header("l402"), http.StatusOK},
		"ok/same service":         {"/b", good.header("L402"), http.StatusOK},
		"ok/other service":        {"/dear", other.header("L402"), http.StatusOK},
		"fail/nothing":            {"/a", "", http.StatusPaymentRequired},
		"fail/preimage of other":  {"/a", credential{good.macaroon, other.preimage}.header("L402"), http.StatusPaymentRequired},
		"fail/no preimage":        {"/a", "L402 " + good.macaroon + ":", http.StatusPaymentRequired},
		"fail/zero preimage":      {"/a", credential{good.macaroon, strings.Repeat("0", 64)}.header("L402"), http.StatusPaymentRequired},
		"fail/tampered signature": {"/a", credential{tampered(len(raw) - 3), good.preimage}.header("L402"), http.StatusPaymentRequired},
		"fail/tampered middle":    {"/a", credential{tampered(len(raw) / 2), good.preimage}.header("L402"), http.StatusPaymentRequired},
		"fail/renamed service":    {"/dear", credential{dearer, good.preimage}.header("L402"), http.StatusPaymentRequired},
		"fail/cheap token, dear":  {"/dear", good.header("L402"), http.StatusPaymentRequired},
		"fail/dear token, cheap":  {"/a", other.header("L402"), http.StatusPaymentRequired},
		"fail/no base64":          {"/a", "L402 %%%:" + good.preimage, http.StatusPaymentRequired},
		"fail/basic":              {"/a", "Basic dXNlcjpwYXNz", http.StatusPaymentRequired},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			resp := ask(t, gate.URL+c.path, c.authorization)
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, c.status)
			}
			if challenges := len(resp.Header.Values("WWW-Authenticate")); (challenges > 0) != (c.status == http.StatusPaymentRequired) {
				t.Errorf("status %d with %d challenges", resp.StatusCode, challenges)
			}
		})
	}
	if n := back.requests.Load(); n != 5 {
		t.Errorf("the backend saw %d requests, want the 5 that were paid for", n)
	}
}

// TestLargeBodies passes the gate in both directions at once, again and again:
// an answer that begins while the request's end is still being looked for must
// not break off.
func TestLargeBodies(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	gate := w.gate(t, false, back.services()...)
	paid := w.buy(t, gate.URL+"/a")
	body := strings.Repeat("large ", 50_000)
	for i := range 200 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gate.URL+"/a", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", paid.header("L402"))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != answer("POST", "/a", body) {
			t.Fatalf("request %d: %d bytes of %d, %v", i, len(got), len(answer("POST", "/a", body)), err)
		}
	}
}
