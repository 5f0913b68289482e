package l402http_test

import (
	"net/url"
	"testing"

	"github.com/leydenln/leyden/l402/l402http"
)

// TestOrigin: what is one host to DNS is one origin, and nothing else is.
func TestOrigin(t *testing.T) {
	cases := map[string]struct{ url, origin, host string }{
		"ok/default port":              {"http://shop.example/a?b", "http://shop.example:80", "shop.example"},
		"ok/upper case":                {"HTTPS://SHOP.Example", "https://shop.example:443", "shop.example"},
		"ok/user, port, dot":           {"http://u:p@shop.example.:8080/", "http://shop.example:8080", "shop.example"},
		"ok/empty port":                {"http://shop.example:/", "http://shop.example:80", "shop.example"},
		"ok/IPv6":                      {"http://[2001:DB8::1]/", "http://[2001:db8::1]:80", "2001:db8::1"},
		"ok/IPv6 with a zone":          {"http://[fe80::1%25eth0]:81/", "http://[fe80::1%25eth0]:81", "fe80::1%eth0"},
		"ok/another script":            {"http://bücher.example/", "http://xn--bcher-kva.example:80", "xn--bcher-kva.example"},
		"ok/another script, upper":     {"http://BÜCHER.example/", "http://xn--bcher-kva.example:80", "xn--bcher-kva.example"},
		"ok/as DNS has it":             {"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example:80", "xn--bcher-kva.example"},
		"ok/Kelvin is k to DNS too":    {"http://ban\u212a.example/", "http://bank.example:80", "bank.example"},
		"fail/dotted I is no i":        {"http://b\u0130ng.example/", "http://xn--bing-rwc.example:80", "xn--bing-rwc.example"},
		"fail/dotted I, escaped":       {"http://b%C4%B0ng.example/", "http://xn--bing-rwc.example:80", "xn--bing-rwc.example"},
		"fail/what DNS cannot have":    {"http://a\u2028B.example/", "http://a\u2028b.example:80", "a\u2028b.example"},
		"fail/port in another writing": {"http://shop.example:080/", "http://shop.example:080", "shop.example"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(c.url)
			if err != nil {
				t.Fatal(err)
			}
			o := l402http.OriginOf(u)
			if string(o) != c.origin || o.Host() != c.host {
				t.Errorf("%q of host %q, want %q of %q", o, o.Host(), c.origin, c.host)
			}
		})
	}
}
