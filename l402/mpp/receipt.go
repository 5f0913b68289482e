package mpp

import (
	"fmt"
	"net/http"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
)

// HeaderReceipt carries the receipt of a request that was paid for and
// succeeded.
const HeaderReceipt = "Payment-Receipt"

// statusSuccess is the only status of a receipt.
const statusSuccess = "success"

// Receipt says what a successful request was paid with. It is no secret.
type Receipt struct {
	// Hash is the payment hash.
	Hash lntypes.Hash
	// ChallengeID is that of the challenge, "" when it is not stated.
	ChallengeID string
	// Time is when the seller accepted the payment.
	Time time.Time
}

// receiptJSON has its fields in the order of RFC 8785.
type receiptJSON struct {
	ChallengeID text `json:"challengeId,omitempty"`
	Method      text `json:"method"`
	Reference   text `json:"reference"`
	Status      text `json:"status"`
	Timestamp   text `json:"timestamp"`
}

// Write sets the header.
func (r Receipt) Write(h http.Header) error {
	value, err := encode(receiptJSON{ChallengeID: text(r.ChallengeID), Method: Method, Reference: text(r.Hash.String()),
		Status: statusSuccess, Timestamp: text(r.Time.UTC().Format(time.RFC3339))})
	if err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	h.Set(HeaderReceipt, value)
	return nil
}

// ParseReceipt reads the receipt of a response; false when there is none.
// Errors are ErrMalformed or ErrUnsupported.
func ParseReceipt(h http.Header) (Receipt, bool, error) {
	value := h.Get(HeaderReceipt)
	if value == "" {
		return Receipt{}, false, nil
	}
	var j receiptJSON
	if err := decode(value, &j); err != nil {
		return Receipt{}, true, malformed("receipt: %w", err)
	}
	if j.Method != Method || j.Status != statusSuccess {
		return Receipt{}, true, fmt.Errorf("%w: receipt of method %.32q with status %.32q", ErrUnsupported, j.Method, j.Status)
	}
	hash, err := lntypes.MakeHashFromStr(string(j.Reference))
	if err != nil {
		return Receipt{}, true, malformed("receipt: the reference is no payment hash")
	}
	at, err := time.Parse(time.RFC3339, string(j.Timestamp))
	if err != nil {
		return Receipt{}, true, malformed("receipt: bad timestamp")
	}
	return Receipt{Hash: hash, ChallengeID: string(j.ChallengeID), Time: at}, true, nil
}
