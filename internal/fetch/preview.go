package fetch

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402/l402http"
)

// Preview is what a fetch would do.
type Preview struct {
	Result
	// Method, Header and Body are the request's, as far as they are known
	// before it is sent.
	Method string
	Header http.Header
	Body   []byte
	// Held is the purchase whose token would be presented, nil for none.
	Held *l402http.Purchase
}

// Preview asks what a fetch would cost, and says what it would send. It sends
// one HEAD request in its place, without token, body and idempotency key, and
// follows its redirects. Nothing is paid.
func (c *Client) Preview(ctx context.Context, r Request) (*Preview, error) {
	start := time.Now()
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, err
	}
	p := &Preview{Result: Result{URL: req.URL.Redacted(), Output: r.Output}, Method: req.Method,
		Header: req.Header.Clone(), Body: r.Body}
	c.begin(&p.Result, r.Warn)
	defer func() {
		c.begin(nil, nil)
		p.Took = time.Since(start)
	}()
	ask := req.Clone(req.Context())
	ask.Method, ask.Body, ask.GetBody, ask.ContentLength = http.MethodHead, nil, nil, 0
	ask.Header.Del(headerIdempotencyKey)
	// As the same client, so that the price is that of the fetch itself.
	asking := &l402http.Transport{Base: c.transport.Base, ClientKey: c.transport.ClientKey}
	client := *c.client(r.Follow)
	client.Transport = careful{asking, c.transport.Base}
	resp, err := client.Do(ask)
	at := req.URL
	if err == nil {
		resp.Body.Close()
		at = resp.Request.URL
		p.URL, p.Status, p.ContentType = at.Redacted(), resp.StatusCode, resp.Header.Get("Content-Type")
		if resp.StatusCode == http.StatusPaymentRequired {
			if err, _ = c.unpaid(&p.Result, resp); p.Offer != nil {
				err = nil
			}
		} else if p.Status >= 400 {
			err = fault.New(CodeHTTPError, "lnget --no-pay sends the request itself, and pays nothing",
				"%s: a HEAD request is answered %d %s: what it costs is not known", p.URL, p.Status, http.StatusText(p.Status))
		}
	}
	if err != nil {
		return p, Explain(err)
	}
	return p, c.hold(p, at)
}

// hold finds the token that would be presented.
func (c *Client) hold(p *Preview, at *url.URL) (err error) {
	if p.Header.Get("Authorization") != "" {
		return nil
	}
	if p.Offer != nil {
		p.Held, err = c.transport.Held(at, &p.Offer.Offer)
	} else {
		p.Held, err = c.transport.Held(at, nil)
	}
	return err
}
