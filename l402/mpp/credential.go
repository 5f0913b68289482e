package mpp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/l402"
)

// ErrUnsupported is in the chain of errors about what is well-formed and not
// spoken here.
var ErrUnsupported = errors.New("not supported")

// Credential shows that a challenge has been paid. Good for one request.
type Credential struct {
	// Challenge is the seller's, unchanged.
	Challenge Challenge
	// Preimage is the payment's. A secret until the credential is used up.
	Preimage lntypes.Preimage
}

// The fields are in the order of RFC 8785.
type credentialJSON struct {
	Challenge echoJSON    `json:"challenge"`
	Payload   payloadJSON `json:"payload"`
}

type echoJSON struct {
	Description text `json:"description,omitempty"`
	Digest      text `json:"digest,omitempty"`
	Expires     text `json:"expires,omitempty"`
	ID          text `json:"id"`
	Intent      text `json:"intent"`
	Method      text `json:"method"`
	Opaque      text `json:"opaque,omitempty"`
	Realm       text `json:"realm"`
	Request     text `json:"request"`
}

type payloadJSON struct {
	Preimage text `json:"preimage"`
}

// Authorization returns the value of the Authorization header.
func (c Credential) Authorization() (string, error) {
	ch := c.Challenge
	value, err := encode(credentialJSON{
		Challenge: echoJSON{Description: text(ch.Description), Digest: text(ch.Digest), Expires: text(ch.Expires),
			ID: text(ch.ID), Intent: text(ch.Intent), Method: text(ch.Method), Opaque: text(ch.Opaque),
			Realm: text(ch.Realm), Request: text(ch.Request)},
		Payload: payloadJSON{Preimage: text(hex.EncodeToString(c.Preimage[:]))},
	})
	if err != nil {
		return "", fmt.Errorf("encode credential: %w", err)
	}
	return Scheme + " " + value, nil
}

// ParseCredentials reads the credentials of the scheme in a request, at most
// [l402.MaxPresented]. Without any it returns none and no error; when there are
// some but not one can be read, the error says what is wrong with the first. It
// never quotes one.
func ParseCredentials(h http.Header) ([]Credential, error) {
	return each(h, l402.HeaderAuthorization, parseCredential)
}

func parseCredential(item l402.AuthItem) (Credential, error) {
	var j credentialJSON
	if err := decode(item.Text(), &j); err != nil {
		return Credential{}, malformed("payment credential: %w", err)
	}
	e := j.Challenge
	c := Credential{Challenge: Challenge{ID: string(e.ID), Realm: string(e.Realm), Method: string(e.Method),
		Intent: string(e.Intent), Request: string(e.Request), Expires: string(e.Expires), Digest: string(e.Digest),
		Description: string(e.Description), Opaque: string(e.Opaque)}}
	if err := c.Challenge.Validate(); err != nil {
		return Credential{}, err
	}
	preimage, err := lntypes.MakePreimageFromStr(string(j.Payload.Preimage))
	if err != nil {
		return Credential{}, malformed("payment credential: the preimage is not 64 hex digits")
	}
	c.Preimage = preimage
	return c, nil
}
