package fetch

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402"
)

// echo says what it was asked, at /to it redirects.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/to" {
		var code int
		_, _ = fmt.Sscan(r.URL.Query().Get("code"), &code)
		w.Header().Set("Location", r.URL.Query().Get("url"))
		w.WriteHeader(code)
		return
	}
	fmt.Fprintf(w, "%s %s %s", r.Method, body, r.Header.Get("Content-Type"))
}

func TestRedirectMethods(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	cases := map[string]string{
		"301 GET": "GET  ", "302 HEAD": "", "303 HEAD": "",
		"301 POST": "GET  ", "302 POST": "GET  ", "303 POST": "GET  ", "307 POST": "POST x text/plain", "308 POST": "POST x text/plain",
		"301 PUT": "PUT x text/plain", "302 DELETE": "DELETE x text/plain", "303 PUT": "GET  ", "308 PATCH": "PATCH x text/plain",
	}
	for name, want := range cases {
		code, method, _ := strings.Cut(name, " ")
		r := Request{URL: server.URL + "/to?url=/show&code=" + code, Method: method, Follow: true, Header: http.Header{}}
		if method != "GET" && method != "HEAD" {
			r.Body = []byte("x")
			r.Header.Set("Content-Type", "text/plain")
		}
		var out bytes.Buffer
		r.Out = &out
		c, _ := newClient(t, nil)
		if _, err := c.Do(t.Context(), r); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v; want %q", name, out.String(), err, want)
		}
	}
	// The body goes on through a redirect that keeps it, after one that net/http drops it for.
	var out bytes.Buffer
	c, _ := newClient(t, nil)
	url := server.URL + "/to?code=302&url=" + strings.ReplaceAll("/to?code=307%26url=/show", "?", "%3f")
	if _, err := c.Do(t.Context(), Request{URL: url, Method: "PUT", Body: []byte("x"), Follow: true, Out: &out}); err != nil || out.String() != "PUT x " {
		t.Errorf("two redirects: %q, %v", out.String(), err)
	}
}

// TestRedirectOutOfTLS: what leaves https carries nothing, pays nothing, and
// stays so.
func TestRedirectOutOfTLS(t *testing.T) {
	shop := newShop(t)
	var seen []http.Header
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		if r.URL.Path == "/to" {
			echo(w, r)
			return
		}
		shop.ServeHTTP(w, r)
	}))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/to" {
			echo(w, r)
			return
		}
		shop.ServeHTTP(w, r)
	}))
	defer secure.Close()
	c, w := newClient(t, func(c *Config) { c.HTTP.AllowInsecure = true })
	w.Ledger = shop.Ledger

	// A token of the plain origin's own is there.
	if _, err := c.Do(t.Context(), Request{URL: plain.URL + "/news", Out: io.Discard}); err != nil || shop.Ledger.Payments() != 1 {
		t.Fatalf("%v", err)
	}
	seen = nil
	for _, url := range []string{
		secure.URL + "/to?code=302&url=" + plain.URL + "/news",
		secure.URL + "/to?code=302&url=" + plain.URL + "/to%3Fcode=302%26url=" + secure.URL + "/sport", // and back again
	} {
		var warned []string
		_, err := c.Do(t.Context(), Request{URL: url, Follow: true, Out: io.Discard, Header: http.Header{"X-Key": {"1"}, "Cookie": {"c"}},
			IdempotencyKey: "k", Warn: func(s string) { warned = append(warned, s) }})
		if fault.Code(err) != CodePaymentRequired || shop.Ledger.Payments() != 1 {
			t.Errorf("%s: %v, %d payments", url, err, shop.Ledger.Payments())
		}
		if len(warned) == 0 || !strings.Contains(warned[0], "from https to http://") {
			t.Errorf("warned %q", warned)
		}
	}
	for _, h := range seen {
		for _, name := range []string{"X-Key", "Cookie", "Authorization", l402.HeaderClient, headerIdempotencyKey, "Referer"} {
			if h.Get(name) != "" {
				t.Errorf("in the clear: %s: %s", name, h.Get(name))
			}
		}
	}
	_, err := c.Do(t.Context(), Request{URL: secure.URL + "/to?code=307&url=" + plain.URL + "/free", Body: []byte("secret"), Follow: true, Out: io.Discard})
	if fault.Code(err) != CodeBadRedirect {
		t.Errorf("a body: %v", err)
	}
}

// TestRedirectElsewhere: where there is no http.
func TestRedirectElsewhere(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	for _, to := range []string{"file:///etc/passwd", "ftp://shop.example/", "javascript:1", "http:///path", "data:,x"} {
		c, _ := newClient(t, nil)
		_, err := c.Do(t.Context(), Request{URL: server.URL + "/to?code=302&url=" + to, Follow: true, Out: io.Discard})
		if fault.Code(err) != CodeBadRedirect {
			t.Errorf("%s: %v", to, err)
		}
	}
}
