package gate

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/leydenln/leyden/l402"
)

// grpcExhausted is RESOURCE_EXHAUSTED.
const grpcExhausted = "8"

// writeLimited answers a request that is over a rate limit, a gRPC call in its
// own form. paid: it came with what had been paid for.
func writeLimited(w http.ResponseWriter, r *http.Request, wait time.Duration, paid bool) {
	seconds := max(1, int((wait+time.Second-1)/time.Second))
	message := fmt.Sprintf("too many requests: ask again in %d seconds", seconds)
	h := w.Header()
	if paid {
		h.Set(l402.HeaderCharged, l402.ChargedNo)
		message += "; nothing of what you paid for has been used up"
	}
	h.Set("Retry-After", strconv.Itoa(seconds))
	if l402.IsGRPC(r.Header) {
		h.Set("Content-Type", "application/grpc")
		h.Set("Cache-Control", "no-store")
		h.Set("Grpc-Status", grpcExhausted)
		h.Set("Grpc-Message", message)
		w.WriteHeader(http.StatusOK)
		return
	}
	writeError(w, http.StatusTooManyRequests, "rate_limited", message)
}
