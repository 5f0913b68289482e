package l402http

import (
	"net/http"
	"time"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// mayUseUp reports whether a credential that is good for one request is left
// over for this one: bought for the same path, never delivered for, and offered
// to nobody else at this moment.
func (x *exchange) mayUseUp(p Purchase, c *demand) bool {
	return x.unlock != nil && c != nil && c.payment != nil && p.Path == x.path
}

// spent sets a credential aside that the seller has answered. It is kept, and
// presented again another time, when the seller's side failed.
func (x *exchange) spent(resp *http.Response, token *Purchase) {
	switch {
	case resp.StatusCode >= 500, resp.Header.Get(l402.HeaderCharged) == l402.ChargedNo:
		return
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout,
		resp.StatusCode == http.StatusTooEarly:
		return // to be tried again, as these say
	}
	token.State, token.Used, token.Reason = StateSpent, true, "answered with "+resp.Status
	start := time.Now()
	if err := x.t.store().Save(*token); err != nil {
		x.t.traced(start, Event{Step: "store", Purchase: token, Err: err})
		_ = x.t.store().MarkUsed(*token) // so that it is not taken for one that the seller never took
	}
	receipt, ok, err := mpp.ParseReceipt(resp.Header)
	if !ok {
		return
	}
	if err == nil && receipt.Hash != token.Hash {
		err = fail(CodeBadChallenge, "ask the seller", "the receipt is for another payment")
	}
	x.t.traced(start, Event{Step: "receipt", Purchase: token, Err: err})
}
