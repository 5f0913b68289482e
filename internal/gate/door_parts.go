package gate

import (
	"context"
	"net/http"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// limiter bounds how often one service is asked, by the service's own limits
// and those for all. It takes from every limit whose path matches, or from
// none. When it refuses, wait is when to ask again; otherwise wait is 0.
type limiter interface {
	// allowToken counts a request that is paid for by the token. For a Payment
	// credential the id is its payment hash.
	allowToken(r *http.Request, id l402.TokenID) (taken grant, wait time.Duration, ok bool)

	// allowAddress counts a request that is not paid for, by r.RemoteAddr.
	allowAddress(r *http.Request) (taken grant, wait time.Duration, ok bool)
}

// freebies counts the requests that a client of one service has for free.
type freebies interface {
	// take uses up one, if the client has one left.
	take(r *http.Request) (taken grant, ok bool)
}

// grant is something used up that a failed request gets back. nil when there
// is nothing to give back.
type grant interface{ giveBack() }

// outcome is what a door did with a request.
type outcome string

// The outcomes.
const (
	outcomeFree       outcome = "free"        // costs nothing
	outcomePaid       outcome = "paid"        // passed on, paid for
	outcomeFreebie    outcome = "freebie"     // passed on, in the free tier
	outcomeShadow     outcome = "shadow"      // passed on, would have been charged
	outcomeChallenged outcome = "challenged"  // 402 with a challenge
	outcomeRefused    outcome = "refused"     // 402 without one, or no token is sold
	outcomeLimited    outcome = "limited"     // 429 by a rate limit
	outcomeUnsold     outcome = "unavailable" // 429 or 503: no invoice could be made
)

// decision is what a door decided about a request.
type decision struct {
	service string
	outcome outcome
	price   lnwire.MilliSatoshi // msat, of one token; 0 where nothing is charged
	verdict l402http.Verdict
	// failed: the backend answered 5xx or not at all, and what the request had
	// used up was given back. Only in the second call for a request.
	failed bool
}

// decided is told each decision: once before the request is passed on or
// answered, once more with failed set when the backend fails.
type decided func(ctx context.Context, d decision)

// doorParts are what a door needs from the rest of the gate. A nil part does
// nothing.
type doorParts struct {
	limits   func(*Service) limiter
	freebies func(*Service) freebies
	decided  decided
}
