package l402http

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// SchemeOfPayment is the scheme of a [Purchase] whose credential is good for
// one request: the "Payment" scheme, see package mpp.
const SchemeOfPayment l402.Scheme = mpp.Scheme

// demand is one challenge, of either scheme.
type demand struct {
	l402.Challenge // of L402; of Payment only Scheme and Invoice

	payment *mpp.Challenge // nil for L402
	charge  mpp.Charge
}

// readDemands reads the challenges that can be answered, the one to answer
// first: of the scheme that is preferred, L402 unless that is SchemeOfPayment.
// unfit says of the first of the Payment scheme that cannot be answered why; the
// error is that of L402 challenges when there is nothing else.
func readDemands(h http.Header, prefer l402.Scheme) (demands []demand, unfit, err error) {
	tokens, err := l402.ParseChallenges(h)
	for _, c := range tokens {
		demands = append(demands, demand{Challenge: c})
	}
	payments, unfit := mpp.ParseChallenges(h)
	first := 0
	for i := range payments {
		d, why := paymentDemand(payments[i])
		switch {
		case why != nil:
			unfit = cmp.Or(unfit, why)
		case prefer == SchemeOfPayment:
			demands = slices.Insert(demands, first, d)
			first++
		default:
			demands = append(demands, d)
		}
	}
	if err != nil && len(demands) == 0 {
		return nil, unfit, fail(CodeBadChallenge, "ask the seller", "%w", err)
	}
	return demands, unfit, nil
}

func paymentDemand(c mpp.Challenge) (demand, error) {
	charge, err := c.Charge()
	if err != nil {
		return demand{}, err
	}
	return demand{Challenge: l402.Challenge{Scheme: SchemeOfPayment, Invoice: charge.Invoice}, payment: &c, charge: charge}, nil
}

// demandOf returns the challenge that the purchase answers.
func demandOf(p *Purchase) (demand, error) {
	if p.Payment != nil {
		return paymentDemand(*p.Payment)
	}
	return demand{Challenge: l402.Challenge{Scheme: p.Scheme, Tokens: p.Credential.Tokens, Invoice: p.Invoice}}, nil
}

// agree says whether what the seller wrote beside the invoice is what the
// invoice says, which alone counts.
func (d demand) agree(o Offer) error {
	c := d.charge
	switch {
	case d.payment == nil:
		return nil
	case c.Hash != nil && *c.Hash != o.Hash:
		return fail(CodeInvoiceMismatch, "ask the seller", "the invoice's payment hash is not the one that the challenge names")
	case o.Amount != 0 && (o.Amount%1000 != 0 || uint64(o.Amount/1000) != c.Amount):
		return fail(CodeInvoiceMismatch, "ask the seller", "the challenge asks for %d sat and its invoice for %d msat",
			c.Amount, uint64(o.Amount))
	case c.Network != "" && c.Network != o.Network:
		return fail(CodeInvoiceMismatch, "ask the seller", "the challenge is for %.32q and its invoice for %s", c.Network, o.Network)
	}
	return nil
}
