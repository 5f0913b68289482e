package l402http

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leydenln/leyden/l402"
)

// forget is how long after its invoice's expiry a purchase that the wallet has
// never heard of is given up: no request of ours is under way that long.
const forget = 2 * time.Minute

// glance is how long a purchase waits for one that was left open for something
// else, whose payment may stay under way for days.
const glance = 2 * time.Second

// obtain returns a token for one of the challenges, for the first if it must be
// bought. Alone with the origin, it looks first at what others bought meanwhile
// and what an earlier crash left open, and only then buys.
func (x *exchange) obtain(ctx context.Context, demands []demand) (*Purchase, error) {
	if x.unlock == nil {
		unlock, err := x.t.store().Lock(ctx, x.origin)
		if err != nil {
			return nil, err
		}
		x.unlock = unlock
	}
	p, err := x.obtainAlone(ctx, demands)
	if err == nil && !p.SingleUse() || err != nil && !x.asksAnew(demands[0], err) {
		x.free()
	}
	return p, err
}

// asksAnew reports whether the challenge was paid for by another request, which
// was given the same one and uses it up: sellers give an unpaid challenge again.
// Another is asked for while nobody else can buy.
func (x *exchange) asksAnew(c demand, err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeInvoiceReused && c.payment != nil && !x.anew
}

// free lets others buy from the origin. A credential that is good for one
// request is presented before that, so that nobody else uses it up.
func (x *exchange) free() {
	if x.unlock != nil {
		x.unlock()
		x.unlock = nil
	}
}

func (x *exchange) obtainAlone(ctx context.Context, demands []demand) (*Purchase, error) {
	held, err := x.t.store().Load(x.origin)
	if err != nil {
		return nil, err
	}
	if p := x.pickAny(held, demands); p != nil {
		return p, nil
	}
	c := demands[0]
	for i := range held {
		if held[i].State == StatePending {
			if held[i].Invoice == c.Invoice {
				held[i].Path = x.path // which it is for now, since it can be paid once
			}
			if err := x.resolve(ctx, &held[i], c); err != nil {
				return nil, err
			}
		}
	}
	if p := x.pickAny(held, demands); p != nil {
		return p, nil
	}
	if err := x.mayBuy(held, demands); err != nil {
		return nil, err
	}
	if x.bought, err = x.buy(ctx, c); err == nil {
		x.setAside(held, c)
	}
	return x.bought, err
}

// mayBuy stops a purchase after a token that was paid for and never once
// accepted, since the next would fare alike, after one that this very request
// bought, whatever it says of itself, and after too many attempts.
func (x *exchange) mayBuy(held []Purchase, demands []demand) error {
	if x.bought != nil {
		return x.refusesPaid(*x.bought, demands)
	}
	for _, p := range held {
		if p.State == StatePaid && slices.Contains(x.tried, p.Hash) && !p.Used && !p.Expired(time.Now()) &&
			(p.Path == x.path || x.sameThing(p, demands[0])) {
			return x.refusesPaid(p, demands)
		}
	}
	if x.sent > maxAttempts {
		return fail(CodeTokenRefused, "", "%s refused %d tokens", x.origin, len(x.tried))
	}
	return nil
}

func (x *exchange) refusesPaid(p Purchase, demands []demand) error {
	err := fail(CodeTokenRefused, "ask the seller; remove the token to buy again",
		"%s refuses the token that was bought from it for %d sat", x.origin, Sat(p.Amount))
	err.Refused = &p.Hash
	for _, d := range demands {
		if (d.payment != nil) != p.SingleUse() {
			err.Other = d.Scheme
		}
	}
	return err
}

// setAside retires the tokens that a new one has replaced, and not before: the
// seller, or this machine's clock, may have been wrong for a moment. One that
// cannot be retired is only tried again.
func (x *exchange) setAside(held []Purchase, c demand) {
	now := time.Now()
	for _, p := range held {
		switch {
		case p.State != StatePaid || !x.sameThing(p, c):
			continue
		case p.Expired(now):
			p.State, p.Reason = StateExpired, "its time is over"
		case slices.Contains(x.tried, p.Hash):
			p.State, p.Reason = StateRefused, "the seller no longer accepts it"
		default:
			continue
		}
		_ = x.t.store().Save(p)
	}
}

// buy pays for the challenge: checked, approved, journalled, paid, stored.
func (x *exchange) buy(ctx context.Context, c demand) (*Purchase, error) {
	offer, err := x.check(ctx, c, time.Now())
	if err != nil {
		return nil, err
	}
	node, err := x.t.node(ctx)
	if err != nil {
		return nil, fail(CodePaymentFailed, "", "%d sat to %s were not paid: %w", Sat(offer.Amount), x.origin, err)
	}
	p := Purchase{
		Origin: x.origin, Path: x.path, Node: node, State: StatePending, Scheme: c.Scheme,
		Credential: l402.Credential{Tokens: c.Tokens}, Payment: c.payment, Invoice: c.Invoice,
		Hash: offer.Hash, Amount: offer.Amount, Created: time.Now(),
	}
	start := time.Now()
	err = x.t.store().Save(p)
	x.t.traced(start, Event{Step: "journal", Purchase: &p, Err: err})
	switch {
	case errors.Is(err, ErrInvoiceReused):
		return nil, fail(CodeInvoiceReused, "ask the seller", "%s asks for an invoice that another purchase has: %w", x.origin, err)
	case err != nil:
		return nil, err
	}
	if err := x.pay(ctx, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// check reads the offer and says whether it may be paid at that time, and after
// the approval, which may take its own, still.
func (x *exchange) check(ctx context.Context, c demand, now time.Time) (Offer, error) {
	offer, err := decodeOffer(c, x.t.network())
	if err != nil {
		return Offer{}, err
	}
	offer.URL = x.req.URL.Redacted()
	if err := offer.Payable(x.t.MaxCost, x.t.network(), now); err != nil {
		return Offer{}, err
	}
	if x.t.Approve == nil {
		return offer, nil
	}
	start := time.Now()
	if err := x.t.Approve(ctx, offer); err != nil {
		return Offer{}, err
	}
	return offer, offer.Payable(x.t.MaxCost, x.t.network(), now.Add(time.Since(start)))
}

// pay pays a journalled purchase and records the outcome in p and the store.
func (x *exchange) pay(ctx context.Context, p *Purchase) error {
	ctx, cancel := context.WithTimeout(ctx, x.t.timeout()+grace)
	defer cancel()
	start := time.Now()
	receipt, err := x.t.Wallet.Pay(ctx, Payment{Invoice: p.Invoice, Hash: p.Hash, MaxFee: x.t.MaxFee, Timeout: x.t.timeout()})
	if err != nil && !errors.Is(err, ErrNothingSent) && ctx.Err() == nil {
		if tracked, trackErr := x.t.Wallet.Track(ctx, p.Hash); trackErr == nil || errors.Is(trackErr, ErrNothingSent) {
			receipt, err = tracked, trackErr
		}
	}
	x.t.traced(start, Event{Step: "payment", Purchase: p, Fee: receipt.Fee, Err: err})
	return x.t.settle(p, receipt, err)
}

// resolve ends a purchase that an earlier run left open, as far as the wallet
// knows what became of it. An error stops the new purchase; what becomes of
// something else does not.
func (x *exchange) resolve(ctx context.Context, p *Purchase, c demand) error {
	if !x.sameThing(*p, c) {
		// Not what is bought now, though its token may open that as well.
		ctx, cancel := context.WithTimeout(ctx, glance)
		defer cancel()
		_ = x.t.reconcile(ctx, p)
		return nil
	}
	if err := x.t.reconcile(ctx, p); err == nil || !errors.Is(err, ErrPaymentUnknown) {
		return err
	}
	// The wallet has not heard of it, but a request may be on its way. The
	// same invoice can be paid: the wallet pays a hash only once.
	old, err := demandOf(p)
	if err != nil {
		return err
	}
	offer, err := decodeOffer(old, x.t.network())
	if err != nil {
		return err
	}
	if now := time.Now(); now.Before(offer.Expires) {
		if !offer.Due.IsZero() && !now.Before(offer.Due) || over(p.Credential.Tokens, now) {
			return fail(CodePaymentUnresolved, "try again after that: nothing is bought in its place before",
				"payment of %d sat to %s buys nothing any more, but may be under way until its invoice expires at %s",
				Sat(p.Amount), p.Origin, offer.Expires.UTC().Format(time.RFC3339))
		}
		if _, err := x.check(ctx, old, time.Now()); err != nil {
			return err
		}
		return x.pay(ctx, p)
	}
	// The wallet refuses it by its own clock, which is an answer. If that clock
	// is behind ours it pays, so that the limits hold here too.
	if _, err := x.check(ctx, old, offer.Created); err != nil {
		return err
	}
	if err := x.pay(ctx, p); p.State == StatePending {
		return err
	}
	return nil
}

// reconcile asks the wallet what became of a pending purchase and records it.
// nil: it is paid, failed, or given up. It wraps ErrPaymentUnknown when the
// wallet knows nothing of it yet.
func (t *Transport) reconcile(ctx context.Context, p *Purchase) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	if err := t.sameNode(ctx, p); err != nil {
		return err
	}
	start := time.Now()
	receipt, err := t.Wallet.Track(ctx, p.Hash)
	if errors.Is(err, ErrPaymentUnknown) {
		if t.longExpired(p) {
			err = fmt.Errorf("%w, and its invoice has expired", ErrNothingSent)
		}
	}
	t.traced(start, Event{Step: "recover", Purchase: p, Err: err})
	if errors.Is(err, ErrPaymentUnknown) {
		return fail(CodePaymentUnresolved, "", "payment of %d sat to %s: %w", Sat(p.Amount), p.Origin, err)
	}
	if err = t.settle(p, receipt, err); p.State == StateFailed {
		return nil
	}
	return err
}

// longExpired reports whether nobody can be paying the purchase any more.
func (t *Transport) longExpired(p *Purchase) bool {
	d, err := demandOf(p)
	if err != nil {
		return false
	}
	offer, err := decodeOffer(d, t.network())
	return err == nil && time.Since(offer.Expires) > forget
}

// node returns the wallet's node, "" when the wallet cannot say.
func (t *Transport) node(ctx context.Context) (string, error) {
	n, ok := t.Wallet.(Namer)
	if !ok {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	return n.Node(ctx)
}

// sameNode fails when p was begun with another node than the wallet's: what
// this one does not know, that one may have paid.
func (t *Transport) sameNode(ctx context.Context, p *Purchase) error {
	now, err := t.node(ctx)
	if err != nil {
		return fail(CodePaymentUnresolved, "try again: it is asked for first, and not paid twice",
			"payment of %d sat to %s: %w", Sat(p.Amount), p.Origin, err)
	}
	if p.Node == "" || now == "" || p.Node == now || kindOf(p.Node) != kindOf(now) {
		return nil
	}
	return fail(CodePaymentUnresolved, "use that node again; if it is gone for good, move the purchase's file out of the tokens folder",
		"payment of %d sat to %s was begun with node %s, and this is node %s", Sat(p.Amount), p.Origin, p.Node, now)
}

// kindOf returns the kind of a node's name, "" for a public key.
func kindOf(node string) string {
	kind, _, ok := strings.Cut(node, ":")
	if !ok {
		return ""
	}
	return kind
}

// settle records what the wallet said of a purchase. After a payment the
// token is good even if it cannot be stored: the journal still has it.
func (t *Transport) settle(p *Purchase, r Receipt, err error) error {
	switch {
	case err == nil && sha256.Sum256(r.Preimage[:]) == p.Hash:
		p.State, p.Paid, p.Fee = StatePaid, time.Now(), r.Fee
		p.Credential.Preimage = r.Preimage
		start := time.Now()
		err := t.store().Save(*p)
		t.traced(start, Event{Step: "store", Purchase: p, Err: err})
		return nil
	case err == nil:
		return fail(CodePaymentUnresolved, "", "the wallet's preimage is not that of the payment to %s", p.Origin)
	case errors.Is(err, ErrNothingSent):
		p.State, p.Reason = StateFailed, err.Error()
		if err := t.store().Save(*p); err != nil {
			return err
		}
		return fail(CodePaymentFailed, "", "%d sat to %s were not paid: %w", Sat(p.Amount), p.Origin, err)
	default:
		return fail(CodePaymentUnresolved, "try again: it is asked for first, and not paid twice",
			"payment of %d sat to %s: the outcome is not known: %w", Sat(p.Amount), p.Origin, err)
	}
}

// Recover asks the wallet what became of the origin's pending purchases and
// records it. It pays nothing. It returns those that were pending, as they are
// now; the error is that of the first whose outcome cannot be known yet.
func (t *Transport) Recover(ctx context.Context, o Origin) ([]Purchase, error) {
	unlock, err := t.store().Lock(ctx, o)
	if err != nil {
		return nil, err
	}
	defer unlock()
	held, err := t.store().Load(o)
	if err != nil {
		return nil, err
	}
	var (
		pending []Purchase
		first   error
	)
	for _, p := range held {
		if p.State != StatePending {
			continue
		}
		if err := t.reconcile(ctx, &p); err != nil && first == nil {
			first = err
		}
		pending = append(pending, p)
	}
	return pending, first
}
