package gate

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"
)

// shopServices is a shop whose owner has made the widest hole that can be made
// by rights: what no service sells is free.
const shopServices = `services:
  - {name: data, pathregexp: '^/paid(/|$)', authwhitelistpaths: ['^/paid/free(/|$)'], price: 5, address: %[1]q}
  - {name: dear, hostregexp: '^dear\.test$', price: 500, address: %[1]q}
  - {name: site, auth: off, pathregexp: '^/', address: %[1]q}
`

// readings are how backends may read a path that they get. Each is something
// that a server in use does; what the gate cannot know (case, extensions, a
// slash at the end) is not among them: docs/gate.md says how to write the
// expressions for a backend that overlooks these.
var readings = map[string]func(string) string{
	"as it is":                         func(p string) string { return p },
	"decoded":                          decode,
	"decoded twice":                    func(p string) string { return decode(decode(p)) },
	"cleaned, as Go's ServeMux does":   func(p string) string { return path.Clean("/" + decode(p)) },
	"decoded twice and cleaned":        func(p string) string { return path.Clean("/" + decode(decode(p))) },
	"without parameters, as Java's do": func(p string) string { return path.Clean("/" + withoutParameters(decode(p))) },
	"up to a question mark":            func(p string) string { before, _, _ := strings.Cut(decode(p), "?"); return before },
	"without spaces, as Windows does":  func(p string) string { return path.Clean("/" + strings.ReplaceAll(decode(p), " ", "")) },
	"backslashes as slashes":           func(p string) string { return path.Clean("/" + strings.ReplaceAll(decode(p), `\`, "/")) },
	"up to a nul":                      func(p string) string { before, _, _ := strings.Cut(decode(p), "\x00"); return before },
	"in one Unicode form":              func(p string) string { return path.Clean("/" + norm.NFKC.String(decode(p))) },
	"without control characters": func(p string) string {
		return path.Clean("/" + strings.Map(func(c rune) rune {
			if c < ' ' {
				return -1
			}
			return c
		}, decode(p)))
	},
}

// decode decodes what can be decoded and leaves the rest.
func decode(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) && isHex(p[i+1]) && isHex(p[i+2]) {
			var c byte
			_, _ = fmt.Sscanf(p[i+1:i+3], "%02x", &c)
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

// sells reports whether a path is one that the shop sells.
func sells(p string) bool {
	return (p == "/paid" || strings.HasPrefix(p, "/paid/")) && p != "/paid/free" && !strings.HasPrefix(p, "/paid/free/")
}

// nothingUnpaid checks that no request that reached the backend is one for
// what is sold, however the backend reads it.
func nothingUnpaid(t *testing.T, r *recorder) {
	t.Helper()
	for _, got := range r.requests() {
		line, _, _ := strings.Cut(got, "\r\n")
		method, rest, _ := strings.Cut(line, " ")
		target, _, ok := strings.Cut(rest, " HTTP/1.1")
		if !ok || method == "" || !strings.HasPrefix(target, "/") {
			t.Errorf("the backend got %q", got)
			continue
		}
		target, _, _ = strings.Cut(target, "?")
		for name, read := range readings {
			if sells(read(target)) {
				t.Errorf("a backend that reads paths %s got %q unpaid", name, line)
			}
		}
	}
}

// spellings are ways to write a path that is for sale, each with what may be
// free before it.
func spellings() []string {
	paid := []string{
		"/paid/x", "/%70aid/x", "/p%61id/x", "/%50aid/x", "/paid%2fx", "/paid%2Fx", "/paid%5cx", `/paid\x`, "/paid;a=b/x",
		"/;/paid/x", "/paid/free;/../x", "/.;a/paid/x", "/%2570aid/x", "/%252570aid/x", "/paid%00/x", "/paid/x%00", "/paid%0a/x",
		"/pa%0aid/x", "/pa%09id/x", "/pa%c2%adid/x", "/%c0%afpaid/x", "/%e0%80%afpaid/x", "/%c1%b0aid/x", "/%u0070aid/x",
		"/paid/%zz", "/paid/%", "/paid/%2", "//paid/x", "///paid/x", "/./paid/x", "/%2e/paid/x", "/paid//x", "/paid/./x", "/paid/%2e/x",
		"/x/../paid/x", "/x/%2e%2e/paid/x", "/x/.%2e/paid/x", "/x/%2E./paid/x", "/x/..%2fpaid/x", "/x/..%5cpaid/x", `/x/..\paid/x`,
		"/x/..;/paid/x", "/x/..;a=b/paid/x", "/x/%252e%252e/paid/x", "/x/%25252e%25252e/paid/x", "/x/..%252fpaid/x", "/x/..%c0%afpaid/x",
		"/x/%c0%ae%c0%ae/paid/x", "/x/%e0%80%ae%e0%80%ae/paid/x", "/x/%ef%bc%8e%ef%bc%8e/paid/x", "/x/%e2%80%a5/paid/x",
		"/x/..%ef%bc%8fpaid/x", "/x%ef%bc%8f..%ef%bc%8fpaid/x", "/x/..%00/paid/x", "/x/..%0d/paid/x", "/x/..%20/paid/x", "/x/%20../paid/x", "/x/..%20./paid/x", "/paid%3fx", "/paid%23x", "/paid%3f/../x", "/x/...//paid/x",
		"/x/....//paid/x", "/../paid/x", "/..//../paid/x", "/x/../../../../paid/x", "/paid/free/../x", "/paid/free/%2e%2e/x",
		"/paid/free/..;/x", "/paid/free%2f..%2fx", "/paid/free/..%2fx", "/paid/free/%252e%252e%252fx", "/paid/free%3f/../x",
		"/paid/free%23/../x", "/paid/free/..\\x", "/paid/free/.%00./x", "/paid/freebie", "/paid/free%2fx/..%2f..", "/paid/free;/..;/x",
	}
	odd := []string{"", "/", "*", "paid/x", "?/paid/x", "#/paid/x", ":80/paid/x", "@/paid/x", "x:y@z/paid/x", "//x@y/../paid/x",
		"http://", "http:///paid/x", "http:/paid/x", "http://x/paid/x", "HTTP://x/paid/x", "https://x/paid/x", "ftp://x/paid/x",
		"http://x/x/../paid/x", "http://x@y/paid/x", "http://x:80/paid/x", "http://x?/paid/x", "http://x#/paid/x", "http://x\\/paid/x",
		"http://x%2fpaid/x", "file:///paid/x", "javascript:/paid/x", "//paid/x", "//x/paid/x", "/\\x/paid/x", "\\paid\\x", "/paid/x HTTP/1.1",
		"/x\tHTTP/1.1 /paid/x", "/x\x00/paid/x", "/x\x0b/paid/x", "/x\x7f", "/x\x80", "/\xff", "/x?/../paid/x", "/x?y=/paid/x", "/x?%00", "/x?a b",
		"/x#/../paid/x", "/x?#/../../paid/x", "/paid", "/paid/", "/paid?x", "/paid#x", "/paid;x", "/paid;x/y", "/x;/../paid"}
	return append(paid, odd...)
}

// TestBypassByPath sends every spelling in every form of a request's target.
func TestBypassByPath(t *testing.T) {
	r := newRecorder(t, recorderAnswer)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(shopServices, r.addr()))
	var attacks []string
	for _, target := range spellings() {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS", "get", "PROPFIND", "CONNECT", "TRACE"} {
			attacks = append(attacks, method+" "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
		attacks = append(attacks, "GET "+target+"\r\n\r\n", "GET "+target+" HTTP/1.0\r\n\r\n", "GET "+target+" HTTP/0.9\r\n\r\n",
			"GET "+target+" HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n", "GET  "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"GET\t"+target+"\tHTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "\r\nGET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	attackAll(t, g, attacks, quiet)
	nothingUnpaid(t, r)
	if len(r.requests()) < 50 {
		t.Errorf("only %d requests reached the backend: the suite tries nothing", len(r.requests()))
	}
}

// attackAll sends each attack on a connection of its own, several at a time.
// None may make the gate itself fail.
func attackAll(t *testing.T, g *Gate, attacks []string, silence time.Duration) {
	t.Helper()
	queue, done := make(chan string), make(chan struct{})
	const attackers = 32
	for range attackers {
		go func() {
			defer func() { done <- struct{}{} }()
			for attack := range queue {
				if answer, err := tryExchange(g.Addr(), attack, silence); err != nil || strings.HasPrefix(answer, "HTTP/1.1 500") {
					t.Errorf("%q: %q, %v", attack, answer, err)
				}
			}
		}()
	}
	for _, attack := range attacks {
		queue <- attack
	}
	close(queue)
	for range attackers {
		<-done
	}
}

func tryExchange(addr net.Addr, send string, silence time.Duration) (string, error) {
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	return converse(c, send, silence), nil
}

// TestBypassByHost: the dear service is chosen by its host, which must not be
// hidden, and its path must not be bought at the price of another.
func TestBypassByHost(t *testing.T) {
	r := newRecorder(t, recorderAnswer)
	services := strings.Replace(shopServices, "name: site, auth: off,", `name: site, auth: off, hostregexp: '^site\.test$',`, 1)
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(services, r.addr()))
	var attacks []string
	for _, host := range []string{
		"dear.test", "DEAR.TEST", "dear.test.", "Dear.Test.", "dear.test:80", "dear.test.:80", "dear.test:", "user@dear.test", "site.test@dear.test",
		"dear.test@site.test", "dear.test/", "dear.test\\", "dear.test#site.test", "dear.test?site.test", "dear.test site.test", "dear.test,site.test",
		"dear.test\tsite.test", "dear%2etest", "[dear.test]", "dear.test\x00.site.test", "site.test\r\nHost: dear.test", "site.test\r\nhost:dear.test",
		"site.test\r\n Host: dear.test", "site.test\r\nHost : dear.test", "site.test\r\nX-Forwarded-Host: dear.test", "site.test\r\nX-Host: dear.test",
		"site.test\r\nX-Original-Host: dear.test", "site.test\r\nForwarded: host=dear.test", "site.test\r\nX-HTTP-Host-Override: dear.test",
		"site.test\r\nX_Forwarded_Host: dear.test", "dear.test\xc2\xad", "d\xc3\xa9ar.test", "\uff44ear.test",
	} {
		attacks = append(attacks, "GET /goods HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n",
			"GET http://dear.test/goods HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n",
			"GET http://"+url.PathEscape(host)+"/goods HTTP/1.1\r\nHost: dear.test\r\nConnection: close\r\n\r\n")
	}
	attacks = append(attacks, "GET /goods HTTP/1.1\r\nConnection: close\r\n\r\n", "GET http://site.test@dear.test/goods HTTP/1.0\r\n\r\n")
	attackAll(t, g, attacks, quiet)
	for _, got := range r.requests() {
		rest := strings.Replace(got, "X-Forwarded-Host: site.test", "", 1)
		if strings.Contains(strings.ToLower(rest), "dear") || !strings.Contains(got, "X-Forwarded-Host: site.test\r\n") {
			t.Errorf("the backend got %q", got)
		}
	}
	if len(r.requests()) == 0 {
		t.Error("nothing reached the backend: the suite tries nothing")
	}
}
