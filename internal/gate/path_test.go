package gate

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPlainPath(t *testing.T) {
	for name, want := range map[string]error{
		"/":                      nil,
		"/a/b":                   nil,
		"/a/":                    nil,
		"/a%20b":                 nil,
		"/%61pi":                 nil,
		"/a;b=c":                 nil,
		"/a.b/..c":               nil,
		"/%C3%A9":                nil,
		"/a/..%20/b":             errPathDots,
		"/a/%20/b":               errPathDots,
		"/a/.../b":               errPathDots,
		"/a%20/.b":               nil,
		"/a//b":                  errPathDots,
		"//a":                    errPathDots,
		"/a/../b":                errPathDots,
		"/a/..":                  errPathDots,
		"/./a":                   errPathDots,
		"/a/%2e%2e/b":            errPathDots,
		"/a/.%2E/b":              errPathDots,
		"/a/..;x/b":              errPathDots,
		"/a/;/b":                 errPathDots,
		"/a%2fb":                 errPathEncoded,
		"/a%2Fb":                 errPathEncoded,
		"/a%5cb":                 errPathEncoded,
		`/a\b`:                   errPathEncoded,
		"/a%00":                  errPathEncoded,
		"/a%0d%0aX:1":            errPathEncoded,
		"/%ff":                   errPathUTF8,
		"/%c0%ae%c0%ae/b":        errPathUTF8,
		"/%252e%252e/b":          errPathTwice,
		"/%2561pi":               errPathTwice,
		"/100%25":                nil,
		"/100%25%20off":          nil,
		"/%EF%BC%8E%EF%BC%8E/b":  errPathDots, // fullwidth dots
		"/a%EF%BC%8F..%EF%BC%8F": errPathDots,
		"/%E2%80%A5/b":           errPathDots, // two dot leader
		"/1%EF%BC%8E5":           nil,
		"/a?b%20c":               nil,
		"*":                      errPathForm,
		"http://other.test/../":  errPathDots,
	} {
		u, err := url.ParseRequestURI(name)
		if err != nil {
			if name != "*" {
				t.Fatalf("%s: %v", name, err)
			}
			u = &url.URL{Path: "*"}
		}
		if got := plainPath(&http.Request{URL: u}); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestPlainHost(t *testing.T) {
	for in, want := range map[string]string{
		"Shop.Test": "shop.test", "shop.test.": "shop.test", "SHOP.test.:80": "shop.test:80",
		"[::1]:80": "[::1]:80", "": "", "user@shop.test": "!", "shop.test/a": "!", "shop test": "!",
		"shop.test\x00": "!", "shop.test,other.test": "!", "shop.test%2e": "!", "sh\u00f6p.test": "!",
	} {
		got, err := plainHost(&http.Request{Host: in})
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestWithoutParameters(t *testing.T) {
	for in, want := range map[string]string{
		"/a": "/a", "/a;x": "/a", "/a;x=1/b;y;z/c": "/a/b/c", "/a/;x": "/a/", "/;/": "//", "/a;x/": "/a/", "/a?b;c": "/a", "/a;b#c/d": "/a",
	} {
		if got := withoutParameters(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestWhatIsMatchedIsWhatTheBackendGets tries spellings of a paid path over the
// wire: each is refused, costs, or is free and arrives as the free path.
func TestWhatIsMatchedIsWhatTheBackendGets(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	for _, target := range []string{
		"/news/free/../today", "/news/free/%2e%2e/today", "/open/../news/today", "/open/..%2fnews/today",
		"/open//../news/today", "//news/today", "/%6eews/today", "/news/%74oday", "/NEWS/today", "/open\\..\\news/today",
		"/open/..;/news/today", "http://x/news/today", "/news/today?x=/news/free", "/news/free%3f/../today",
		"/health/../news/today", "/open/%252e%252e/news/today", "/news/free%00", "*",
	} {
		status := raw(t, g, "GET "+target+" HTTP/1.1\r\nHost: X\r\nConnection: close\r\n\r\n")
		if strings.Contains(status, " 500 ") || status == "" {
			t.Errorf("%s: %q", target, status)
		}
	}
	for _, r := range b.requests() {
		if p := r.URL.Path; p != "/news/free" && !strings.HasPrefix(p, "/open/") && p != "/health" || strings.Contains(p, "..") {
			t.Errorf("the backend got %s unpaid", r.URL)
		}
	}
	if got := text(t, get(t, g, "/open/%61%20b")); got != "goods of /open/a%20b" {
		t.Errorf("spelling: %s", got)
	}
}

// raw sends bytes and returns the status line.
func raw(t *testing.T, g *Gate, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(send)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	n, _ := c.Read(buf)
	line, _, _ := strings.Cut(string(buf[:n]), "\r\n")
	return line
}
