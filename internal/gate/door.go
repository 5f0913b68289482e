package gate

import (
	"context"
	"net/http"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// door decides about the requests of one service: which are passed on, and
// what the others are told. A paid request passes within the rate limits of
// its token. One that is not is counted by its address first, so that a flood
// mints nothing; then it passes in shadow mode or the free tier, or is asked
// to pay.
//
// What fails on the seller's side uses nothing up: see l402http.Seller.Pass.
type door struct {
	service *Service
	seller  *l402http.Seller // nil: nobody is charged
	sale    l402http.Sale
	shadow  bool
	limits  limiter  // nil for none
	free    freebies // nil for none
	decided decided
	backend http.Handler
}

// newDoor makes the door of a service. Errors: bad_config.
func newDoor(c *Config, s *Service, seller *l402http.Seller, backend http.Handler, parts doorParts) (*door, error) {
	d := &door{service: s, shadow: c.Shadow || s.Shadow, decided: parts.decided, backend: backend}
	if d.decided == nil {
		d.decided = func(context.Context, decision) {}
	}
	if parts.limits != nil {
		d.limits = parts.limits(s)
	}
	if s.Auth.off || seller == nil {
		return d, nil
	}
	if s.Auth.free > 0 && parts.freebies != nil {
		d.free = parts.freebies(s)
	}
	var err error
	d.seller = seller
	if d.sale, err = s.sale(); err == nil {
		err = seller.Check(d.sale)
	}
	if err != nil {
		return nil, fault.New(CodeBadConfig, "correct gate.yaml", "service %q: %w", s.Name, err)
	}
	return d, nil
}

// ServeHTTP decides about a request that is to be paid for.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.seller == nil {
		d.serveFree(w, r)
		return
	}
	v := d.seller.Judge(r, d.sale)
	if !v.Paid {
		d.serveUnpaid(w, r, v)
		return
	}
	id := v.TokenID
	if v.Scheme == l402http.SchemePayment {
		id = l402.TokenID(v.Hash)
	}
	var taken grant
	if d.limits != nil {
		var wait time.Duration
		var ok bool
		if taken, wait, ok = d.limits.allowToken(r, id); !ok {
			d.limited(w, r, wait, v)
			return
		}
	}
	if d.shadow && v.Scheme == l402http.SchemePayment {
		// Shadow mode charges nobody: what is good for one request stays so.
		d.pass(w, r, l402http.Verdict{}, outcomeShadow, taken)
		return
	}
	if v = d.seller.Redeem(r.Context(), d.sale, v); !v.Paid {
		giveBack(taken)
		d.serveUnpaid(w, r, v)
		return
	}
	d.pass(w, r, v, outcomePaid, taken)
}

// serveFree passes a request on that costs nothing.
func (d *door) serveFree(w http.ResponseWriter, r *http.Request) {
	taken, ok := d.countAddress(w, r, l402http.Verdict{})
	if !ok {
		return
	}
	d.decided(r.Context(), decision{service: string(d.service.Name), outcome: outcomeFree})
	if taken == nil {
		d.backend.ServeHTTP(w, r)
		return
	}
	l402http.Pass(w, r, d.backend, taken.giveBack)
}

// serveUnpaid decides about a request that nothing good came with.
func (d *door) serveUnpaid(w http.ResponseWriter, r *http.Request, v l402http.Verdict) {
	taken, ok := d.countAddress(w, r, v)
	if !ok {
		return
	}
	if d.shadow {
		d.pass(w, r, v, outcomeShadow, taken)
		return
	}
	if d.free != nil {
		if free, ok := d.free.take(r); ok {
			d.pass(w, r, v, outcomeFreebie, both{taken, free})
			return
		}
	}
	if d.skipsInvoice(r.URL.Path) {
		d.tell(r, outcomeRefused, v)
		d.seller.Refuse(w, r, d.sale, v)
		return
	}
	switch d.seller.Challenge(w, r, d.sale, v) {
	case http.StatusPaymentRequired:
		d.tell(r, outcomeChallenged, v)
	case http.StatusGone:
		d.tell(r, outcomeRefused, v)
	default:
		d.tell(r, outcomeUnsold, v)
	}
}

// pass hands a request on and tells what became of it.
func (d *door) pass(w http.ResponseWriter, r *http.Request, v l402http.Verdict, o outcome, taken grant) {
	d.tell(r, o, v)
	var failed func()
	if taken != nil {
		failed = taken.giveBack
	}
	if d.seller.Pass(w, r, v, d.backend, failed) {
		d.decided(r.Context(), decision{string(d.service.Name), o, d.sale.Price, v, true})
	}
}

// countAddress counts a request by its address. When it is one too many it is
// answered.
func (d *door) countAddress(w http.ResponseWriter, r *http.Request, v l402http.Verdict) (taken grant, ok bool) {
	if d.limits == nil {
		return nil, true
	}
	taken, wait, ok := d.limits.allowAddress(r)
	if !ok {
		d.limited(w, r, wait, v)
	}
	return taken, ok
}

// limited answers a request that is over a rate limit.
func (d *door) limited(w http.ResponseWriter, r *http.Request, wait time.Duration, v l402http.Verdict) {
	d.tell(r, outcomeLimited, v)
	writeLimited(w, r, wait, v.Paid)
}

func (d *door) tell(r *http.Request, o outcome, v l402http.Verdict) {
	d.decided(r.Context(), decision{service: string(d.service.Name), outcome: o, price: d.sale.Price, verdict: v})
}

// skipsInvoice reports whether a path is not to cost the node an invoice.
func (d *door) skipsInvoice(path string) bool {
	for _, p := range d.service.AuthSkipInvoiceCreationPaths {
		if p.re != nil && p.match(path) {
			return true
		}
	}
	return false
}

// both are two grants, each of which may be nil.
type both [2]grant

func (b both) giveBack() {
	giveBack(b[0])
	giveBack(b[1])
}

func giveBack(g grant) {
	if g != nil {
		g.giveBack()
	}
}
