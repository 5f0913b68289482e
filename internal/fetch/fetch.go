package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
	"golang.org/x/net/http/httpguts"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402"
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

	// Output is the file to write; Out is written when it is empty or "-".
	Output string
	Out    io.Writer

	// Continue keeps in Output.part what has come when a fetch breaks off, and
	// goes on from there. For GET without a body and with an Output.
	Continue bool

	// IdempotencyKey, if set, is sent as Idempotency-Key, and nothing is bought
	// a second time from the same origin under the same key.
	IdempotencyKey string

	// Warn, if set, hears of each warning at once, before anything is paid.
	// They are in the result as well.
	Warn func(string)

	// Progress, if set, hears how many bytes of how many (-1: not known) have
	// come, a few times a second.
	Progress func(done, total int64)

	// NoBody leaves the body of an answer unread, and Output alone.
	NoBody bool

	// Answered, if set, hears of the answer before its body is read.
	Answered func(*Result)
}

// Result is what became of a fetch.
type Result struct {
	URL         string
	Status      int
	ContentType string
	Size        int64 // bytes of the body, or of the whole file
	Resumed     int64 // bytes of it that were there before
	Output      string

	// Token says that a token was presented, SingleUse that it was good for this
	// answer only, Paid that one was bought: Amount is its price, Fee what was
	// spent on top, in msat.
	Token, SingleUse, Paid bool
	Amount, Fee            lnwire.MilliSatoshi

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

	codeUsage = "usage"
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
	source := ""
	if r.Continue {
		source = req.URL.String()
	}
	if r.NoBody {
		r.Output, r.Out, source = "", io.Discard, ""
	}
	out, err := openOutput(r.Output, r.Out, source)
	if err != nil {
		return nil, err
	}
	defer out.discard()
	if out.part != nil {
		out.part.ask(req.Header)
	}

	res := &Result{URL: req.URL.Redacted(), Output: r.Output}
	c.begin(res, r.Warn)
	resp, err := c.client(r.Follow).Do(req)
	at := req.URL // where the answer comes from, or should
	if err != nil {
		if broken, ok := errors.AsType[*url.Error](err); ok {
			if u, parseErr := url.Parse(broken.URL); parseErr == nil {
				at = u
			}
		}
		err = Explain(err)
	} else {
		defer resp.Body.Close()
		at = resp.Request.URL
		err = c.finish(res, resp, out, r)
	}
	c.remember(res, l402http.OriginOf(at), err)
	c.begin(nil, nil)
	res.Took = time.Since(start)
	return res, err
}

// begin makes res the result of the fetch under way, nil for none.
func (c *Client) begin(res *Result, warn func(string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run, c.warnTo, c.bought = res, warn, nil
}

// warn adds a warning to the fetch under way. The caller holds c.mu.
func (c *Client) warn(format string, args ...any) {
	if c.run == nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	c.run.Warnings = append(c.run.Warnings, text)
	if c.warnTo != nil {
		c.warnTo(text)
	}
}

// finish reads the answer.
func (c *Client) finish(res *Result, resp *http.Response, out *output, r Request) error {
	res.URL, res.Status = resp.Request.URL.Redacted(), resp.StatusCode
	res.ContentType = resp.Header.Get("Content-Type")
	if resp.StatusCode < 200 {
		return fault.New(CodeNetwork, "ask without Upgrade", "%s: the server wants to speak something else than HTTP", res.URL)
	}
	bad, all := c.badStatus(res, resp)
	if all {
		return bad
	}
	if r.Answered != nil {
		r.Answered(res)
	}
	if out.part != nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		if !out.part.finished(resp) {
			return out.part.spoilt(resp, errors.New("the file has become shorter"))
		}
		res.Size, res.Resumed = out.part.have, out.part.have
		return out.keep()
	}
	if (bad != nil || resp.StatusCode == http.StatusNotModified) && out.file != nil {
		out.discard() // what the user has is still good
		res.Output = ""
		return bad
	}
	if r.NoBody {
		return bad
	}
	if out.part != nil {
		if err := out.part.accept(resp); err != nil {
			return err
		}
		res.Resumed = out.part.have
	}
	body := newWatched(resp, c.cfg.HTTP.Timeout, res.Resumed, r.Progress)
	n, err := io.Copy(out, body)
	res.Size = res.Resumed + n
	if err != nil {
		return out.explain(body.err(err), resp)
	}
	if err := out.keep(); err != nil {
		return err
	}
	return bad
}

// badStatus is the error of an answer with a status of 400 or more; all says that
// the body is not worth printing beside it.
func (c *Client) badStatus(res *Result, resp *http.Response) (err error, all bool) {
	hint := ""
	switch {
	case resp.StatusCode < 400:
		return nil, false
	case resp.StatusCode == http.StatusPaymentRequired:
		return c.unpaid(res, resp)
	}
	if resp.Header.Get(l402.HeaderCharged) == l402.ChargedNo {
		hint = "nothing was used up: the same command again costs nothing"
	}
	return fault.New(CodeHTTPError, hint, "%s: the server answers %d %s",
		resp.Request.URL.Redacted(), resp.StatusCode, http.StatusText(resp.StatusCode)), false // its own words may hold anything
}

// unpaid reads what a 402 that was not paid asks for; all says that it could be
// read, or should have been.
func (c *Client) unpaid(res *Result, resp *http.Response) (err error, all bool) {
	offer, ok, err := c.transport.ReadOffer(resp, "")
	if err != nil {
		return Explain(err), true
	}
	if !ok {
		return fault.New(CodePaymentRequired, "ask the seller how to pay",
			"%s asks for a payment that is neither L402 nor Payment", res.URL), false
	}
	c.look(offer)
	res.Offer = &Offer{Offer: offer,
		Problem: Explain(offer.Payable(c.transport.MaxCost, c.cfg.LN.LND.Network, time.Now()))}
	hint := "lnget --no-pay shows the price; l402.auto_pay: true in the configuration pays it"
	switch ctx := resp.Request.Context(); {
	case ctx.Value(ownAuthorization{}) != nil:
		hint = hintAuthorization
	case ctx.Value(inTheClear{}) != nil:
		hint = "ask for this URL itself if a token may be sent to it in the clear"
	}
	return fault.New(CodePaymentRequired, hint, "%s asks for %d sat, and paying is off",
		res.URL, l402http.Sat(offer.Amount)), true
}

// ownAuthorization marks the context of a request that the user authorizes. It
// is never paid for, also not where a redirect leads that the user's header does
// not follow.
type ownAuthorization struct{}

// headerIdempotencyKey names a request to the seller; idempotencyKey marks its
// context with the key.
const headerIdempotencyKey = "Idempotency-Key"

type idempotencyKey struct{}

const hintAuthorization = "leave the Authorization header to lnget"

// request makes the HTTP request: http:// is assumed, as curl does.
func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	text := r.URL
	if before, _, ok := strings.Cut(text, "://"); !ok || strings.ContainsAny(before, "/?#") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.New(CodeBadURL, "give a URL such as https://api.example.com/data.json",
			"%q is no http or https URL", withoutUser(r.URL))
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
		return nil, fault.New(codeUsage, "lnget --help", "%w", err)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if r.IdempotencyKey != "" {
		req.Header.Set(headerIdempotencyKey, r.IdempotencyKey)
		req = req.WithContext(context.WithValue(req.Context(), idempotencyKey{}, r.IdempotencyKey))
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if u.User != nil || req.Header.Get("Authorization") != "" {
		req = req.WithContext(context.WithValue(req.Context(), ownAuthorization{}, true))
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.cfg.HTTP.UserAgent)
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "*/*")
	}
	for name, values := range req.Header {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return nil, fault.New(codeUsage, "lnget --help", "header %q: HTTP does not allow its name or its value", name)
		}
	}
	return req, nil
}

// withoutUser leaves user and password out of what may be no URL at all.
func withoutUser(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return text
	}
	if ok {
		scheme += "://"
	}
	return scheme + rest[at+1:]
}

// String describes a step, for -v.
func (s Step) String() string {
	if s.Failed {
		return fmt.Sprintf("%s failed after %s", s.Name, s.Took.Round(10*time.Microsecond))
	}
	return fmt.Sprintf("%s %s", s.Name, s.Took.Round(10*time.Microsecond))
}
