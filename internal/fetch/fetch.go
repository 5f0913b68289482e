package fetch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402/l402http"
)

// Request is one fetch.
type Request struct {
	URL    string
	Method string      // "" is GET, or POST with a body
	Header http.Header // Host is taken from here too
	Body   []byte      // nil for none

	// Follow follows redirects, as many as the configuration allows.
	Follow bool

	// Output is the file to write; Out is written when it is empty.
	Output string
	Out    io.Writer

	// Progress, if set, hears how many bytes of how many (-1: not known) have
	// come, a few times a second.
	Progress func(done, total int64)
}

// Result is what became of a fetch.
type Result struct {
	URL         string
	Status      int
	ContentType string
	Size        int64 // bytes written
	Output      string

	// Token says that a token was presented, Paid that one was bought:
	// Amount is its price, Fee what was spent on top, in msat.
	Token, Paid bool
	Amount, Fee lnwire.MilliSatoshi

	// Offer is what the seller asks for, when the answer is an unpaid 402.
	Offer *Offer

	Took     time.Duration
	Steps    []Step
	Warnings []string
}

// Step is a part of a fetch and the time it took.
type Step struct {
	Name   string
	Took   time.Duration
	Failed bool
}

// Offer is what an unpaid 402 asks for. Problem is why it would not be paid,
// nil when it would.
type Offer struct {
	l402http.Offer
	Problem error
}

// Codes of this package's errors.
const (
	CodeBadURL          = "bad_url"
	CodeHTTPError       = "http_error"
	CodePaymentRequired = "payment_required"
	CodeNetwork         = "network_error"
	CodeOutput          = "write_failed"
	CodeRedirects       = "too_many_redirects"
)

// Do fetches. A status of 400 or more is an error with the code http_error
// and the result beside it: its body goes to Out all the same, but never
// replaces Output. An unpaid 402 is payment_required, with the offer.
func (c *Client) Do(ctx context.Context, r Request) (*Result, error) {
	start := time.Now()
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, err
	}
	out, err := openOutput(r.Output, r.Out)
	if err != nil {
		return nil, err
	}
	defer out.discard()

	res := &Result{URL: req.URL.Redacted(), Output: r.Output}
	c.mu.Lock()
	c.run = res
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.run, res.Took = nil, time.Since(start)
		c.mu.Unlock()
	}()
	resp, err := c.client(r.Follow).Do(req)
	if err != nil {
		return res, Explain(err)
	}
	defer resp.Body.Close()
	return res, c.finish(res, resp, out, r.Progress)
}

// finish reads the answer.
func (c *Client) finish(res *Result, resp *http.Response, out *output, progress func(done, total int64)) error {
	res.URL, res.Status = resp.Request.URL.Redacted(), resp.StatusCode
	res.ContentType = resp.Header.Get("Content-Type")
	if resp.StatusCode == http.StatusPaymentRequired {
		return c.unpaid(res, resp)
	}
	if resp.StatusCode >= 400 && out.file != nil {
		out.discard()
		res.Output = ""
		return httpError(resp)
	}
	body := newWatched(resp, c.cfg.HTTP.Timeout, progress)
	n, err := io.Copy(out, body)
	body.stop()
	res.Size = n
	if err != nil {
		return out.explain(body.err(err), resp)
	}
	if err := out.keep(); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return httpError(resp)
	}
	return nil
}

func httpError(resp *http.Response) error {
	return fault.New(CodeHTTPError, "", "%s: the server answers %d %s",
		resp.Request.URL.Redacted(), resp.StatusCode, http.StatusText(resp.StatusCode)) // its own words may hold anything
}

// unpaid reads what a 402 that was not paid asks for.
func (c *Client) unpaid(res *Result, resp *http.Response) error {
	offer, ok, err := l402http.ReadOffer(resp, "")
	if err != nil {
		return Explain(err)
	}
	if !ok {
		return fault.New(CodePaymentRequired, "ask the seller how to pay",
			"%s asks for a payment that is not L402", res.URL)
	}
	res.Offer = &Offer{Offer: offer,
		Problem: Explain(offer.Payable(c.transport.MaxCost, c.cfg.LN.LND.Network, time.Now()))}
	hint := "lnget --no-pay shows the price; l402.auto_pay: true in the configuration pays it"
	if resp.Request.Header.Get("Authorization") != "" {
		hint = hintAuthorization
	}
	return fault.New(CodePaymentRequired, hint, "%s asks for %d sat, and paying is off",
		res.URL, l402http.Sat(offer.Amount))
}

// ownAuthorization marks the context of a request that the user authorizes. It
// is never paid for, also not where a redirect leads that the user's header does
// not follow.
type ownAuthorization struct{}

const hintAuthorization = "leave the Authorization header to lnget"

// request makes the HTTP request: http:// is assumed, as curl does.
func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	text := r.URL
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.New(CodeBadURL, "give a URL such as https://api.example.com/data.json",
			"%q is no http or https URL", r.URL)
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
		if r.Body != nil {
			method = http.MethodPost
		}
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fault.New("usage", "lnget --help", "%w", err)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if u.User != nil || req.Header.Get("Authorization") != "" {
		req = req.WithContext(context.WithValue(ctx, ownAuthorization{}, true))
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.cfg.HTTP.UserAgent)
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "*/*")
	}
	return req, nil
}

func (c *Client) client(follow bool) *http.Client {
	if follow {
		return c.http
	}
	return &http.Client{Transport: c.transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// drainTime bounds how long the body of a redirect is read.
const drainTime = time.Second

// travels are the headers of the user that another origin may see.
var travels = []string{"Accept", "Accept-Language", "Content-Type", "User-Agent"}

// checkRedirect bounds redirects; to another origin nothing goes that could be
// a secret, and to none where we came from.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > c.cfg.HTTP.MaxRedirects {
		return fault.New(CodeRedirects, "raise --max-redirects", "more than %d redirects", c.cfg.HTTP.MaxRedirects)
	}
	// net/http reads the end of the last answer, which may never come.
	time.AfterFunc(drainTime, func() { req.Response.Body.Close() })
	req.Header.Del("Referer")
	if l402http.OriginOf(req.URL) != l402http.OriginOf(via[0].URL) {
		for name := range req.Header {
			if !slices.Contains(travels, name) {
				req.Header.Del(name)
			}
		}
	}
	return nil
}

// String describes a step, for -v.
func (s Step) String() string {
	if s.Failed {
		return fmt.Sprintf("%s failed after %s", s.Name, s.Took.Round(10*time.Microsecond))
	}
	return fmt.Sprintf("%s %s", s.Name, s.Took.Round(10*time.Microsecond))
}
