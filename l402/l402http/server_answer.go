package l402http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/leydenln/leyden/l402"
)

// retryUnavailable is when a client may ask again after a 503, in seconds.
const retryUnavailable = 5

// errUnpaid is the refusal of a request without any credential.
var errUnpaid = errors.New("no token")

// answer is the body of what the handler says itself.
type answer struct {
	Error     answerError `json:"error"`
	Service   string      `json:"service,omitempty"`
	PriceMsat uint64      `json:"price_msat,omitempty"`
	Invoice   string      `json:"invoice,omitempty"`
	ExpiresAt string      `json:"expires_at,omitempty"` // RFC 3339
}

type answerError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// answerChallenge answers 402 with what to pay and why.
func answerChallenge(w http.ResponseWriter, r *http.Request, sale Sale, open OpenChallenge, refusal error) error {
	h := w.Header()
	noStore(h)
	if l402.IsGRPC(r.Header) {
		if err := l402.WriteGRPCChallenge(h, open.Token, open.Invoice); err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := l402.WriteChallenge(h, open.Token, open.Invoice); err != nil {
		answerUnavailable(w)
		return err
	}
	code, message := "payment_required", "this costs "+priceText(sale)
	if reason := l402.ReasonOf(refusal); reason != "" {
		code = "token_" + string(reason)
		message = refusal.Error() + "; a new token costs " + priceText(sale)
	}
	writeAnswer(w, http.StatusPaymentRequired, answer{
		Error: answerError{code, message + ": pay the invoice, then repeat the request with " +
			"the header Authorization: L402 <token>:<preimage>"},
		Service: sale.Service, PriceMsat: uint64(sale.Price), Invoice: open.Invoice,
		ExpiresAt: open.Expires.UTC().Format(time.RFC3339),
	})
	return nil
}

// explain answers a request for which there is no challenge.
func (h *Handler) explain(w http.ResponseWriter, r *http.Request, err error) {
	var many *tooManyError
	switch {
	case errors.As(err, &many):
		wait := strconv.Itoa(int((many.retryAfter + time.Second - 1) / time.Second))
		w.Header().Set("Retry-After", wait)
		writeAnswer(w, http.StatusTooManyRequests, answer{Error: answerError{"too_many_unpaid",
			"your network has " + strconv.Itoa(many.open) + " unpaid invoices here: pay one, or ask again in " +
				wait + " seconds"}})
	case r.Context().Err() != nil && errors.Is(err, context.Cause(r.Context())):
		// The client has gone.
	default:
		level := slog.LevelWarn
		if _, known := errors.AsType[*notReadyError](err); known {
			level = slog.LevelDebug // one line a request would fill the log
		}
		h.seller.log.Log(r.Context(), level, "no challenge", "service", h.sale.Service, "err", err)
		answerUnavailable(w)
	}
}

// answerUnavailable says that new tokens cannot be sold now. Why is the
// seller's business and in its log.
func answerUnavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(retryUnavailable))
	writeAnswer(w, http.StatusServiceUnavailable, answer{Error: answerError{"seller_unavailable",
		"the seller's node cannot make an invoice now: ask again in " + strconv.Itoa(retryUnavailable) +
			" seconds; a token that is already paid for is still accepted"}})
}

func writeAnswer(w http.ResponseWriter, status int, a answer) {
	h := w.Header()
	noStore(h)
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	body := json.NewEncoder(w)
	body.SetEscapeHTML(false)
	// An error here means that the client has gone.
	_ = body.Encode(a)
}

func noStore(h http.Header) { h.Set("Cache-Control", "no-store") }

func priceText(sale Sale) string {
	if sale.Price%1000 == 0 {
		return fmt.Sprintf("%d sat", sale.Price/1000)
	}
	return fmt.Sprintf("%d msat", uint64(sale.Price))
}
