package l402http

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
)

// Transport is an [http.RoundTripper] that presents the tokens it holds, pays
// 402 answers within its limits, and repeats the request. Set its fields
// before the first request. It is safe for concurrent use.
//
// A request that carries an Authorization header of its own goes out as it is
// and is never paid for. A response that is not paid for, or not any more, is
// returned like any other. Errors are an [*Error], or those of Base and Store.
type Transport struct {
	// Base sends requests. Default: http.DefaultTransport.
	Base http.RoundTripper

	// Wallet pays. Without one nothing is ever paid: tokens are presented,
	// and the 402 answer comes back; [ReadOffer] reads it.
	Wallet Wallet

	// Store keeps purchases. Default: a MemoryStore, which a crash empties.
	Store Store

	// MaxCost is the most that one purchase may cost, in msat. Part of a sat
	// in the price counts as a whole one. The default of 0 pays nothing.
	MaxCost lnwire.MilliSatoshi

	// MaxFee is the most that one payment may cost on top, in msat.
	MaxFee lnwire.MilliSatoshi

	// Network is the wallet's: "mainnet" (the default), "testnet", "signet",
	// "regtest" or "simnet". Invoices for another are refused.
	Network string

	// PaymentTimeout bounds one payment. Default: 60 s.
	PaymentTimeout time.Duration

	// ClientKey is what each origin's L402-Client nonce is derived from, at
	// least 16 random bytes. Default: random for the life of the Transport.
	ClientKey []byte

	// Prefer is the scheme to answer when a seller offers both: L402 (the
	// default), whose token serves again, or SchemeOfPayment.
	Prefer l402.Scheme

	// Approve, if set, has the last word on an offer that is within the
	// limits; its error is returned as it is.
	Approve func(context.Context, Offer) error

	// Trace, if set, hears of each step. It must not keep the Event.
	Trace func(Event)

	once   sync.Once
	memory MemoryStore
	key    []byte
}

// Event is one step of a request.
type Event struct {
	// Step is "request", "recover", "journal", "payment", "store" or "receipt".
	Step string
	// Took is how long it took.
	Took time.Duration
	// Purchase is the one the step is about, if any.
	Purchase *Purchase
	// Fee is what a payment cost on top, in msat.
	Fee lnwire.MilliSatoshi
	// Err is why the step failed, if it did.
	Err error
}

const (
	defaultTimeout = 60 * time.Second
	// grace lets the wallet's own time-out arrive before ours.
	grace = 2 * time.Second
	// maxHeld bounds how many of the tokens held one request tries.
	maxHeld = 5
	// maxAttempts bounds how often one request is sent before the last token
	// is bought: without a token, with tokens held, with those that others
	// bought meanwhile.
	maxAttempts = maxHeld + 3
	// maxDrain is how much of a 402 body is read to keep its connection, and
	// drainTime for how long.
	maxDrain  = 64 << 10
	drainTime = time.Second
)

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.once.Do(t.prepare)
	if req.Header.Get("Authorization") != "" {
		return t.base().RoundTrip(req)
	}
	body, err := newReplay(req)
	if err != nil {
		return nil, err
	}
	defer body.close()
	x := &exchange{t: t, req: req, body: body, origin: OriginOf(req.URL), path: cmp.Or(req.URL.EscapedPath(), "/")}
	defer x.free()
	return x.run(req.Context())
}

func (t *Transport) prepare() {
	t.key = t.ClientKey
	if len(t.key) == 0 {
		t.key = make([]byte, 32)
		rand.Read(t.key)
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

func (t *Transport) store() Store {
	if t.Store != nil {
		return t.Store
	}
	return &t.memory
}

func (t *Transport) network() string {
	if t.Network != "" {
		return t.Network
	}
	return "mainnet"
}

func (t *Transport) timeout() time.Duration {
	if t.PaymentTimeout > 0 {
		return t.PaymentTimeout
	}
	return defaultTimeout
}

// traced reports a step that began at start.
func (t *Transport) traced(start time.Time, e Event) {
	if t.Trace != nil {
		e.Took = time.Since(start)
		t.Trace(e)
	}
}

// exchange is one request with all its attempts.
type exchange struct {
	t      *Transport
	req    *http.Request
	body   *replay
	origin Origin
	path   string
	sent   int            // attempts so far
	bare   bool           // asked without a token since one was refused
	anew   bool           // asked for another challenge since the first was paid for
	tried  []lntypes.Hash // purchases whose token was refused by this request
	passed []lntypes.Hash // purchases whose token is not tried any more
	bought *Purchase      // what this request paid for
	unlock func()         // not nil while this request alone may buy from the origin
}

func (x *exchange) run(ctx context.Context) (*http.Response, error) {
	held, err := x.t.store().Load(x.origin)
	if err != nil {
		return nil, err
	}
	token := x.pick(held, nil)
	for {
		resp, err := x.send(token)
		if err != nil {
			return nil, err
		}
		if !refused(resp, token) {
			x.accepted(resp, token)
			return resp, nil
		}
		if token != nil {
			x.free()
			x.tried = append(x.tried, token.Hash)
		}
		next, again, err := x.next(ctx, resp, held)
		if err == nil && !again {
			return resp, nil
		}
		discard(resp)
		if err != nil {
			return nil, err
		}
		token = next
	}
}

// next says whether to ask again after a refusal, and with which token: one
// held, one recovered, one bought, or none.
func (x *exchange) next(ctx context.Context, resp *http.Response, held []Purchase) (token *Purchase, again bool, err error) {
	demands, _, err := readDemands(resp.Header, x.t.Prefer)
	switch {
	case err != nil && x.t.Wallet != nil:
		return nil, false, err
	case len(demands) == 0 && resp.StatusCode == http.StatusUnauthorized && !x.bare && x.body.again():
		x.bare = true
		x.pass(held)
		return nil, true, nil
	case len(demands) == 0:
		return nil, false, nil
	}
	if w, ok := x.t.Wallet.(Warmer); ok {
		w.Warm()
	}
	if x.sent >= maxHeld {
		x.pass(held)
	}
	if x.unlock == nil { // else held may be out of date
		if p := x.pickAny(held, demands); p != nil || x.t.Wallet == nil {
			return p, p != nil, nil
		}
	}
	if !x.body.again() {
		_, err := x.body.next()
		return nil, false, err
	}
	if token, err = x.obtain(ctx, demands); x.asksAnew(demands[0], err) {
		x.anew = true
		return nil, true, nil
	}
	return token, err == nil, err
}

// pass gives the other tokens up for this request.
func (x *exchange) pass(held []Purchase) {
	for _, p := range held {
		if p.State == StatePaid { // a pending one may still become a token
			x.passed = append(x.passed, p.Hash)
		}
	}
}

// send makes one attempt, with a token or without.
func (x *exchange) send(token *Purchase) (*http.Response, error) {
	x.sent++
	body, err := x.body.next()
	if err != nil {
		return nil, err
	}
	req := x.req.Clone(x.req.Context())
	req.Body = body
	req.Header.Set(l402.HeaderClient, clientNonce(x.t.key, x.origin).String())
	if token != nil {
		value, err := token.Authorization()
		if err != nil {
			return nil, err
		}
		req.Header.Set(l402.HeaderAuthorization, value)
	}
	if token == nil && x.t.Wallet != nil {
		go warmCurve() // while the server thinks
	}
	start := time.Now()
	resp, err := x.t.base().RoundTrip(req)
	x.t.traced(start, Event{Step: "request", Purchase: token, Err: err})
	if resp != nil {
		resp.Request = x.req // no credential leaves through the response
	}
	return resp, err
}

// refused reports whether the response asks for a payment. The specification
// has sellers answer 401 to a token that is no longer good.
func refused(resp *http.Response, token *Purchase) bool {
	return resp.StatusCode == http.StatusPaymentRequired ||
		resp.StatusCode == http.StatusUnauthorized && token != nil
}

// accepted notes the first success of a token, and the use of a credential that
// is good for one request.
func (x *exchange) accepted(resp *http.Response, token *Purchase) {
	if token != nil && token.SingleUse() {
		x.spent(resp, token)
		return
	}
	if token == nil || token.Used || resp.StatusCode >= 400 {
		return
	}
	if err := x.t.store().MarkUsed(*token); err != nil {
		x.t.traced(time.Now(), Event{Step: "store", Purchase: token, Err: err})
	}
}

// pick returns the paid token that fits best and was not tried: of a service
// that the challenge names, nearest in path, newest.
func (x *exchange) pick(held []Purchase, c *demand) *Purchase {
	var best *Purchase
	now := time.Now()
	for i := range held {
		p := &held[i]
		if p.State != StatePaid || p.Expired(now) || slices.Contains(x.tried, p.Hash) || slices.Contains(x.passed, p.Hash) {
			continue
		}
		if p.SingleUse() && !x.mayUseUp(*p, c) || c != nil && !x.mayFit(*p, *c) {
			continue
		}
		if best == nil || x.nearer(p, best) {
			best = p
		}
	}
	return best
}

// pickAny returns what pick does for the first challenge that has any.
func (x *exchange) pickAny(held []Purchase, demands []demand) *Purchase {
	for i := range demands {
		if p := x.pick(held, &demands[i]); p != nil {
			return p
		}
	}
	return nil
}

func (x *exchange) nearer(p, q *Purchase) bool {
	a, b := common(p.Path, x.path), common(q.Path, x.path)
	return a > b || a == b && p.Paid.After(q.Paid)
}

// common counts the path segments that a and b begin with.
func common(a, b string) int {
	if a == b {
		return len(a) + 1
	}
	n := 0
	left, right := strings.Split(a, "/"), strings.Split(b, "/")
	for n < len(left) && n < len(right) && left[n] == right[n] {
		n++
	}
	return n
}

// mayFit reports whether p's token may open what the challenge is for: both
// name a common service, or one of them names none.
func (x *exchange) mayFit(p Purchase, c demand) bool {
	if c.payment != nil && !p.SingleUse() {
		return false
	}
	ours, _ := p.terms()
	theirs, _ := terms(c.Tokens)
	return len(ours) == 0 || len(theirs) == 0 || slices.ContainsFunc(ours, func(s string) bool {
		return slices.Contains(theirs, s)
	})
}

// sameThing reports whether p bought what the challenge asks for again: the
// same services, or, where one does not say, the same path.
func (x *exchange) sameThing(p Purchase, c demand) bool {
	ours, _ := p.terms()
	theirs, _ := terms(c.Tokens)
	if len(ours) == 0 || len(theirs) == 0 {
		return p.Path == x.path
	}
	return slices.Equal(ours, theirs)
}

// discard reads what little there is, so that the connection is used again; a
// body that takes its time costs the connection.
func discard(resp *http.Response) {
	late := time.AfterFunc(drainTime, func() { resp.Body.Close() })
	defer late.Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	resp.Body.Close()
}
