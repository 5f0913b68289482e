package gate

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"github.com/leydenln/leyden/l402/l402http"
)

func TestPrefersHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/html": true, "TEXT/HTML": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"application/json, text/html;q=0.5":                               false,
		"application/problem+json;q=0.5, text/html":                       true,
		"text/html;q=0":    false,
		"text/html;q=nan":  false,
		"text/html;q=2":    false,
		"text/htmlx":       false,
		"text/html; q=0.1": true,
	} {
		if got := prefersHTML([]string{accept}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
	if !prefersHTML([]string{"application/json;q=0.1", "text/html"}) {
		t.Error("two lines")
	}
}

func TestPageAndJSONSayTheSame(t *testing.T) {
	node, b := newFakeNode(), newBackend(t)
	g := openGate(t, t.TempDir(), node, fmt.Sprintf(twoServices, b.addr()))
	program, person := get(t, g, "/news/1?a=%27b"), get(t, g, "/news/1?a=%27b", "Accept", "text/html")
	var facts struct {
		Error   struct{ Code, Message string }
		Service string
		Price   uint64 `json:"price_msat"`
		Invoice string
		Expires string `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(text(t, program)), &facts); err != nil || facts.Price != 100_000 || facts.Service != "news" {
		t.Fatalf("%+v, %v", facts, err)
	}
	shown := html.UnescapeString(text(t, person))
	if person.StatusCode != http.StatusPaymentRequired || person.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
		person.Header.Get("Cache-Control") != "no-store" || person.Header.Get("Vary") != "Accept" {
		t.Errorf("%d %v", person.StatusCode, person.Header)
	}
	own := challenge(t, person).Invoice
	for _, fact := range []string{facts.Error.Code, facts.Error.Message, facts.Service, "100 sat", own,
		"lnget --max-cost 100 'http://" + g.Addr().String() + "/news/1?a=%27b'", "go install "} {
		if !strings.Contains(shown, fact) {
			t.Errorf("the page does not say %q", fact)
		}
	}
	if _, err := time.Parse(time.RFC3339, regexp.MustCompile(`datetime="([^"]*)"`).FindStringSubmatch(shown)[1]); err != nil {
		t.Error(err)
	}
}

// TestBuyersOfAProxyOverTLS are told of https, and get a cookie that goes
// nowhere else.
func TestBuyersOfAProxyOverTLS(t *testing.T) {
	services := fmt.Sprintf(twoServices, newBackend(t).addr())
	for config, secure := range map[string]bool{"trustedproxies: [127.0.0.1]\n": true, "": false} {
		g := openGate(t, t.TempDir(), newFakeNode(), config+services)
		resp := get(t, g, "/news/1", "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "Accept", "text/html")
		for _, c := range resp.Cookies() {
			if c.Secure != secure {
				t.Errorf("%q: cookie %v", config, c)
			}
		}
		if got := strings.Contains(html.UnescapeString(text(t, resp)), "'https://"+g.Addr().String()); got != secure || len(resp.Cookies()) == 0 {
			t.Errorf("%q: https is %v, %d cookies", config, got, len(resp.Cookies()))
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(twoServices, newBackend(t).addr()))
	for _, accept := range []string{"*/*", "text/html"} {
		r := httptest.NewRequest(http.MethodHead, "/news/1", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != http.StatusPaymentRequired || w.Body.Len() != 0 || len(w.Header()["Www-Authenticate"]) != 2 ||
			w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d, %d bytes, %v", accept, w.Code, w.Body.Len(), w.Header())
		}
	}
}

// TestPageIsSafe: whatever a stranger writes into a request is text in the
// page, and one word of the command.
func TestPageIsSafe(t *testing.T) {
	const evil = `"><script>alert(1)</script>';rm -rf /;'`
	r := httptest.NewRequest(http.MethodPost, "/x", nil)
	r.Header.Set("Accept", "text/html")
	r.Host, r.URL.RawQuery, r.Method = evil, evil, "PO'ST"
	h := http.Header{}
	body := string(answerBody(h, r, l402http.Answer{Status: 402, Code: evil, Message: evil, Service: evil, Price: 1500,
		Invoice: evil, Expires: time.Unix(0, 0)}))
	if strings.Contains(body, "<script") || strings.Contains(body, `="">`) {
		t.Errorf("unescaped: %s", body)
	}
	if !strings.Contains(body, "1.500 sat") || !strings.Contains(body, "--max-cost 2") {
		t.Errorf("a price in msat: %s", body)
	}
	if quoted := shellQuote(evil); quoted != `'"><script>alert(1)</script>'\'';rm -rf /;'\'''` {
		t.Errorf("quoted as %s", quoted)
	}
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "style-src 'sha256-"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
	if style == nil || style[1] != pageStyle {
		t.Errorf("the style is not the one that the policy allows: %q", style)
	}
	for _, from := range []string{"src=", "href=", "url(", "@import", "style=\"", "onload"} {
		if strings.Contains(body, from) {
			t.Errorf("the page has %q", from)
		}
	}
}

func TestSymbolIsTheQRCode(t *testing.T) {
	const invoice = "LIGHTNING:LNBC1000N1PVJLUEZPP5QQQSYQCYQ5RQWZQFQQQSYQCYQ5RQWZQF"
	code, err := qr.Encode(invoice, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	s := newSymbol(invoice)
	black := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(s.Path, -1) {
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(m[i+1])
		}
		for x := range n[2] {
			black[[2]int{n[0] + x, n[1]}] = true
		}
	}
	for y := -quietZone; y < code.Size+quietZone; y++ {
		for x := -quietZone; x < code.Size+quietZone; x++ {
			if black[[2]int{x + quietZone, y + quietZone}] != code.Black(x, y) {
				t.Fatalf("module %d,%d is wrong", x, y)
			}
		}
	}
	if newSymbol(strings.Repeat("x", 5000)) != nil {
		t.Error("what does not fit was drawn")
	}
}

func BenchmarkPage(b *testing.B) {
	r := httptest.NewRequest(http.MethodGet, "/x", nil)
	r.Header.Set("Accept", "text/html")
	a := l402http.Answer{Status: 402, Price: 1000, Invoice: "lnbc" + strings.Repeat("q", 280)}
	b.ReportAllocs()
	for b.Loop() {
		answerBody(http.Header{}, r, a)
	}
}
