package l402http

import "net/http"

// Handler is a handler that charges; made by [Seller.Handler]. It promises
// that the handler behind it sees no request that has not been paid for, and
// none of the buyer's credentials. It does not limit the requests of a token.
//
// What it answers itself is JSON, {"error":{"code","message"}, …}, never to be
// cached: 402 with a challenge, 429 to a network that has more than its share
// of the open invoices, 410 when the sale has ended, 503 while no invoice can be
// made. A call of gRPC or gRPC-Web gets its challenge with status 200 and
// trailers.
type Handler struct {
	seller *Seller
	sale   Sale
	next   http.Handler
}

// Handler returns a handler that lets only requests pass to next that have
// been paid for, and answers the others with a challenge.
func (s *Seller) Handler(sale Sale, next http.Handler) (*Handler, error) {
	if err := s.Check(sale); err != nil {
		return nil, err
	}
	return &Handler{seller: s, sale: sale, next: Anonymous(next)}, nil
}

// ServeHTTP passes a paid request on and answers any other.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := h.seller.Judge(r, h.sale)
	if v.Paid {
		v = h.seller.Redeem(r.Context(), h.sale, v)
	}
	if !v.Paid {
		h.seller.Challenge(w, r, h.sale, v)
		return
	}
	h.seller.Pass(w, r, v, h.next, nil)
}
