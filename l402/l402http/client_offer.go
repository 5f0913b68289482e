package l402http

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/zpay32"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// Offer is what a seller asks for, as the signed invoice says it.
type Offer struct {
	// URL is what was asked for, without user and password.
	URL string
	// Challenge is the challenge that the offer was read from. Of one of the
	// Payment scheme it has only Scheme and Invoice, and Payment the rest.
	Challenge l402.Challenge
	Payment   *mpp.Challenge
	// Amount is the price in msat; 0 when the invoice leaves it open.
	Amount lnwire.MilliSatoshi
	// Hash is the payment hash.
	Hash lntypes.Hash
	// Payee is the compressed public key, in hex, that signed the invoice.
	Payee string
	// Network is the network of the invoice, such as "mainnet".
	Network string
	// Description is the invoice's text, written by the seller.
	Description string
	// Created and Expires are the invoice's own.
	Created, Expires time.Time
	// Due is until when the seller takes the payment, if that is earlier than
	// Expires; else the zero time.
	Due time.Time
}

// ReadOffer reads the offer of a 402 response to a request on the given
// network ("mainnet", "testnet", "signet", "regtest", "simnet"), or on whichever
// the invoice is for when network is empty. ok is false
// when the response makes none that L402 or the Payment scheme knows. Of
// several it reads the one that a Transport which prefers L402 would answer.
// Errors: bad_challenge, scheme_unsupported, bad_invoice, wrong_network,
// invoice_mismatch.
func ReadOffer(resp *http.Response, network string) (offer Offer, ok bool, err error) {
	return readOffer(resp, network, "")
}

// ReadOffer is the function of that name for what this Transport would answer.
func (t *Transport) ReadOffer(resp *http.Response, network string) (offer Offer, ok bool, err error) {
	return readOffer(resp, network, t.Prefer)
}

func readOffer(resp *http.Response, network string, prefer l402.Scheme) (offer Offer, ok bool, err error) {
	demands, unfit, err := readDemands(resp.Header, prefer)
	switch {
	case err != nil:
		return Offer{}, false, err
	case len(demands) == 0 && errors.Is(unfit, mpp.ErrUnsupported):
		return Offer{}, false, fail(CodeSchemeUnsupported, "ask the seller for another way to pay", "%w", unfit)
	case len(demands) == 0 && unfit != nil:
		return Offer{}, false, fail(CodeBadChallenge, "ask the seller", "%w", unfit)
	case len(demands) == 0:
		return Offer{}, false, nil
	}
	offer, err = decodeOffer(demands[0], network)
	if err == nil && resp.Request != nil {
		offer.URL = resp.Request.URL.Redacted()
	}
	return offer, err == nil, err
}

func decodeOffer(d demand, network string) (Offer, error) {
	c := d.Challenge
	network, err := checkPrefix(c.Invoice, network)
	if err != nil {
		return Offer{}, err
	}
	invoice, err := zpay32.Decode(c.Invoice, networks[network].params)
	if err != nil {
		return Offer{}, fail(CodeBadInvoice, "ask the seller", "malformed invoice %q: %w", shorten(c.Invoice), err)
	}
	o := Offer{
		Challenge: c, Payment: d.payment, Hash: lntypes.Hash(*invoice.PaymentHash), Network: network,
		Payee:   hex.EncodeToString(invoice.Destination.SerializeCompressed()),
		Created: invoice.Timestamp, Expires: invoice.Timestamp.Add(invoice.Expiry()),
	}
	if invoice.MilliSat != nil {
		o.Amount = *invoice.MilliSat
	}
	if invoice.Description != nil {
		o.Description = *invoice.Description
	}
	if d.payment != nil {
		if due, err := d.payment.ExpiresAt(); err == nil && due.Before(o.Expires) {
			o.Due = due
		}
		return o, d.agree(o)
	}
	id, err := c.Tokens[0].Identifier()
	if err != nil {
		return Offer{}, fail(CodeBadChallenge, "ask the seller", "the token of the challenge: %w", err)
	}
	if id.PaymentHash != o.Hash {
		return Offer{}, fail(CodeInvoiceMismatch, "ask the seller",
			"the invoice's payment hash is not the one that the token commits to")
	}
	return o, nil
}

// Payable says why an offer must not be paid from a wallet of the network, if
// so: over maxCost (msat, part of a sat in the price counts as a whole one),
// for another network, expired, without an amount, or for a token that is over
// before it is bought.
func (o Offer) Payable(maxCost lnwire.MilliSatoshi, network string, now time.Time) error {
	switch {
	case o.Network != network:
		return wrongNetwork(networks[o.Network].prefix, network)
	case o.Amount == 0:
		return fail(CodeNoAmount, "ask the seller", "the invoice names no amount")
	case !now.Before(o.Expires):
		return fail(CodeInvoiceExpired, "check this machine's clock, then try again",
			"the invoice expired at %s", o.Expires.UTC().Format(time.RFC3339))
	case !o.Due.IsZero() && !now.Before(o.Due):
		return fail(CodeInvoiceExpired, "check this machine's clock, then try again",
			"the challenge expired at %s", o.Due.UTC().Format(time.RFC3339))
	case over(o.Challenge.Tokens, now):
		return fail(CodeBadChallenge, "check this machine's clock, then ask the seller",
			"the token of the challenge says that its time is over")
	}
	if sat := Sat(o.Amount); sat > uint64(maxCost)/1000 {
		err := fail(CodeOverMaxCost, "raise the limit if it is worth that",
			"the price is %d sat, over the limit of %d sat", sat, uint64(maxCost)/1000)
		err.Price = o.Amount
		return err
	}
	return nil
}

// Services returns the names of the services that the token would open.
func (o Offer) Services() []string {
	services, _ := terms(o.Challenge.Tokens)
	return services
}

// Sat rounds an amount up to whole sat.
func Sat(amount lnwire.MilliSatoshi) uint64 {
	sat := uint64(amount) / 1000
	if amount%1000 != 0 {
		sat++
	}
	return sat
}

// networks maps a network to its BOLT 11 prefix and parameters.
var networks = map[string]struct {
	prefix string
	params *chaincfg.Params
}{
	"mainnet": {"lnbc", &chaincfg.MainNetParams},
	"testnet": {"lntb", &chaincfg.TestNet3Params},
	"signet":  {"lntbs", &chaincfg.SigNetParams},
	"regtest": {"lnbcrt", &chaincfg.RegressionNetParams},
	"simnet":  {"lnsb", &chaincfg.SimNetParams},
}

func wrongNetwork(prefix, network string) error {
	return fail(CodeWrongNetwork, "use a wallet of that network",
		"the invoice (%s…) is not for %s", shorten(prefix), network)
}

// checkPrefix reads network and amount of the human-readable part (BOLT 11)
// before the decoder, which tells neither another network from a malformed
// invoice nor an amount beyond 64 bits from a small one. It returns the
// network, which must be want unless that is empty.
func checkPrefix(invoice, want string) (network string, err error) {
	end := strings.LastIndexByte(invoice, '1')
	if end < 0 {
		return "", fail(CodeBadInvoice, "ask the seller", "malformed invoice %q: no separator", shorten(invoice))
	}
	prefix, amount := strings.ToLower(invoice[:end]), ""
	if i := strings.IndexAny(prefix, "0123456789"); i >= 0 {
		prefix, amount = prefix[:i], prefix[i:]
	}
	for name, n := range networks {
		if n.prefix == prefix {
			network = name
		}
	}
	if network == "" || want != "" && network != want {
		return "", wrongNetwork(prefix, cmp.Or(want, "any network that is known"))
	}
	digits := strings.TrimRight(amount, "munp")
	limit := map[string]int{"": 8, "m": 11, "u": 14, "n": 17, "p": 20}
	if n, ok := limit[amount[len(digits):]]; !ok || len(digits) > n {
		return "", fail(CodeBadInvoice, "ask the seller", "malformed invoice %q: amount", shorten(invoice))
	}
	return network, nil
}

// warmCurve makes the tables that the check of a first signature would wait 5 ms
// for. They are made once.
func warmCurve() {
	var one btcec.ModNScalar
	one.SetInt(1)
	var point btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(&one, &point)
}

// shorten keeps what a stranger wrote from filling the screen.
func shorten(s string) string {
	if len(s) > 24 {
		return s[:24] + "…"
	}
	return s
}
