package l402http

import (
	"cmp"
	"net/url"
)

// Held returns the purchase whose token a request for u would present, nil if
// there is none: with an offer, one that may open what it is for. It sends
// nothing.
func (t *Transport) Held(u *url.URL, o *Offer) (*Purchase, error) {
	// It looks as a request does that nobody can get in the way of.
	x := &exchange{t: t, origin: OriginOf(u), path: cmp.Or(u.EscapedPath(), "/"), unlock: func() {}}
	held, err := t.store().Load(x.origin)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return x.pick(held, nil), nil
	}
	return x.pick(held, &demand{Challenge: o.Challenge, payment: o.Payment}), nil
}
