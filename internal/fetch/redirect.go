package fetch

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402/l402http"
)

// Codes of redirects that are not followed.
const (
	CodeRedirects   = "too_many_redirects"
	CodeBadRedirect = "bad_redirect"
)

// client follows redirects, or returns them.
func (c *Client) client(follow bool) *http.Client {
	if follow {
		return c.http
	}
	return &http.Client{Transport: c.http.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// drainTime bounds how long the body of a redirect is read.
const drainTime = time.Second

// travels are the headers of the user that another origin may see.
var travels = []string{"Accept", "Accept-Language", "Content-Type", "If-Range", "Range", "User-Agent"}

// checkRedirect bounds redirects. To another origin nothing goes that could be
// a secret, to none where we came from, and what has left https carries nothing.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	// net/http reads the end of the last answer, which may never come.
	time.AfterFunc(drainTime, func() { req.Response.Body.Close() })
	last := via[len(via)-1]
	switch {
	case len(via) > c.cfg.HTTP.MaxRedirects:
		return fault.New(CodeRedirects, "raise --max-redirects", "more than %d redirects", c.cfg.HTTP.MaxRedirects)
	case req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "":
		return fault.New(CodeBadRedirect, "--location=false prints the answer itself",
			"%s redirects to %q, which is not http or https", last.URL.Redacted(), req.URL.Redacted())
	}
	if err := keepMethod(req, last); err != nil {
		return err
	}
	req.Header.Del("Referer")
	if l402http.OriginOf(req.URL) != l402http.OriginOf(via[0].URL) {
		for name := range req.Header {
			if !slices.Contains(travels, name) {
				req.Header.Del(name)
			}
		}
	}
	if !leftTLS(append(slices.Clone(via), req)) {
		return nil
	}
	if req.Body != nil && req.Body != http.NoBody {
		return fault.New(CodeBadRedirect, "ask for the URL itself if it may be sent in the clear",
			"%s redirects the request's body from https to %s", last.URL.Redacted(), origin(req.URL))
	}
	if last.URL.Scheme == "https" {
		c.mu.Lock()
		c.warn("%s redirects from https to %s: nothing of yours goes there, and nothing is paid there",
			origin(last.URL), origin(req.URL))
		c.mu.Unlock()
	}
	*req = *req.WithContext(context.WithValue(req.Context(), inTheClear{}, true))
	return nil
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// keepMethod does what RFC 9110 (section 15.4) and curl do: 303 makes a GET, 301
// and 302 one of a POST; all else stays as it was, with its body. net/http has
// made a GET of every method but HEAD after 301, 302 and 303.
func keepMethod(req, last *http.Request) error {
	code := req.Response.StatusCode
	if code == http.StatusSeeOther || last.Method == http.MethodGet || last.Method == http.MethodHead ||
		last.Method == http.MethodPost && code < http.StatusTemporaryRedirect {
		return nil
	}
	req.Method = last.Method
	if last.GetBody == nil {
		return nil
	}
	body, err := last.GetBody()
	if err != nil {
		return err
	}
	req.Body, req.GetBody, req.ContentLength = body, last.GetBody, last.ContentLength
	for name, values := range last.Header {
		if strings.HasPrefix(name, "Content-") {
			req.Header[name] = values
		}
	}
	return nil
}

// leftTLS reports whether a hop led from https to http. Who listens there chose
// what came after.
func leftTLS(hops []*http.Request) bool {
	for i, hop := range hops[1:] {
		if hops[i].URL.Scheme == "https" && hop.URL.Scheme == "http" {
			return true
		}
	}
	return false
}

// inTheClear marks the context of a request that has left https.
type inTheClear struct{}

// careful presents no token and pays nothing for what has left https.
type careful struct{ paying, plain http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t careful) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Context().Value(inTheClear{}) != nil {
		return t.plain.RoundTrip(req)
	}
	return t.paying.RoundTrip(req)
}
