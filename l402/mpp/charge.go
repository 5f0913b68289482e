package mpp

import (
	"fmt"
	"strconv"

	"github.com/lightningnetwork/lnd/lntypes"
)

// maxSat is more sat than there will be.
const maxSat = 21_000_000 * 100_000_000

// Charge is the request of a charge by Lightning. A buyer takes the invoice as
// the truth, and everything else must agree with it.
type Charge struct {
	// Amount is the price in sat.
	Amount uint64
	// Description says what is sold. May be "".
	Description string
	// Invoice is the BOLT 11 invoice as written, not decoded.
	Invoice string
	// Hash is the invoice's payment hash, nil when it is not stated.
	Hash *lntypes.Hash
	// Network is "mainnet", "testnet", "signet", "regtest" or "simnet"; ""
	// when it is not stated, which means mainnet.
	Network string
}

// chargeJSON has its fields in the order of RFC 8785.
type chargeJSON struct {
	Amount        text          `json:"amount"`
	Currency      text          `json:"currency"`
	Description   text          `json:"description,omitempty"`
	MethodDetails chargeDetails `json:"methodDetails"`
}

type chargeDetails struct {
	Invoice     text `json:"invoice"`
	Network     text `json:"network,omitempty"`
	PaymentHash text `json:"paymentHash,omitempty"`
}

// Encode returns the charge as the request of a challenge.
func (c Charge) Encode() (string, error) {
	if c.Amount == 0 || c.Amount > maxSat || c.Invoice == "" {
		return "", fmt.Errorf("encode charge: want an invoice and an amount from 1 to %d sat", int64(maxSat))
	}
	j := chargeJSON{Amount: text(strconv.FormatUint(c.Amount, 10)), Currency: Currency, Description: text(c.Description),
		MethodDetails: chargeDetails{Invoice: text(c.Invoice), Network: text(c.Network)}}
	if c.Hash != nil {
		j.MethodDetails.PaymentHash = text(c.Hash.String())
	}
	request, err := encode(j)
	if err != nil {
		return "", fmt.Errorf("encode charge: %w", err)
	}
	return request, nil
}

// Charge reads the request of a challenge. Errors: ErrUnsupported for another
// method, intent or currency, ErrMalformed.
func (c Challenge) Charge() (Charge, error) {
	if c.Method != Method || c.Intent != IntentCharge {
		return Charge{}, fmt.Errorf("%w: method %.32q with intent %.32q", ErrUnsupported, c.Method, c.Intent)
	}
	if c.Digest != "" {
		return Charge{}, fmt.Errorf("%w: a digest of the request's body", ErrUnsupported)
	}
	var j chargeJSON
	if err := decode(c.Request, &j); err != nil {
		return Charge{}, malformed("charge: %w", err)
	}
	if j.Currency != Currency {
		return Charge{}, fmt.Errorf("%w: currency %.32q", ErrUnsupported, j.Currency)
	}
	out := Charge{Description: string(j.Description), Invoice: string(j.MethodDetails.Invoice),
		Network: string(j.MethodDetails.Network)}
	var err error
	if out.Amount, err = strconv.ParseUint(string(j.Amount), 10, 64); err != nil || out.Amount == 0 || out.Amount > maxSat {
		return Charge{}, malformed("charge: amount %.32q, want a number of sat", j.Amount)
	}
	if out.Invoice == "" {
		return Charge{}, malformed("charge: no invoice")
	}
	if text := string(j.MethodDetails.PaymentHash); text != "" {
		hash, err := lntypes.MakeHashFromStr(text)
		if err != nil {
			return Charge{}, malformed("charge: bad payment hash")
		}
		out.Hash = &hash
	}
	return out, nil
}
