package lnget_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// say answers every connection with those bytes, read request after request.
func say(t *testing.T, text string) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, text)
				}
			}()
		}
	}()
	return "http://" + lis.Addr().String()
}

// TestHostileWords: answers that are not what they should be.
func TestHostileWords(t *testing.T) {
	head := func(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }
	challenge := func(c string) string {
		return head("HTTP/1.1 402 Payment Required", "WWW-Authenticate: "+c, "Content-Length: 0")
	}
	cases := map[string]struct {
		answer string
		exit   int
		code   string
	}{
		"nothing":                  {"", 4, fetch.CodeNetwork},
		"not HTTP":                 {"SSH-2.0-OpenSSH\r\n", 4, fetch.CodeNetwork},
		"HTTP/0.9":                 {"<html>", 4, fetch.CodeNetwork},
		"a header bomb":            {head("HTTP/1.1 200 OK", "X: "+strings.Repeat("x", 20<<20)), 4, fetch.CodeNetwork},
		"a bomb of headers":        {head("HTTP/1.1 200 OK", strings.Repeat("X: x\r\n", 1<<20)+"Y: y"), 4, fetch.CodeNetwork},
		"hints without end":        {strings.Repeat(head("HTTP/1.1 103 Early Hints", "Link: </x>"), 10_000), 4, fetch.CodeNetwork},
		"two lengths":              {head("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2") + "xx", 4, fetch.CodeNetwork},
		"a length below 0":         {head("HTTP/1.1 200 OK", "Content-Length: -1"), 4, fetch.CodeNetwork},
		"a length of everything":   {head("HTTP/1.1 200 OK", "Content-Length: 9223372036854775807") + "x", 4, fetch.CodeNetwork},
		"broken chunks":            {head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "zz\r\n", 4, fetch.CodeNetwork},
		"chunks cut short":         {head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "5\r\nhel", 4, fetch.CodeNetwork},
		"an escape in the reason":  {head("HTTP/1.1 404 \x1b[31mred\x1b]0;title\x07", "Content-Length: 0"), 1, fetch.CodeHTTPError},
		"an escape in a header":    {head("HTTP/1.1 200 OK", "Content-Type: \x1b[2J", "Content-Length: 0"), 4, fetch.CodeNetwork},
		"an escape in a challenge": {challenge("L402 macaroon=\"\x1b[2J\", invoice=\"\x1b[2J\u009b\""), 4, fetch.CodeNetwork},
		"an escape in a redirect":  {head("HTTP/1.1 302 Found", "Location: http://\x1b[2J/", "Content-Length: 0"), 4, fetch.CodeNetwork},
		"a scheme alone":           {challenge("L402"), 1, l402http.CodeBadChallenge},
		"empty parameters":         {challenge(`L402 macaroon="", invoice=""`), 1, l402http.CodeBadChallenge},
		"an open quote":            {challenge(`L402 macaroon="AgEE, invoice=lnbc`), 1, l402http.CodeBadChallenge},
		"twice the same parameter": {challenge(`L402 macaroon="a", macaroon="b", invoice="c"`), 1, l402http.CodeBadChallenge},
		"a thousand challenges":    {challenge(strings.TrimSuffix(strings.Repeat(`L402 macaroon="a", invoice="b", `, 1000), ", ")), 1, l402http.CodeBadChallenge},
		"a huge challenge":         {challenge(`L402 macaroon="` + strings.Repeat("A", 200<<10) + `", invoice="b"`), 1, l402http.CodeBadChallenge},
		"no challenge":             {head("HTTP/1.1 402 Payment Required", "Content-Length: 0"), 1, fetch.CodePaymentRequired},
		"a price without a 402":    {head("HTTP/1.1 200 OK", `WWW-Authenticate: L402 macaroon="a", invoice="b"`, "Content-Length: 0"), 0, ""},
		"a redirect to nowhere":    {head("HTTP/1.1 302 Found", "Location: http://", "Content-Length: 0"), 1, fetch.CodeBadRedirect},
		"a redirect to a file":     {head("HTTP/1.1 302 Found", "Location: file:///etc/passwd", "Content-Length: 0"), 1, fetch.CodeBadRedirect},
		"a switch of protocols":    {head("HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: Upgrade"), 4, fetch.CodeNetwork},
		"a status of nine hundred": {head("HTTP/1.1 999 No", "Content-Length: 0"), 1, fetch.CodeHTTPError},
		"a status of four digits":  {head("HTTP/1.1 2000 OK", "Content-Length: 0"), 4, fetch.CodeNetwork},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			v.env = append(v.env, "LNGET_HTTP_TIMEOUT=20s")
			url := say(t, c.answer)
			v.expect(v.run("--json", url), c.exit, c.code)
			human := v.run("-v", "--human", "--no-pay", url)
			v.plain(human.err + human.out)
			v.paid(0)
		})
	}
}

// TestHostileBodies: without end, and larger than they look.
func TestHostileBodies(t *testing.T) {
	forever := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	}
	t.Run("of a 402", func(t *testing.T) {
		t.Parallel()
		v := newVictim(t)
		url := v.serve(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				fmt.Fprint(w, "goods")
				return
			}
			v.charge(w, r, fetchtest.Invoice{Amount: 2000}, nil, nil)
			forever(w, r)
		})
		r := v.run("--json", "--no-pay", url)
		v.expect(r, 0, "")
		v.expect(v.run("-q", "--json", url), 0, "")
		v.paid(1)
	})
	t.Run("of a redirect", func(t *testing.T) {
		t.Parallel()
		v := newVictim(t)
		url := v.serve(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				fmt.Fprint(w, "there")
				return
			}
			w.Header().Set("Location", "/there")
			w.WriteHeader(http.StatusFound)
			forever(w, r)
		})
		if r := v.run(url); r.exit != 0 || r.out != "there" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("within JSON", func(t *testing.T) {
		t.Parallel()
		v := newVictim(t)
		v.expect(v.run("--print-body", v.serve(forever)), 1, "body_too_large")
	})
	t.Run("into a full disk", func(t *testing.T) {
		t.Parallel()
		v := newVictim(t)
		v.expect(v.run("--json", "-o", "/dev/full", v.serve(forever)), 1, "disk_full")
	})
	t.Run("compressed", func(t *testing.T) {
		t.Parallel()
		v := newVictim(t)
		var bomb bytes.Buffer
		zip, _ := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
		for range 1 << 10 {
			_, _ = zip.Write(make([]byte, 1<<20))
		}
		zip.Close()
		asked := ""
		url := v.serve(func(w http.ResponseWriter, r *http.Request) {
			asked = r.Header.Get("Accept-Encoding")
			w.Header().Set("Content-Encoding", "gzip")
			if r.URL.Path == "/news" && r.Header.Get("Authorization") == "" {
				v.charge(w, r, fetchtest.Invoice{Amount: 2000}, nil, nil)
			}
			_, _ = w.Write(bomb.Bytes())
		})
		for _, args := range [][]string{{url}, {"-H", "Accept-Encoding: gzip", url}, {url + "/news"}} {
			r := v.run(args...)
			if r.exit != 0 || len(r.out) != bomb.Len() {
				t.Errorf("%q: status %d, %d bytes of %d", args, r.exit, len(r.out), bomb.Len())
			}
			if want := len(args) == 3; (asked == "gzip") != want || !want && asked != "" {
				t.Errorf("%q asked for %q", args, asked)
			}
		}
	})
}

// TestHostileRedirects: every hop asks for money.
func TestHostileRedirects(t *testing.T) {
	v := newVictim(t)
	hop := 0
	var first, second string
	toll := func(other *string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			v.seller.ServeHTTP(answer, r)
			if answer.Code != http.StatusOK {
				w.Header()["Www-Authenticate"] = answer.Header()["Www-Authenticate"]
				w.WriteHeader(answer.Code)
				return
			}
			hop++
			http.Redirect(w, r, fmt.Sprintf("%s/hop%d", *other, hop), http.StatusFound)
		}
	}
	first, second = v.serve(toll(&second)), v.serve(toll(&first))
	v.expect(v.run("--json", "--max-cost", "250", first+"/start"), 2, l402http.CodeOverMaxCost)
	v.paid(2)
	for _, seen := range v.seller.Requests() {
		if n := len(seen.Header["Authorization"]); n > 1 {
			t.Errorf("%d credentials in one request", n)
		}
	}
	v.expect(v.run("--json", "--max-cost", "100000", "--max-redirects", "4", first+"/again"), 1, fetch.CodeRedirects)
}

// TestHostileNames: hosts and paths that want out of the folder of tokens. A
// proxy leads all of them to the seller.
func TestHostileNames(t *testing.T) {
	v := newVictim(t)
	v.seller.Price = 1000
	proxy := v.serve(v.seller.ServeHTTP)
	v.env = append(v.env, "http_proxy="+proxy)
	hosts := []string{"a..b", "-rf", "old", "con", "x.used", "shop_1.example", "%2e%2e", "..", "...", ".hidden", "a%2fb", "a%5cb", "a%00b", "~",
		strings.Repeat("a", 300) + ".example", "[::1%25..%2f..%2fetc]", "a\u202eb.example", "b\u00fccher.example"}
	for _, host := range hosts {
		v.run("--json", "-q", "http://"+host+"/x/../../../../etc/passwd")
		v.run("--json", "-q", "http://"+host+"/%2e%2e/%2e%2e/etc/passwd")
	}
	tokens := filepath.Join(v.home, ".lnget", "tokens")
	err := filepath.WalkDir(v.home, func(path string, d os.DirEntry, err error) error {
		rel, relErr := filepath.Rel(v.home, path)
		if err != nil || relErr != nil {
			return fmt.Errorf("%v, %v", err, relErr)
		}
		if !d.IsDir() && !strings.HasPrefix(path, tokens) {
			t.Errorf("a file outside of the tokens: %s", rel)
		}
		for part := range strings.SplitSeq(rel, string(filepath.Separator)) {
			if strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r > '~' }) || strings.HasPrefix(part, "..") {
				t.Errorf("a name that nobody should meet: %q", rel)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	list := v.run("payments", "list", "--human")
	v.plain(list.out + list.err)
	if list.exit != 0 || !strings.Contains(list.out, "old") {
		t.Errorf("what was bought cannot be listed: %+v", list)
	}
	if entries, err := os.ReadDir(v.home); err != nil || len(entries) != 1 {
		t.Errorf("in the folder where lnget ran: %v, %v", entries, err)
	}
	// What a server says of a file's name is not heeded.
	attachment := v.serve(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="../../evil"`)
		fmt.Fprint(w, "x")
	})
	if r := v.run("-o", "out", attachment+"/..%2f..%2fevil"); r.exit != 0 {
		t.Errorf("%+v", r)
	}
	v.kept("out", "x")
}

// TestHostileText: what a seller writes is shown as text.
func TestHostileText(t *testing.T) {
	v := newVictim(t)
	evil := "\x1b]0;owned\x07\x1b[2Jnews\u009b31m"
	url := v.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/to" {
			w.Header().Set("Location", "/\u009b31m%1b[2J?"+url.QueryEscape(evil))
			w.WriteHeader(http.StatusFound)
			return
		}
		i := fetchtest.Invoice{Amount: 2000, Description: evil}
		v.charge(w, r, i, nil, nil)
	})
	for _, args := range [][]string{{"--no-pay", "--human"}, {"--no-pay", "--json"}, {"--dry-run", "--human"}, {"-v"}, {"--json"}} {
		for _, path := range []string{"/", "/to", "/%1b[2J"} {
			r := v.run(append(slices.Clone(args), url+path)...)
			v.plain(r.out + r.err)
		}
	}
	for _, args := range [][]string{{"tokens", "list", "--human"}, {"payments", "list", "--human"}, {"payments", "list", "--json"}} {
		r := v.run(args...)
		v.plain(r.out + r.err)
	}
}

// TestHostileCookie: a cookie of a 402 is not kept.
func TestHostileCookie(t *testing.T) {
	v := newVictim(t)
	url := v.serve(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "track=1; Max-Age=1000000")
		w.Header().Add("Set-Cookie", strings.Repeat("c", 10_000)+"=1")
		if r.Header.Get("Cookie") != "" {
			t.Errorf("a cookie comes back: %s", r.Header.Get("Cookie"))
		}
		v.seller.ServeHTTP(w, r)
	})
	for range 2 {
		v.expect(v.run("--json", "-o", "out", url+"/news"), 0, "")
	}
	v.paid(1)
}

// TestHostileHTTP2: streams that end badly, after the money has gone. What was
// paid for is there the next time.
func TestHostileHTTP2(t *testing.T) {
	for how, goods := range map[string]http.HandlerFunc{
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"halfway": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"a header bomb": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 2000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
			}
		},
	} {
		t.Run(how, func(t *testing.T) {
			v := newVictim(t)
			bad := true
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					t.Errorf("asked over %s", r.Proto)
				}
				if r.Header.Get("Authorization") != "" && bad {
					goods(w, r)
					return
				}
				w.Header().Set("Trailer", "Www-Authenticate")
				v.seller.ServeHTTP(w, r)
				w.Header().Set("Www-Authenticate", `L402 macaroon="x", invoice="y"`)
			}))
			server.EnableHTTP2 = true
			server.Config.ErrorLog = quiet
			server.StartTLS()
			defer server.Close()
			v.expect(v.run("--json", "-k", "-o", "out", server.URL+"/news"), 4, fetch.CodeNetwork)
			v.paid(1)
			bad = false
			v.expect(v.run("--json", "-k", "-o", "out", server.URL+"/news"), 0, "")
			v.paid(1)
			v.kept("out", "goods of /news\n")
		})
	}
}

// TestHostileOrigins: a token bought here goes nowhere else, however the other
// place is reached.
func TestHostileOrigins(t *testing.T) {
	v := newVictim(t)
	var leaked []string
	thief := v.serve(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if slices.Contains([]string{"Authorization", "Cookie", l402.HeaderClient, "X-Key"}, name) {
				leaked = append(leaked, name+": "+strings.Join(values, ","))
			}
		}
		fmt.Fprint(w, "stolen")
	})
	shop := v.serve(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" && r.Header.Get("Authorization") != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		v.seller.ServeHTTP(w, r)
	})
	v.expect(v.run("--json", shop+"/news"), 0, "")
	_, port, _ := strings.Cut(strings.TrimPrefix(thief, "http://"), ":")
	for _, to := range []string{thief, "http://localhost:" + port, "//127.0.0.1:" + port, "http://127.1:" + port, "http://[::ffff:127.0.0.1]:" + port} {
		v.run("--json", "-H", "X-Key: 1", "-H", "Cookie: c=1", shop+"/news?to="+url.QueryEscape(to))
	}
	nonce := v.seller.Requests()[0].Client
	leaked = slices.DeleteFunc(leaked, func(s string) bool { // each origin has a nonce of its own
		name, value, _ := strings.Cut(s, ": ")
		return name == l402.HeaderClient && value != nonce
	})
	if len(leaked) > 0 {
		t.Errorf("the other origin saw %q", leaked)
	}
	v.paid(1)
}

// TestHostileChatter: what a server says out of turn is not printed among what
// lnget says.
func TestHostileChatter(t *testing.T) {
	v := newVictim(t)
	gone := make(chan struct{})
	there := v.serve(func(w http.ResponseWriter, r *http.Request) {
		<-gone
		w.WriteHeader(http.StatusNotFound)
	})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go func() {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		if _, err := http.ReadRequest(in); err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 and more\r\n\r\n", there)
		}
		_, _ = io.Copy(io.Discard, in)
		close(gone)
	}()
	v.expect(v.run("--json", "http://"+lis.Addr().String()), 1, fetch.CodeHTTPError)
}
