package l402_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/leydenln/leyden/l402"
	"github.com/lightningnetwork/lnd/lntypes"
)

// A seller mints a token for an invoice, a buyer reads the challenge, pays and
// presents the token, and the seller verifies it.
func Example() {
	key, err := l402.NewMasterKey(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := l402.NewKeyring(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier := l402.NewVerifier(keys, 100_000)
	now := time.Unix(1_800_000_000, 0)

	// The seller's node has made an invoice.
	preimage := lntypes.Preimage{1, 2, 3}
	services, _ := l402.ServicesCaveat(l402.Service{Name: "weather"})
	expiry, _ := l402.ValidUntilCaveat("weather", now.Add(time.Hour))
	token, err := keys.Mint(rand.Reader, preimage.Hash(), services, expiry)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := make(http.Header)
	if err := l402.WriteChallenge(answer, token, "lnbc10u1p5mq2v"); err != nil {
		fmt.Println(err)
		return
	}

	// The buyer compares the token with the decoded invoice, and pays.
	challenges, err := l402.ParseChallenges(answer)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := challenges[0].Tokens[0].Identifier()
	if err != nil || id.PaymentHash != preimage.Hash() {
		fmt.Println("the token is not for this invoice")
		return
	}
	paid := l402.Credential{Tokens: challenges[0].Tokens, Preimage: preimage}
	request := make(http.Header)
	request.Set(l402.HeaderAuthorization, paid.Authorization(challenges[0].Scheme))

	// The seller judges it.
	presented, err := l402.ParseCredentials(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	verified, err := verifier.Verify(presented[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verified.Allows(l402.Request{Service: "weather", Now: now}, nil))
	late := verified.Allows(l402.Request{Service: "weather", Now: now.Add(time.Hour)}, nil)
	fmt.Println(errors.Is(late, l402.ReasonExpired), late)
	// Output:
	// <nil>
	// true expired: the token was valid for "weather" until 2027-01-15T09:00:00Z
}
