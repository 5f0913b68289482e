package gate

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
)

// headerFreeLeft tells a client of a free tier how many free requests it has
// left after this one.
const headerFreeLeft = "L402-Free-Remaining"

// visit is one request with what became of it. It is the ResponseWriter of the
// request, and belongs to the request's goroutine.
type visit struct {
	http.ResponseWriter
	began  time.Time
	client netip.Addr // zero when not known

	service string  // "" for none
	outcome outcome // "" when no door was reached
	price   lnwire.MilliSatoshi
	scheme  l402http.Schemes // 0 when not paid
	token   l402.TokenID     // zero when not paid by one
	failed  bool             // the backend failed, and nothing was used up

	freeLeft int   // free requests left, -1 where there are none
	status   int   // 0 before the header
	bytes    int64 // of the body
	aborted  bool  // the answer was broken off
}

// visitContext is a context with its visit: one value needs no more.
type visitContext struct {
	context.Context
	visit *visit
}

type visitKey struct{}

func (c visitContext) Value(key any) any {
	if key == (visitKey{}) {
		return c.visit
	}
	return c.Context.Value(key)
}

// visitOf returns the visit of a request's context, nil outside of the edge.
func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// decided notes what a door decided.
func (v *visit) decided(d decision) {
	v.service, v.outcome, v.price, v.failed = d.service, d.outcome, d.price, d.failed
	if d.verdict.Paid {
		v.scheme, v.token = d.verdict.Scheme, d.verdict.TokenID
	}
}

// Unwrap is for http.ResponseController.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// WriteHeader notes the status, unless it is an interim one, and says how many
// free requests are left.
func (v *visit) WriteHeader(status int) {
	if v.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		v.begin(status)
	}
	v.ResponseWriter.WriteHeader(status)
}

func (v *visit) begin(status int) {
	v.status = status
	if v.freeLeft >= 0 {
		v.Header().Set(headerFreeLeft, strconv.Itoa(v.freeLeft))
	}
}

func (v *visit) Write(b []byte) (int, error) {
	if v.status == 0 {
		v.begin(http.StatusOK)
	}
	n, err := v.ResponseWriter.Write(b)
	v.bytes += int64(n)
	return n, err
}

// FlushError is for http.ResponseController.
func (v *visit) FlushError() error {
	if v.status == 0 {
		v.begin(http.StatusOK)
	}
	return http.NewResponseController(v.ResponseWriter).Flush()
}

// Hijack notes that the connection becomes another protocol's. Whoever has
// taken it over writes the answer, with the header as it is now.
func (v *visit) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(v.ResponseWriter).Hijack()
	if err == nil {
		v.begin(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}
