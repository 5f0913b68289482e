package guard

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// resultTimeout bounds the journalling of a call that is over.
const resultTimeout = 10 * time.Second

// operatorCall judges a call with a macaroon that is no account's. It passes as
// it is; if it changes state, it is journalled first. A stranger must not be able
// to fill the journal, or our memory: lnd checks the macaroon before anything is
// read of the call. Calls that only read do not touch the database.
func (g *Guard) operatorCall(ctx context.Context, call *front.Call, lnd *attachment, cred credential) (front.Decision, error) {
	op, ok := lnd.operation(call.Method)
	if !ok {
		return front.Decision{}, refuse(codes.Unimplemented, "unknown_method", "", "lnd does not offer the method %q", call.Method)
	}
	if err := g.verify(ctx, call, lnd, cred, account.ID{}); err != nil {
		return front.Decision{}, err
	}
	if op.effect == reads {
		return front.Decision{}, nil
	}
	o := &operatorCall{
		guard: g, lnd: lnd, operation: op, method: call.Method, by: cred.actor("operator", call),
		verify: func(ctx context.Context) error { return g.verify(ctx, call, lnd, cred, account.ID{}) },
	}
	return front.Decision{Request: o.request, End: o.end}, nil
}

// operatorCall is one state-changing call with an operator's macaroon.
type operatorCall struct {
	operation
	guard  *Guard
	lnd    *attachment
	method string
	by     audit.Actor

	// verify has lnd check the macaroon again.
	verify func(context.Context) error

	opened    bool                    // of the Request function alone
	journaled atomic.Bool             // the call is in the journal
	claimed   atomic.Pointer[request] // whose hashes are held until the call ends
	revokes   atomic.Pointer[uint64]  // the root key that lnd is to delete
}

// request judges the first message, which is all that lnd reads of most methods;
// those that read on are journalled as opened.
func (o *operatorCall) request(ctx context.Context, msg []byte) ([][]byte, error) {
	if !o.opened {
		o.opened = true
		if err := o.open(ctx, msg); err != nil {
			return nil, err
		}
	}
	return [][]byte{msg}, nil
}

func (o *operatorCall) open(ctx context.Context, msg []byte) error {
	// Lnd checks the macaroon of a stream when that is opened. The request may come
	// long after, when the macaroon was revoked or has expired.
	if err := o.verify(ctx); err != nil {
		return err
	}
	asked, err := o.decode(o.lnd.params, msg)
	if err != nil {
		return badRequest("malformed request: %v", err)
	}
	denied := o.deny(ctx, asked)
	what := tallied{o.by, o.method}
	if denied == nil && o.often && o.guard.tallies.repeats(what) {
		return nil
	}
	entry := audit.Entry{Kind: "operator.call", Actor: o.by, Subject: o.method, Detail: asked.detail}
	if refused, ok := errors.AsType[*front.Refusal](denied); ok {
		entry.Kind, entry.Detail = "operator.deny", map[string]any{"reason": refused.Reason, "asked": asked.detail}
	}
	if err := o.guard.journal.Add(ctx, entry); err != nil {
		if o.often {
			o.guard.tallies.forget(what)
		}
		return o.guard.ledgerUnavailable("journal an operator's call", err)
	}
	o.journaled.Store(denied == nil)
	if denied == nil {
		o.revokes.Store(asked.revokes)
	}
	return denied
}

// deny says why the call is not let through, nil when it is.
func (o *operatorCall) deny(ctx context.Context, asked request) error {
	if o.effect == moves && !asked.exempt && o.guard.frozen.Load() {
		return errFrozen
	}
	return o.claim(ctx, asked)
}

// claim keeps accounts off the hashes that the call is about, and refuses the
// call if an account's payment is open on one.
func (o *operatorCall) claim(ctx context.Context, asked request) error {
	if len(asked.hashes) == 0 && !asked.allHashes {
		return nil
	}
	o.guard.paying.add(asked.hashes, asked.allHashes)
	o.claimed.Store(&asked)
	if asked.allHashes {
		open, err := o.guard.opts.Ledger.OpenPayments(ctx, nil)
		if err != nil {
			return o.guard.ledgerUnavailable("look for open payments", err)
		}
		if len(open) > 0 {
			return errAccountsPaying
		}
	}
	for _, hash := range asked.hashes {
		_, err := o.guard.opts.Ledger.OpenByHash(ctx, hash)
		switch {
		case err == nil:
			return errAccountsPaying
		case fault.Code(err) != account.CodeNotFound:
			return o.guard.ledgerUnavailable("look for an open payment", err)
		}
	}
	return nil
}

// end is told how the call ended.
func (o *operatorCall) end(r front.Result) {
	if asked := o.claimed.Load(); asked != nil {
		o.release(*asked, r)
	}
	if o.effect == power {
		o.guard.verifier.ForgetAll()
	}
	if id := o.revokes.Load(); id != nil && r.Status.Code() == codes.OK {
		o.guard.revoked(*id)
		o.guard.sessionRevoked(o.by, *id)
	}
	if !o.journaled.Load() || o.effect == changes {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), resultTimeout)
	defer cancel()
	err := o.guard.journal.Add(ctx, audit.Entry{
		Kind: "operator.result", Actor: o.by, Subject: o.method,
		Detail: map[string]any{"code": r.Status.Code().String(), "forwarded": r.Forwarded, "answered": r.Answered},
	})
	if err != nil {
		o.guard.log.Error("the outcome of an operator's call is not in the journal", "method", o.method, "err", err)
	}
}

// revoked ends the open calls with macaroons of a root key that is gone: lnd would see
// them through to their end, and a stream has none.
func (g *Guard) revoked(rootKeyID uint64) {
	refusal := *refuse(codes.PermissionDenied, "macaroon_revoked", "", "this macaroon was revoked")
	g.opts.CutOff(refusal, func(call *front.Call) bool {
		id, ok := rootKeyOf(call)
		return ok && id == rootKeyID
	})
}

// rootKeyOf returns the root key of a call's macaroon.
func rootKeyOf(call *front.Call) (id uint64, ok bool) {
	raw, err := call.Macaroon()
	if err != nil {
		return 0, false
	}
	id, err = macaroon.RootKeyID(raw)
	return id, err == nil
}

// release gives the hashes back, but not those of a payment that lnd may still
// be making: they wait for its end.
func (o *operatorCall) release(asked request, r front.Result) {
	if o.pays && r.Forwarded && !r.Answered {
		for _, hash := range asked.hashes {
			following := o.lnd.spawn(func() {
				o.lnd.awaitFinal(hash)
				o.guard.paying.remove([]lntypes.Hash{hash}, false)
			})
			if !following {
				o.guard.paying.remove([]lntypes.Hash{hash}, false)
			}
		}
		return
	}
	o.guard.paying.remove(asked.hashes, asked.allHashes)
}

var errAccountsPaying = refuse(codes.AlreadyExists, account.CodeInFlight, "leyden accounts list",
	"an account's payment is open on this payment hash")

// ledgerUnavailable refuses a call that the ledger or the journal cannot take.
func (g *Guard) ledgerUnavailable(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	g.log.Error("the ledger failed", "at", what, "err", err)
	return errLedger
}
