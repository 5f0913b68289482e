package l402http

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// State is what became of a purchase.
type State string

// The states of a purchase. Pending and Paid are active; the others are set
// aside: they are kept for the record and never looked at again.
const (
	// StatePending: the wallet may have been asked to pay. Only its answer
	// ends this state.
	StatePending State = "pending"
	// StatePaid: the token can be used.
	StatePaid State = "paid"
	// StateFailed: the wallet did not pay.
	StateFailed State = "failed"
	// StateRefused: the seller accepted the paid token once, and no longer.
	StateRefused State = "refused"
	// StateExpired: the paid token says that its time is over.
	StateExpired State = "expired"
	// StateSpent: the seller has delivered for the credential, which was good
	// for one request.
	StateSpent State = "spent"
)

// Active reports whether the purchase is pending or can be used.
func (s State) Active() bool { return s == StatePending || s == StatePaid }

// Purchase is one invoice and the token that it buys: first the journal of
// the payment, then the token.
type Purchase struct {
	// Origin is where it was bought.
	Origin Origin
	// Path is the URL path that was asked for.
	Path  string
	State State
	// Scheme is how the seller wants the token presented.
	Scheme l402.Scheme
	// Credential holds the tokens and, once paid, the preimage. With
	// SchemeOfPayment there is no token.
	Credential l402.Credential
	// Payment is the challenge of a purchase with SchemeOfPayment, else nil.
	Payment *mpp.Challenge
	// Invoice is the BOLT 11 invoice.
	Invoice string
	// Hash is the invoice's payment hash, which names the purchase.
	Hash lntypes.Hash
	// Amount is the invoice's, Fee what was spent on top, in msat.
	Amount, Fee lnwire.MilliSatoshi
	// Node is the name of the node that was asked to pay (see [Namer]), ""
	// when that is not known.
	Node string
	// Created is when it was journalled, Paid when the wallet said so.
	Created, Paid time.Time
	// Used says that the seller has accepted the token.
	Used bool
	// Reason says why it was set aside.
	Reason string
}

// ErrInvoiceReused: the store has another purchase with this payment hash.
var ErrInvoiceReused = errors.New("its payment hash is known")

// Store keeps purchases. Implementations are safe for concurrent use.
type Store interface {
	// Lock waits until the caller alone may buy from the origin, also among
	// processes that share the store, and returns what ends that. A holder
	// that dies holds it no longer.
	Lock(ctx context.Context, o Origin) (unlock func(), err error)

	// Load returns the active purchases of the origin. A record that cannot
	// be read is an error, not an absence: it may be a payment under way.
	Load(o Origin) ([]Purchase, error)

	// Save replaces the purchase with the same origin and hash, whole or
	// not at all. Once it returns nil no crash undoes it. A pending purchase
	// replaces none but a failed one, and is refused with ErrInvoiceReused
	// when any origin has another with its hash.
	Save(p Purchase) error

	// MarkUsed notes that the seller accepted the token. A crash may undo
	// it, and nothing else.
	MarkUsed(p Purchase) error
}

// Validate reports whether the parts of a purchase belong together, for
// stores that read them from outside.
func (p Purchase) Validate() error {
	if err := p.validateChallenge(); err != nil {
		return err
	}
	switch p.State {
	case StatePending, StateFailed:
	case StatePaid, StateRefused, StateExpired, StateSpent:
		if sha256.Sum256(p.Credential.Preimage[:]) != p.Hash {
			return errors.New("the preimage is not that of the payment hash")
		}
	default:
		return fmt.Errorf("unknown state %q", p.State)
	}
	return nil
}

func (p Purchase) validateChallenge() error {
	switch {
	case p.Payment != nil:
		if err := p.Payment.Validate(); err != nil {
			return err
		}
		d, err := paymentDemand(*p.Payment)
		if err != nil {
			return err
		}
		if p.Scheme != SchemeOfPayment || d.Invoice != p.Invoice || d.charge.Hash != nil && *d.charge.Hash != p.Hash {
			return errors.New("the challenge is for another payment")
		}
		return nil
	case p.Scheme != l402.SchemeL402 && p.Scheme != l402.SchemeLSAT:
		return fmt.Errorf("unknown scheme %q", p.Scheme)
	case len(p.Credential.Tokens) == 0:
		return errors.New("no token")
	}
	id, err := p.Credential.Tokens[0].Identifier()
	if err != nil {
		return err
	}
	if id.PaymentHash != p.Hash {
		return errors.New("the token commits to another payment hash")
	}
	return nil
}

// Authorization returns the value of the header that presents a paid purchase.
func (p Purchase) Authorization() (string, error) {
	if p.Payment == nil {
		return p.Credential.Authorization(p.Scheme), nil
	}
	return mpp.Credential{Challenge: *p.Payment, Preimage: p.Credential.Preimage}.Authorization()
}

// SingleUse reports whether the purchase buys one request and no more.
func (p Purchase) SingleUse() bool { return p.Payment != nil }

// Expired reports whether the token itself says that its time is over, for
// every service that it names.
func (p Purchase) Expired(now time.Time) bool { return over(p.Credential.Tokens, now) }

func over(tokens []l402.Token, now time.Time) bool {
	services, until := terms(tokens)
	if len(services) == 0 {
		return false
	}
	for _, s := range services {
		if end, ok := until[s]; !ok || now.Before(end) {
			return false
		}
	}
	return true
}

// Services returns the names of the services that the token says it opens,
// sorted; none when it does not say.
func (p Purchase) Services() []string {
	services, _ := p.terms()
	return services
}

func (p Purchase) terms() (services []string, until map[string]time.Time) {
	return terms(p.Credential.Tokens)
}

// terms reads services and their ends from a token. Nothing of it is verified;
// the seller who made it up only fools himself.
func terms(tokens []l402.Token) (services []string, until map[string]time.Time) {
	if len(tokens) == 0 {
		return nil, nil
	}
	caveats, err := tokens[0].Caveats()
	if err != nil {
		return nil, nil
	}
	until = map[string]time.Time{}
	for _, c := range caveats {
		if c.Key == "services" {
			services = services[:0]
			named, _ := l402.ParseServices(c.Value)
			for _, s := range named {
				services = append(services, s.Name)
			}
		}
		if service, ok := strings.CutSuffix(c.Key, "_valid_until"); ok {
			if sec, err := strconv.ParseInt(c.Value, 10, 64); err == nil {
				end := time.Unix(sec, 0)
				if old, ok := until[service]; !ok || end.Before(old) {
					until[service] = end
				}
			}
		}
	}
	slices.Sort(services)
	return slices.Compact(services), until
}
