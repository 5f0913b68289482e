package l402http

import (
	"cmp"
	"net/url"

	"github.com/leydenln/leyden/l402"
)

// Held returns the purchase whose token a request for u would present, nil if
// there is none: with a challenge, one that may open what it is for. It sends
// nothing.
func (t *Transport) Held(u *url.URL, c *l402.Challenge) (*Purchase, error) {
	x := &exchange{t: t, origin: OriginOf(u), path: cmp.Or(u.EscapedPath(), "/")}
	held, err := t.store().Load(x.origin)
	if err != nil {
		return nil, err
	}
	return x.pick(held, c), nil
}
