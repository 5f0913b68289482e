package fetch

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/l402http"
	"github.com/leydenln/leyden/l402/mpp"
)

// The versions of the file format: with payment, the challenge of a credential
// that is good for one request, and without it, as older programs read it.
const (
	recordVersion        = 1
	recordVersionPayment = 2
)

// maxRecord bounds a record's file, in bytes; tokens, challenge and invoice have
// bounds of their own that keep every honest one far below. maxJournal bounds it
// before the payment, so that the outcome finds room.
const (
	maxRecord  = 128 << 10
	maxJournal = 96 << 10
)

// record is a purchase as a file: JSON, amounts in msat, times RFC 3339,
// hashes in hex, tokens in base64.
type record struct {
	Version     int              `json:"version"`
	State       string           `json:"state"`
	Origin      string           `json:"origin"`
	Path        string           `json:"path"`
	Scheme      string           `json:"scheme"`
	Tokens      []l402.Token     `json:"tokens"`
	Payment     *challengeRecord `json:"payment,omitempty"`
	Invoice     string           `json:"invoice"`
	PaymentHash string           `json:"payment_hash"`
	Preimage    string           `json:"preimage,omitempty"`
	AmountMsat  uint64           `json:"amount_msat"`
	FeeMsat     uint64           `json:"fee_msat"`
	Node        string           `json:"node,omitempty"`
	CreatedAt   time.Time        `json:"created_at"`
	PaidAt      time.Time        `json:"paid_at,omitzero"`
	Reason      string           `json:"reason,omitempty"`
}

// challengeRecord is a challenge of the Payment scheme, its parameters as they
// were in the header.
type challengeRecord struct {
	ID          string `json:"id"`
	Realm       string `json:"realm"`
	Method      string `json:"method"`
	Intent      string `json:"intent"`
	Request     string `json:"request"`
	Expires     string `json:"expires,omitempty"`
	Digest      string `json:"digest,omitempty"`
	Description string `json:"description,omitempty"`
	Opaque      string `json:"opaque,omitempty"`
}

func encodeRecord(p l402http.Purchase) ([]byte, error) {
	r := record{
		Version: recordVersion, State: string(p.State), Origin: string(p.Origin), Path: p.Path,
		Scheme: string(p.Scheme), Tokens: p.Credential.Tokens, Invoice: p.Invoice,
		PaymentHash: hex.EncodeToString(p.Hash[:]), AmountMsat: uint64(p.Amount), FeeMsat: uint64(p.Fee),
		Node: p.Node, CreatedAt: p.Created.UTC(), Reason: p.Reason,
	}
	if p.Payment != nil {
		r.Version = recordVersionPayment
		r.Payment = (*challengeRecord)(p.Payment)
	}
	if !p.Paid.IsZero() {
		r.PaidAt = p.Paid.UTC()
		r.Preimage = hex.EncodeToString(p.Credential.Preimage[:])
	}
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode purchase: %w", err)
	}
	if p.State == l402http.StatePending && data.Len() > maxJournal {
		return nil, fault.New(l402http.CodeBadChallenge, "ask the seller",
			"what %s asks for makes a journal of %d bytes, over %d", p.Origin, data.Len(), maxJournal)
	}
	return data.Bytes(), nil
}

// decodeRecord reads what encodeRecord wrote and nothing that does not hold
// together. Its errors quote no secret.
func decodeRecord(data []byte) (l402http.Purchase, error) {
	if len(data) > maxRecord {
		return l402http.Purchase{}, fmt.Errorf("over %d bytes", maxRecord)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var r record
	if err := dec.Decode(&r); err != nil {
		return l402http.Purchase{}, fmt.Errorf("malformed JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return l402http.Purchase{}, errors.New("malformed JSON: more than one document")
	}
	switch {
	case r.Version != recordVersion && r.Version != recordVersionPayment:
		return l402http.Purchase{}, fmt.Errorf("version %d, want %d or %d", r.Version, recordVersion, recordVersionPayment)
	case (r.Version == recordVersionPayment) != (r.Payment != nil):
		return l402http.Purchase{}, fmt.Errorf("version %d does not fit what it holds", r.Version)
	}
	hash, err := lntypes.MakeHashFromStr(r.PaymentHash)
	if err != nil {
		return l402http.Purchase{}, errors.New("malformed payment hash")
	}
	p := l402http.Purchase{
		Origin: l402http.Origin(r.Origin), Path: r.Path, State: l402http.State(r.State),
		Scheme: l402.Scheme(r.Scheme), Credential: l402.Credential{Tokens: r.Tokens}, Invoice: r.Invoice,
		Payment: (*mpp.Challenge)(r.Payment),
		Hash:    hash, Amount: lnwire.MilliSatoshi(r.AmountMsat), Fee: lnwire.MilliSatoshi(r.FeeMsat),
		Node: r.Node, Created: r.CreatedAt, Paid: r.PaidAt, Reason: r.Reason,
	}
	if r.Preimage != "" {
		preimage, err := lntypes.MakePreimageFromStr(r.Preimage)
		if err != nil {
			return l402http.Purchase{}, errors.New("malformed preimage")
		}
		p.Credential.Preimage = preimage
	}
	return p, p.Validate()
}
