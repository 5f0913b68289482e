package l402http

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/leydenln/leyden/l402"
)

// Challenge answers a request that is not paid for: 402 with an invoice of its
// own or the client's unpaid one, 429 to a network that has its share of the
// open invoices, 410 when tokens of the sale would have ended, 503 while no
// invoice can be made. v is the request's verdict. It returns the status, 0
// when the client went away.
func (s *Seller) Challenge(w http.ResponseWriter, r *http.Request, sale Sale, v Verdict) int {
	if errors.Is(v.Refusal, errRedeem) {
		return s.answer(w, r, unredeemed(sale))
	}
	client, err := identify(r, sale, s.book.rules.Load().byAddr)
	if err != nil {
		s.log.Error("no randomness", "err", err)
		return s.answer(w, r, unavailable(sale))
	}
	open, err := s.book.challenge(r.Context(), sale, client)
	if err != nil {
		return s.explain(w, r, sale, err)
	}
	if err := s.writeChallenges(w.Header(), r, sale, open); err != nil {
		s.log.Error("write challenge", "service", sale.Service, "err", err)
		return s.answer(w, r, unavailable(sale))
	}
	if client.cookie != "" {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: client.cookie, Path: "/",
			Expires: open.Expires, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	}
	a := required(sale, v, "pay the invoice, then repeat the request with the header "+sale.presents())
	a.Invoice, a.Expires = open.Invoice, open.Expires
	return s.answer(w, r, a)
}

// Refuse answers a request that is not paid for with a 402 that has no
// challenge: nothing is sold here.
func (s *Seller) Refuse(w http.ResponseWriter, r *http.Request, sale Sale, v Verdict) {
	s.answer(w, r, required(sale, v, "no invoice is made for this path, buy it at another one of the service"))
}

// writeChallenges puts the challenges of every scheme of the sale into h, that
// of L402 first: some of its clients read no further.
func (s *Seller) writeChallenges(h http.Header, r *http.Request, sale Sale, open OpenChallenge) error {
	if sale.by(SchemeL402) {
		if err := l402.WriteChallenge(h, open.Token, open.Invoice); err != nil {
			return err
		}
	}
	if sale.by(SchemePayment) {
		return s.writePayment(h, r, sale, open)
	}
	return nil
}

// explain answers a request for which there is no challenge.
func (s *Seller) explain(w http.ResponseWriter, r *http.Request, sale Sale, err error) int {
	var many *tooManyError
	switch {
	case errors.As(err, &many):
		return s.answer(w, r, tooMany(sale, many))
	case errors.Is(err, errEnded):
		return s.answer(w, r, ended(sale))
	case r.Context().Err() != nil && errors.Is(err, context.Cause(r.Context())):
		return 0
	}
	level := slog.LevelWarn
	if _, known := errors.AsType[*notReadyError](err); known {
		level = slog.LevelDebug // one line a request would fill the log
	}
	s.log.Log(r.Context(), level, "no challenge", "service", sale.Service, "err", err)
	return s.answer(w, r, unavailable(sale))
}
