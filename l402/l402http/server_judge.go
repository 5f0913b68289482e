package l402http

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/leydenln/leyden/l402"
)

// errUnpaid is the refusal of a request without any credential.
var errUnpaid = errors.New("no token")

// Check reports whether the Seller can sell on these terms.
func (s *Seller) Check(sale Sale) error {
	if sale.by(SchemePayment) && s.redemptions == nil {
		return fmt.Errorf("sell %q: the Payment scheme needs Redemptions", sale.Service)
	}
	return sale.Validate()
}

// Judge says whether a request carries a credential that opens what it asks
// for now. It does no I/O and uses nothing up. Chain and preimage of a token
// come from memory where they were right before; everything else is judged
// anew.
func (s *Seller) Judge(r *http.Request, sale Sale) Verdict {
	refused := Verdict{Refusal: errUnpaid}
	if sale.by(SchemeL402) {
		v, err := s.judgeL402(r, sale)
		if err == nil {
			return v
		}
		refused.refuse(SchemeL402, err)
	}
	if sale.by(SchemePayment) {
		v, err := s.judgePayment(r, sale)
		if err == nil {
			return v
		}
		refused.refuse(SchemePayment, err)
	}
	return refused
}

// judgeL402 looks for a token that opens the sale. The error is why the first
// does not.
func (s *Seller) judgeL402(r *http.Request, sale Sale) (Verdict, error) {
	credentials, err := l402.ParseCredentials(r.Header)
	if err != nil {
		return Verdict{}, err
	}
	request := l402.Request{Service: sale.Service, Now: time.Now(), Conditions: sale.Conditions}
	if sale.Capability != nil {
		request.Capability = sale.Capability(r)
	}
	verifier, refusal := s.book.rules.Load().verifier, error(errUnpaid)
	for i, c := range credentials {
		verified, err := verifier.Verify(c)
		id := verified.Identifier()
		if err == nil {
			s.book.forget(id.PaymentHash)
			err = verified.Allows(request, s.revoked)
		}
		if err == nil {
			return Verdict{Paid: true, Scheme: SchemeL402, TokenID: id.TokenID, Hash: id.PaymentHash}, nil
		}
		if i == 0 {
			refusal = err
		}
	}
	return Verdict{}, refusal
}
