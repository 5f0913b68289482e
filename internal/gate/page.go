package gate

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/leydenln/leyden/l402/l402http"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// pageTemplate is the page with its style in it, so that it needs nothing
// from anywhere.
var pageTemplate = template.Must(template.New("page").Parse(strings.Replace(pageText, "STYLE", pageStyle, 1)))

// pagePolicy lets a browser use the page's own style and nothing else: no
// script, no image, no form, no frame around it.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// page is what a person is told instead of what was asked for. It says what
// Answer.JSON says to a program.
type page struct {
	Title, Code, Message string
	Service, Price       string
	Invoice              string
	Expires              string // RFC 3339
	Command              string
	QR                   *symbol // nil for none
}

// answerBody writes an answer as a page for a person, when that is what the
// client would rather have than JSON.
func answerBody(h http.Header, r *http.Request, a l402http.Answer) []byte {
	h.Add("Vary", "Accept")
	if !prefersHTML(r.Header["Accept"]) {
		return nil
	}
	p := page{Title: http.StatusText(a.Status), Code: a.Code, Message: a.Message, Service: a.Service}
	if a.Invoice != "" {
		p.Title = satText(uint64(a.Price)) + " for " + a.Service
		p.Price, p.Invoice = satText(uint64(a.Price)), a.Invoice
		p.Expires = a.Expires.UTC().Format(time.RFC3339)
		p.Command = lngetCommand(r, uint64(a.Price))
		p.QR = newSymbol("LIGHTNING:" + strings.ToUpper(a.Invoice))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil // then the JSON says it
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	return b.Bytes()
}

// lngetCommand is what to type to buy what the request asked for.
func lngetCommand(r *http.Request, msat uint64) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	var b strings.Builder
	b.WriteString("lnget")
	if r.Method != http.MethodGet {
		fmt.Fprintf(&b, " -X %s", shellQuote(r.Method))
	}
	fmt.Fprintf(&b, " --max-cost %d %s", (msat+999)/1000, shellQuote(scheme+"://"+r.Host+r.URL.RequestURI()))
	return b.String()
}

// shellQuote quotes a word for every shell of POSIX.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// satText writes an amount of msat in sat.
func satText(msat uint64) string {
	if msat%1000 == 0 {
		return fmt.Sprintf("%d sat", msat/1000)
	}
	return fmt.Sprintf("%d.%03d sat", msat/1000, msat%1000)
}

// symbol is a QR code as an SVG path: one unit a module, with a quiet zone.
type symbol struct {
	Size int
	Path string
}

const quietZone = 4

// newSymbol draws a text, or returns nil when it does not fit.
func newSymbol(text string) *symbol {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil
	}
	var b strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+quietZone, y+quietZone, x-from, x-from)
			}
		}
	}
	return &symbol{Size: code.Size + 2*quietZone, Path: b.String()}
}
