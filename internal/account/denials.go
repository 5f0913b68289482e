package account

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
)

// denialSpan is how long denials for the same reason are only counted after one
// was journalled: a program that asks in a loop must not fill the disk.
const denialSpan = time.Minute

// maxDenials bounds how many reasons are remembered.
const maxDenials = 4096

// denial is a request that was refused.
type denial struct {
	kind    string // payment.deny or invoice.deny
	by      audit.Actor
	account ID
	hash    lntypes.Hash
	amount  lnwire.MilliSatoshi
	fee     lnwire.MilliSatoshi
	cause   error
}

// denialDetail is what the journal says about a denial. Repeated counts those of
// the same account and reason since its entry before that have none of their
// own.
type denialDetail struct {
	Reason   string              `json:"reason"`
	Sentence string              `json:"sentence"`
	Amount   lnwire.MilliSatoshi `json:"amount_msat"`
	Fee      lnwire.MilliSatoshi `json:"max_fee_msat,omitempty"`
	Repeated int64               `json:"repeated,omitempty"`
}

func (d denial) entry(repeated int64) (id, subject string, detail denialDetail) {
	return d.account.String(), d.hash.String(), denialDetail{
		Reason: reason(d.cause), Sentence: d.cause.Error(), Amount: d.amount, Fee: d.fee, Repeated: repeated,
	}
}

func reason(err error) string {
	if d, ok := errors.AsType[*policy.Denied](err); ok {
		return string(d.Reason)
	}
	return fault.Code(err)
}

type denialKey struct {
	kind    string
	account ID
	reason  string
}

// counted is how often a denial was repeated without an entry, and the last.
type counted struct {
	until int64 // Unix ms: the next entry is due
	times int64
	last  denial
}

// denials remembers what was journalled a short while ago. Its methods are
// called by the one writer, and by Close.
type denials struct {
	mu   sync.Mutex
	seen map[denialKey]counted
}

// note counts the denial, or says that it is to be journalled now, and how many
// it stands for besides. undo takes that back.
func (n *denials) note(d denial, now int64) (due bool, repeated int64, undo func()) {
	key := denialKey{d.kind, d.account, reason(d.cause)}
	n.mu.Lock()
	defer n.mu.Unlock()
	before, known := n.seen[key]
	if known && now < before.until {
		n.seen[key] = counted{until: before.until, times: before.times + 1, last: d}
		return false, 0, nil
	}
	if n.seen == nil || len(n.seen) >= maxDenials {
		n.forget(now)
	}
	n.seen[key] = counted{until: now + denialSpan.Milliseconds()}
	return true, before.times, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		after := n.seen[key]
		n.seen[key] = counted{times: before.times + after.times, last: after.last}
	}
}

// forget drops what needs no entry any more.
func (n *denials) forget(now int64) {
	kept := make(map[denialKey]counted)
	for key, c := range n.seen {
		if c.times > 0 || now < c.until {
			kept[key] = c
		}
	}
	n.seen = kept
}

// take returns and forgets what was counted without an entry.
func (n *denials) take() []counted {
	n.mu.Lock()
	defer n.mu.Unlock()
	var rest []counted
	for _, c := range n.seen {
		if c.times > 0 {
			rest = append(rest, c)
		}
	}
	n.seen = nil
	return rest
}

// flushDenials journals what was counted without an entry.
func (l *Ledger) flushDenials(ctx context.Context) error {
	rest := l.denials.take()
	if len(rest) == 0 {
		return nil
	}
	_, err := write(ctx, l, func(s *step) (struct{}, error) {
		for _, c := range rest {
			id, hash, detail := c.last.entry(c.times - 1)
			if _, err := s.log(c.last.by, c.last.kind, id, hash, detail); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// decide runs fn, which denies before it writes anything, as one transaction.
// A denial is journalled in it and is the error.
func decide[T any](ctx context.Context, l *Ledger, d denial, fn func(*step) (T, error)) (T, error) {
	var none T
	var undo func()
	result, err := write(ctx, l, func(s *step) (T, error) {
		result, err := fn(s)
		if err == nil || !denies(err) {
			return result, err
		}
		d.cause = err
		due, repeated, back := l.denials.note(d, s.now)
		undo = back
		if !due {
			return none, nil
		}
		id, hash, detail := d.entry(repeated)
		_, err = s.log(d.by, d.kind, id, hash, detail)
		return none, err
	})
	if err != nil {
		if undo != nil {
			undo()
		}
		return none, err
	}
	return result, d.cause
}

// denies says whether err is a decision, not a failure of the database.
func denies(err error) bool {
	if _, ok := errors.AsType[*policy.Denied](err); ok {
		return true
	}
	switch fault.Code(err) {
	case CodeUnknown, CodeExpired, CodeFrozen, CodeInFlight, CodeAlreadyPaid, CodeHashTaken, CodeBadAmount,
		CodeSameNode, CodeCanceled:
		return true
	}
	return false
}
