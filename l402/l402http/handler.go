package l402http

import (
	"net/http"
	"time"

	"github.com/leydenln/leyden/l402"
)

// Handler is a handler that charges; made by [Seller.Handler]. It promises
// that the handler behind it sees no request that has not been paid for, and
// none of the buyer's credentials. It does not limit requests once paid.
//
// What it answers itself is JSON, {"error":{"code","message"}, …}, never to be
// cached: 402 with a challenge, 429 to a network that has more than its share
// of the open invoices, 503 while no invoice can be made. A gRPC call gets its
// challenge with status 200 and trailers.
type Handler struct {
	seller *Seller
	sale   Sale
	next   http.Handler
}

// ServeHTTP passes a paid request on and answers any other.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refusal := h.seller.judge(r.Header, h.sale.Service)
	if refusal == nil {
		h.next.ServeHTTP(w, anonymous(r))
		return
	}
	client, err := identify(r, h.sale, h.seller.book.rules.Load().byAddr)
	if err != nil {
		h.seller.log.Error("no randomness", "err", err)
		answerUnavailable(w)
		return
	}
	open, err := h.seller.book.challenge(r.Context(), h.sale, client)
	if err != nil {
		h.explain(w, r, err)
		return
	}
	if client.cookie != "" {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: client.cookie, Path: "/",
			Expires: open.Expires, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	}
	if err := answerChallenge(w, r, h.sale, open, refusal); err != nil {
		h.seller.log.Error("write challenge", "service", h.sale.Service, "err", err)
	}
}

// judge returns nil when the header carries a credential that opens the
// service now, else why the first did not. Chain and preimage come from memory
// where they were right before; everything else is judged anew.
func (s *Seller) judge(header http.Header, service string) error {
	credentials, err := l402.ParseCredentials(header)
	if err != nil {
		return err
	}
	refusal := error(errUnpaid)
	for i, c := range credentials {
		verified, err := s.book.rules.Load().verifier.Verify(c)
		if err == nil {
			s.book.forget(verified.Identifier().PaymentHash)
			err = verified.Allows(l402.Request{Service: service, Now: time.Now()}, s.revoked)
		}
		if err == nil {
			return nil
		}
		if i == 0 {
			refusal = err
		}
	}
	return refusal
}
