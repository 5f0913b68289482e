package l402http

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// PaymentGrace is for how long after its invoice's end a Payment credential is
// taken. The node does not let the invoice be paid later, so that such a
// credential was paid for in time; draft-lightning-charge-00, "Challenge Expiry
// and Invoice Expiry", would have it refused and the money lost.
const PaymentGrace = 24 * time.Hour

const (
	// restoreTimeout is how long giving a credential back may take.
	restoreTimeout = 5 * time.Second
	// redeemedMargin is for how long a redemption is remembered beyond the
	// time until which its credential is taken.
	redeemedMargin = time.Hour
)

// Redemptions remembers which payments have been used up. Calls come from
// several goroutines.
type Redemptions interface {
	// Redeem uses a payment for a service up. Of any number of calls for one
	// hash exactly one returns nil, until Restore; it is durable then, and
	// need not be remembered after until. Errors: mpp.ErrUsed,
	// mpp.ErrUnknownChallenge for a payment that was never asked for,
	// l402.ReasonRevoked; all others mean that nothing was used up.
	Redeem(ctx context.Context, hash lntypes.Hash, service string, until time.Time) error

	// Restore undoes Redeem for a request that was not answered; durable.
	Restore(ctx context.Context, hash lntypes.Hash) error

	// Answered says that the request's answer begins. Restore is not called
	// any more. It returns at once, and need not be durable at once: whoever
	// restores after a crash what was not answered gives a buyer whose answer
	// was on its way another request, and takes from nobody what was paid for.
	Answered(hash lntypes.Hash)
}

// What a Payment credential may be refused for beside the errors of mpp.
var (
	errOtherService = errors.New("the payment was for another service")
	errUnderpaid    = errors.New("the payment was less than the price")
)

// errRedeem is in the chain when a payment could not be used up.
var errRedeem = errors.New("the payment could not be used up")

// judgePayment looks for a Payment credential for the sale. The error is why
// the first is none.
func (s *Seller) judgePayment(r *http.Request, sale Sale) (Verdict, error) {
	credentials, err := mpp.ParseCredentials(r.Header)
	if err != nil {
		return Verdict{}, err
	}
	rules, refusal, now := s.book.rules.Load(), error(errUnpaid), time.Now()
	for i, c := range credentials {
		sold, err := mpp.Verify(rules.keys, rules.realmOf(r, sale), c)
		if err == nil {
			err = fits(sold, sale, now)
		}
		if err == nil {
			s.book.forget(sold.Hash)
			return Verdict{Paid: true, Scheme: SchemePayment, Hash: sold.Hash, sold: &sold}, nil
		}
		if i == 0 {
			refusal = err
		}
	}
	return Verdict{}, refusal
}

// fits reports why what was sold does not open the sale.
func fits(sold mpp.Sold, sale Sale, now time.Time) error {
	switch {
	case sold.Service != sale.Service:
		return errOtherService
	case sold.Price < sale.Price:
		return errUnderpaid
	case now.After(sold.Expires.Add(PaymentGrace)):
		return mpp.ErrExpired
	}
	return nil
}

// realmOf is the realm of a request's challenges. All spellings of one host are
// one realm, since buyers keep what they paid for by the origin.
func (r *rules) realmOf(req *http.Request, sale Sale) string {
	return cmp.Or(r.realm, plainHost(req.Host), sale.Service)
}

// plainHost is a host in lower case, without the dot that may end a name and
// the port that http and https have by themselves.
func plainHost(host string) string {
	host = strings.ToLower(host)
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i:]
	}
	switch port {
	case ":", ":80", ":443":
		port = ""
	}
	return strings.TrimSuffix(name, ".") + port
}

// writePayment adds the Payment challenge for the invoice to h.
func (s *Seller) writePayment(h http.Header, r *http.Request, sale Sale, open OpenChallenge) error {
	rules := s.book.rules.Load()
	c, err := mpp.NewChallenge(rules.keys, mpp.Terms{
		Realm: rules.realmOf(r, sale), Service: sale.Service, Price: sale.Price,
		Invoice: open.Invoice, Hash: open.Hash, Network: s.network, Expires: open.Expires,
	})
	if err != nil {
		return err
	}
	return c.Write(h)
}

// Redeem uses up the credential of a paid verdict, where it is one that can be
// used up: durably, before the handler is asked. The verdict that comes back is
// not Paid when it was used before, or cannot be used up now; its Refusal says
// why.
func (s *Seller) Redeem(ctx context.Context, sale Sale, v Verdict) Verdict {
	if v.Scheme != SchemePayment {
		return v
	}
	err := s.redemptions.Redeem(ctx, v.Hash, sale.Service, v.sold.Expires.Add(PaymentGrace+redeemedMargin))
	switch {
	case err == nil:
		v.redeemed = true
		return v
	case paymentReason(err) == "":
		s.log.ErrorContext(ctx, "use payment up", "service", sale.Service, "hash", v.Hash, "err", err)
		err = errRedeem
	}
	return Verdict{Scheme: SchemePayment, Refusal: err}
}

// restore gives a credential back, and reports whether it did. One that it
// cannot give back now is not answered either, so that a restart will.
func (s *Seller) restore(ctx context.Context, v Verdict) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTimeout)
	defer cancel()
	if err := s.redemptions.Restore(ctx, v.Hash); err != nil {
		s.log.ErrorContext(ctx, "give payment back", "hash", v.Hash, "err", err)
		return false
	}
	return true
}

// receipt writes the receipt of a request that succeeded.
func (s *Seller) receipt(h http.Header, v Verdict) {
	if err := (mpp.Receipt{Hash: v.Hash, ChallengeID: v.sold.ID, Time: time.Now()}).Write(h); err != nil {
		s.log.Error("write receipt", "hash", v.Hash, "err", err)
	}
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = []string{"private"}
	}
}

// paymentReason is the stable name of why a Payment credential was refused, ""
// for an error that is none of that.
func paymentReason(err error) string {
	for _, r := range []struct {
		err  error
		name string
	}{
		{mpp.ErrMalformed, "malformed"}, {mpp.ErrUnsupported, "unsupported"},
		{mpp.ErrUnknownChallenge, "unknown_challenge"}, {mpp.ErrWrongPreimage, "wrong_preimage"},
		{mpp.ErrExpired, "expired"}, {mpp.ErrUsed, "used"}, {l402.ReasonRevoked, "revoked"},
		{errOtherService, "wrong_service"}, {errUnderpaid, "underpaid"},
	} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return ""
}
