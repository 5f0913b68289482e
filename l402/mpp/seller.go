package mpp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
)

// purpose names what the secret that is derived from a master key is for.
const purpose = "payment challenge"

// Why a credential that can be read is refused.
var (
	// ErrUnknownChallenge: this seller did not make the challenge, or it was
	// altered, or its key has been retired.
	ErrUnknownChallenge = errors.New("unknown challenge")
	// ErrWrongPreimage: the preimage is not that of the payment.
	ErrWrongPreimage = errors.New("wrong preimage")
)

// Terms are what a challenge is for. All but Description are needed.
type Terms struct {
	// Realm is the seller's name for itself, such as its host.
	Realm string
	// Service is the name of what is sold.
	Service string
	// Price is what it costs, in msat; a whole number of sat.
	Price lnwire.MilliSatoshi
	// Invoice is the BOLT 11 invoice over the price, Hash its payment hash,
	// Network where it is paid; see [Charge.Network].
	Invoice string
	Hash    lntypes.Hash
	Network string
	// Expires is when the invoice can no longer be paid.
	Expires time.Time
	// Description says what is sold, for people.
	Description string
}

// Sold is what a credential was paid for.
type Sold struct {
	Service string
	// Price is what was asked for, in msat.
	Price lnwire.MilliSatoshi
	// Hash is the payment hash. It names the credential: one payment, one use.
	Hash lntypes.Hash
	// Expires is when the challenge could no longer be paid. A credential that
	// comes later was paid in time all the same, since its invoice could not be
	// paid later; for how long it is taken is the caller's choice.
	Expires time.Time
	// ID is the challenge's, for the receipt.
	ID string
}

// opaqueJSON has its fields in the order of RFC 8785.
type opaqueJSON struct {
	Key     text `json:"key"`
	Price   text `json:"price_msat"`
	Service text `json:"service"`
}

// NewChallenge makes a challenge that [Verify] knows again by the keyring's
// current key.
func NewChallenge(keys *l402.Keyring, t Terms) (Challenge, error) {
	if t.Price == 0 || t.Price%1000 != 0 {
		return Challenge{}, fmt.Errorf("make payment challenge: price of %d msat, want a whole number of sat", uint64(t.Price))
	}
	request, err := Charge{Amount: uint64(t.Price / 1000), Description: t.Description, Invoice: t.Invoice,
		Hash: &t.Hash, Network: t.Network}.Encode()
	if err != nil {
		return Challenge{}, fmt.Errorf("make payment challenge: %w", err)
	}
	id := keys.Current()
	opaque, err := encode(opaqueJSON{Key: text(id.String()), Price: text(strconv.FormatUint(uint64(t.Price), 10)),
		Service: text(t.Service)})
	if err != nil {
		return Challenge{}, fmt.Errorf("make payment challenge: %w", err)
	}
	c := Challenge{Realm: t.Realm, Method: Method, Intent: IntentCharge, Request: request,
		Expires: t.Expires.UTC().Format(time.RFC3339), Description: t.Description, Opaque: opaque}
	secret, ok := keys.Derive(id, purpose)
	if !ok {
		return Challenge{}, errors.New("make payment challenge: no key")
	}
	c.ID = bind(secret, c)
	return c, c.Validate()
}

// bind computes the id of draft-httpauth-payment-00, "Recommended: HMAC-SHA256
// Binding".
func bind(secret []byte, c Challenge) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(strings.Join([]string{c.Realm, c.Method, c.Intent, c.Request, c.Expires, c.Digest, c.Opaque}, "|")))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Verify checks that the challenge is one of this seller's for the realm, that
// nothing of it was altered, and that it was paid. Errors: ErrUnknownChallenge,
// ErrWrongPreimage, ErrMalformed, ErrUnsupported. What it does not check: use,
// expiry, service and price.
func Verify(keys *l402.Keyring, realm string, c Credential) (Sold, error) {
	var o opaqueJSON
	if c.Challenge.Opaque == "" || decode(c.Challenge.Opaque, &o) != nil {
		return Sold{}, ErrUnknownChallenge
	}
	var id l402.KeyID
	if n, err := hex.Decode(id[:], []byte(o.Key[:min(len(o.Key), 2*len(id))])); err != nil || n != len(id) || len(o.Key) != 2*n {
		return Sold{}, ErrUnknownChallenge
	}
	secret, ok := keys.Derive(id, purpose)
	if !ok || !hmac.Equal([]byte(bind(secret, c.Challenge)), []byte(c.Challenge.ID)) || c.Challenge.Realm != realm {
		return Sold{}, ErrUnknownChallenge
	}
	// From here on the challenge is our own word for word.
	charge, err := c.Challenge.Charge()
	if err != nil {
		return Sold{}, err
	}
	price, err := strconv.ParseUint(string(o.Price), 10, 64)
	if err != nil || charge.Hash == nil {
		return Sold{}, ErrUnknownChallenge
	}
	expires, err := c.Challenge.ExpiresAt()
	if err != nil {
		return Sold{}, err
	}
	if got := c.Preimage.Hash(); !hmac.Equal(got[:], charge.Hash[:]) {
		return Sold{}, ErrWrongPreimage
	}
	return Sold{Service: string(o.Service), Price: lnwire.MilliSatoshi(price), Hash: *charge.Hash, Expires: expires,
		ID: c.Challenge.ID}, nil
}
