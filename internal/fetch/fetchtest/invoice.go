// Package fetchtest is a private Lightning Network of files, for the tests of
// whatever pays: a seller that charges over HTTP, a wallet and an lnd that pay
// from the same ledger, also from several processes. It promises real signed
// invoices, real tokens, and a node's rule that a payment hash is paid once.
// It knows no channels and no fees.
package fetchtest

import (
	"cmp"
	"crypto/rand"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/zpay32"
)

// Invoice describes an invoice to sign. Zero values: regtest, a fresh
// preimage, created now, an hour to pay, no amount.
type Invoice struct {
	Amount   lnwire.MilliSatoshi // msat
	Net      *chaincfg.Params
	Preimage lntypes.Preimage
	Created  time.Time
	Expiry   time.Duration
	Key      *btcec.PrivateKey // of the payee; a fresh one if nil

	Description string // "goods" if empty
}

// Encode signs the invoice and returns it with its hash.
func (i Invoice) Encode() (string, lntypes.Hash, error) {
	if i.Net == nil {
		i.Net = &chaincfg.RegressionNetParams
	}
	if i.Created.IsZero() {
		i.Created = time.Now()
	}
	if i.Expiry == 0 {
		i.Expiry = time.Hour
	}
	if i.Key == nil {
		key, err := btcec.NewPrivateKey()
		if err != nil {
			return "", lntypes.Hash{}, err
		}
		i.Key = key
	}
	var addr [32]byte
	rand.Read(addr[:])
	hash := i.Preimage.Hash()
	options := []func(*zpay32.Invoice){
		zpay32.Description(cmp.Or(i.Description, "goods")), zpay32.PaymentAddr(addr), zpay32.Expiry(i.Expiry),
		zpay32.Features(lnwire.NewFeatureVector(lnwire.NewRawFeatureVector(
			lnwire.PaymentAddrRequired, lnwire.TLVOnionPayloadRequired), lnwire.Features)),
	}
	if i.Amount > 0 {
		options = append(options, zpay32.Amount(i.Amount))
	}
	invoice, err := zpay32.NewInvoice(i.Net, hash, i.Created, options...)
	if err != nil {
		return "", lntypes.Hash{}, err
	}
	text, err := invoice.Encode(zpay32.MessageSigner{SignCompact: func(msg []byte) ([]byte, error) {
		return ecdsa.SignCompact(i.Key, chainhash.HashB(msg), true), nil
	}})
	return text, hash, err
}

// NewPreimage returns a random preimage.
func NewPreimage() lntypes.Preimage {
	var p lntypes.Preimage
	rand.Read(p[:])
	return p
}
