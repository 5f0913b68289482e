package l402http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// retryUnavailable is when a client may ask again after a 503.
const retryUnavailable = 5 * time.Second

// Answer is what a Seller says itself instead of passing a request on.
type Answer struct {
	// Status is the HTTP status: 402, 410, 429 or 503.
	Status int
	// Code is stable, for programs: payment_required, token_expired …
	Code string
	// Message is a sentence for people.
	Message string
	// RetryAfter is when to ask again, zero for no such time.
	RetryAfter time.Duration

	// Service is what the request was for.
	Service string
	// Price is what it costs, in msat.
	Price lnwire.MilliSatoshi
	// Schemes are the ways to pay.
	Schemes Schemes
	// Invoice is the BOLT11 invoice, "" when there is none.
	Invoice string
	// Expires is when the invoice can no longer be paid.
	Expires time.Time

	// Refusal is why what was presented was refused, nil where there was
	// nothing.
	Refusal error
	// Uncharged: what was presented is as good as before.
	Uncharged bool
}

// answerJSON is the body of an Answer.
type answerJSON struct {
	Error     answerError `json:"error"`
	Service   string      `json:"service,omitempty"`
	PriceMsat uint64      `json:"price_msat,omitempty"`
	Invoice   string      `json:"invoice,omitempty"`
	ExpiresAt string      `json:"expires_at,omitempty"` // RFC 3339
	*mpp.Problem
}

type answerError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// JSON returns the answer as the JSON object that programs get. service,
// price_msat, invoice and expires_at stand only beside an invoice. A 402 for
// what the Payment scheme can pay is a problem of RFC 9457 as well.
func (a Answer) JSON() []byte {
	j := answerJSON{Error: answerError{a.Code, a.Message}}
	if a.Invoice != "" {
		j.Service, j.PriceMsat, j.Invoice = a.Service, uint64(a.Price), a.Invoice
		j.ExpiresAt = a.Expires.UTC().Format(time.RFC3339)
	}
	if a.problem() {
		p := mpp.ProblemOf(a.Refusal, a.Message)
		j.Problem = &p
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(j); err != nil {
		return nil // strings and numbers always encode
	}
	return b.Bytes()
}

// required is the 402 for a verdict, without an invoice as yet; how says what
// to do about it.
func required(sale Sale, v Verdict, how string) Answer {
	a := answerTo(sale, http.StatusPaymentRequired, v.code(), "this costs "+priceText(sale)+": "+how)
	if v.Scheme != 0 {
		a.Message = v.Refusal.Error() + "; a new " + sale.thing() + " costs " + priceText(sale) + ": " + how
		a.Refusal = v.Refusal
	}
	return a
}

// unredeemed says that a payment could not be used up, and so was not.
func unredeemed(sale Sale) Answer {
	a := answerTo(sale, http.StatusServiceUnavailable, "seller_unavailable",
		"the seller cannot take your payment's credential now: nothing has been used up, present it again in "+
			seconds(retryUnavailable)+" seconds")
	a.RetryAfter, a.Uncharged = retryUnavailable, true
	return a
}

// unavailable says that new tokens cannot be sold now. Why is the seller's
// business and in its log.
func unavailable(sale Sale) Answer {
	a := answerTo(sale, http.StatusServiceUnavailable, "seller_unavailable",
		"the seller's node cannot make an invoice now: ask again in "+seconds(retryUnavailable)+
			" seconds; a token that is already paid for is still accepted")
	a.RetryAfter = retryUnavailable
	return a
}

func tooMany(sale Sale, many *tooManyError) Answer {
	a := answerTo(sale, http.StatusTooManyRequests, "too_many_unpaid",
		"your network has "+strconv.Itoa(many.open)+" unpaid invoices here: pay one, or ask again in "+
			seconds(many.retryAfter)+" seconds")
	a.RetryAfter = many.retryAfter
	return a
}

func ended(sale Sale) Answer {
	return answerTo(sale, http.StatusGone, "sale_ended",
		"this is no longer sold: every token for it ended at "+sale.ValidUntil.UTC().Format(time.RFC3339))
}

func answerTo(sale Sale, status int, code, message string) Answer {
	return Answer{Status: status, Code: code, Message: message,
		Service: sale.Service, Price: sale.Price, Schemes: sale.schemes()}
}

// problem reports whether the JSON is a problem of RFC 9457 too.
func (a Answer) problem() bool {
	return a.Status == http.StatusPaymentRequired && a.Schemes&SchemePayment != 0
}

// jsonType is the content type of the JSON: that of a problem for whoever asks
// for it, and where there is nothing but the Payment scheme.
func (a Answer) jsonType(r *http.Request) string {
	if a.problem() && (a.Schemes == SchemePayment || strings.Contains(r.Header.Get("Accept"), mpp.ContentTypeProblem)) {
		return mpp.ContentTypeProblem
	}
	return "application/json"
}

// answer writes an answer and returns its status; what is to be in the header
// beside it is there.
func (s *Seller) answer(w http.ResponseWriter, r *http.Request, a Answer) int {
	h := w.Header()
	h["Cache-Control"] = []string{"no-store"}
	if a.RetryAfter > 0 {
		h.Set("Retry-After", seconds(a.RetryAfter))
	}
	if a.Uncharged {
		h[l402.HeaderCharged] = []string{l402.ChargedNo}
	}
	if contentType := grpcType(r.Header); contentType != "" {
		answerGRPC(w, contentType, a)
		return a.Status
	}
	var body []byte
	if s.body != nil {
		body = s.body(h, r, a)
	}
	if body == nil {
		h.Set("Content-Type", a.jsonType(r))
		body = a.JSON()
	}
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error here means that the client has gone
	}
	return a.Status
}

// seconds writes a duration in whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}

func priceText(sale Sale) string {
	if sale.Price%1000 == 0 {
		return fmt.Sprintf("%d sat", sale.Price/1000)
	}
	return fmt.Sprintf("%d msat", uint64(sale.Price))
}
