package l402http

import (
	"bufio"
	"net"
	"net/http"
	"strconv"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// Pass hands a request on that was let through: paid for and redeemed, or for
// free with an unpaid verdict. When the handler answers with a 5xx, or does
// not answer, nothing has been used up: the credential is restored, failed is
// called, which may be nil, the answer says so in [l402.HeaderCharged], and
// Pass returns true. A handler that breaks off in the middle of an answer has
// answered, and so has one whose client went away: what a client can bring
// about must not give it another request. The handler sees the request as it
// is; [Anonymous] takes the buyer's credentials from it. Pass panics when v is
// that of a payment and not from Redeem.
func (s *Seller) Pass(w http.ResponseWriter, r *http.Request, v Verdict, next http.Handler, failed func()) bool {
	if v.Paid && v.Scheme == SchemePayment && !v.redeemed {
		panic("l402http: Pass of a payment that was not redeemed")
	}
	a := &watched{ResponseWriter: w, seller: s, request: r, verdict: v, onFailure: failed}
	return a.watch(next)
}

// Pass hands a request on that is not sold at all, as [Seller.Pass] does.
func Pass(w http.ResponseWriter, r *http.Request, next http.Handler, failed func()) bool {
	a := &watched{ResponseWriter: w, request: r, onFailure: failed}
	return a.watch(next)
}

// watched is a ResponseWriter that settles what the request used up just
// before the answer's header is sent.
type watched struct {
	http.ResponseWriter
	seller    *Seller // nil where nothing is sold
	request   *http.Request
	verdict   Verdict
	onFailure func()
	begun     bool // the header is sent, or is about to be
	returned  bool // the handler has not panicked
	failed    bool
}

// watch runs the handler and reports whether it failed.
func (a *watched) watch(next http.Handler) bool {
	defer a.end()
	next.ServeHTTP(a, a.request)
	a.returned = true
	a.end()
	return a.failed
}

// Unwrap is for http.ResponseController.
func (a *watched) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader settles, unless the status is an interim one.
func (a *watched) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		a.settle(status)
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write settles where nobody has written a header.
func (a *watched) Write(b []byte) (int, error) {
	a.settle(http.StatusOK)
	return a.ResponseWriter.Write(b)
}

// Flush is what ReverseProxy's callers look for.
func (a *watched) Flush() {
	a.settle(http.StatusOK)
	_ = http.NewResponseController(a.ResponseWriter).Flush()
}

// Hijack gives the connection away, which answers: what a WebSocket has begun is
// not given back when it ends.
func (a *watched) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err == nil {
		a.settle(http.StatusSwitchingProtocols)
	}
	return conn, buffered, err
}

// settle decides by the status of the answer whether it is one.
func (a *watched) settle(status int) {
	if a.begun {
		return
	}
	a.begun = true
	h := a.Header()
	delete(h, l402.HeaderCharged) // only the seller may say so
	delete(h, mpp.HeaderReceipt)
	if failedAnswer(a.request, status, h) {
		a.giveBack()
		return
	}
	if a.verdict.redeemed {
		a.seller.redemptions.Answered(a.verdict.Hash)
		if status < 300 && status != http.StatusSwitchingProtocols {
			a.seller.receipt(h, a.verdict)
		}
	}
}

// giveBack undoes what the request used up.
func (a *watched) giveBack() {
	a.failed = true
	if !a.verdict.redeemed || a.seller.restore(a.request.Context(), a.verdict) {
		a.Header()[l402.HeaderCharged] = []string{l402.ChargedNo}
	}
	if a.onFailure != nil {
		a.onFailure()
	}
}

// end settles a request that nothing was written for.
func (a *watched) end() {
	switch {
	case a.begun:
	case !a.returned && a.request.Context().Err() == nil:
		a.settle(http.StatusInternalServerError)
	default:
		a.settle(http.StatusOK)
	}
}

// failedAnswer reports whether an answer is the handler's failure: a 5xx, or a
// gRPC status that stands for one, where the answer has nothing but trailers. A
// deadline that the client has set is its own doing.
func failedAnswer(r *http.Request, status int, h http.Header) bool {
	if status >= http.StatusInternalServerError {
		return true
	}
	code, ok := h["Grpc-Status"]
	if !ok || len(code) == 0 {
		return false
	}
	n, err := strconv.Atoi(code[0])
	if err != nil {
		return true
	}
	switch n {
	case 2, 12, 13, 14, 15: // unknown, unimplemented, internal, unavailable, data loss
		return true
	case 4: // deadline
		return r.Header.Get("Grpc-Timeout") == ""
	}
	return false
}
