package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

var (
	errNotAttached = refuse(codes.Unavailable, "starting", "", "the node is starting")
	errReconciling = refuse(codes.Unavailable, "starting", "",
		"payments left open by the last run are being looked after; accounts are served in a moment")
)

// credential is a macaroon that a client sent, parsed but not verified.
type credential struct {
	*macaroon.Macaroon
	raw  []byte
	hash [sha256.Size]byte
}

// actor is who the credential's holder is to the journal.
func (c credential) actor(kind string, call *front.Call) audit.Actor {
	via := "lnd"
	if call.Tunnel != "" {
		via = "lnc/" + call.Tunnel
	}
	return audit.Actor{Kind: kind, Via: via, Peer: call.Peer.String(), Macaroon: hex.EncodeToString(c.hash[:8])}
}

// Call is part of front.Hook.
func (g *Guard) Call(ctx context.Context, call *front.Call) (front.Decision, error) {
	lnd := g.lnd.Load()
	if lnd == nil {
		return front.Decision{}, errNotAttached
	}
	raw, err := call.Macaroon()
	if err != nil {
		return front.Decision{}, noCredential(call, err)
	}
	parsed, err := macaroon.Parse(raw)
	if err != nil {
		return front.Decision{}, noCredential(call, err)
	}
	if g.opts.JudgeAddresses {
		if err := judgeAddresses(parsed.Caveats(), call.Peer); err != nil {
			return front.Decision{}, err
		}
	}
	cred := credential{Macaroon: parsed, raw: raw, hash: sha256.Sum256(raw)}
	id, ok, err := parsed.Account()
	switch {
	case errors.Is(err, macaroon.ErrAccountCaveat):
		return front.Decision{}, refuse(codes.PermissionDenied, "bad_macaroon", "", "%v", err)
	case err != nil:
		return front.Decision{}, err
	case ok:
		if err := g.judgeSession(cred, (*account.ID)(&id)); err != nil {
			return front.Decision{}, err
		}
		return g.accountCall(ctx, call, lnd, cred, account.ID(id))
	}
	if err := g.judgeSession(cred, nil); err != nil {
		return front.Decision{}, err
	}
	return g.operatorCall(ctx, call, lnd, cred)
}

// noCredential refuses a call as lnd would (macaroons, RawMacaroonFromContext),
// before anything is read of it.
func noCredential(call *front.Call, err error) error {
	if n := len(call.Metadata["macaroon"]); n != 1 {
		return status.Errorf(codes.Unknown, "expected 1 macaroon, got %d", n)
	}
	return status.Error(codes.Unknown, err.Error())
}

// accountCall judges a call with an account's macaroon. What is told before lnd
// has verified it, such as that the account was removed, is told to who knows
// the account's id, 64 random bits: lnd could not verify it any more.
func (g *Guard) accountCall(ctx context.Context, call *front.Call, lnd *attachment, cred credential, id account.ID) (front.Decision, error) {
	answer, ok := g.rules[call.Method]
	if !ok {
		return front.Decision{}, refuse(codes.PermissionDenied, "method_denied", "",
			"%s is not available to an account", call.Method)
	}
	if !lnd.isReconciled() {
		return front.Decision{}, errReconciling
	}
	if err := g.checkPermissions(cred, id); err != nil {
		return front.Decision{}, err
	}
	owner, err := g.owner(ctx, cred, id)
	if err != nil {
		return front.Decision{}, refusal(err)
	}
	if err := g.verify(ctx, call, lnd, cred, id); err != nil {
		return front.Decision{}, err
	}
	c := &accountCall{Call: call, guard: g, lnd: lnd, account: owner, by: cred.actor("account", call)}
	return front.Decision{Answer: func(ctx context.Context, client *front.Stream) error {
		turns, leave, err := g.crowd.enter(id)
		if err != nil {
			return err
		}
		defer leave()
		c.turns = turns
		err = answer(ctx, c, client)
		told := refusal(err)
		if told == error(errLedger) {
			g.log.Error("the ledger failed", "method", call.Method, "account", id, "err", err)
		}
		return told
	}}, nil
}

// checkPermissions refuses a macaroon that permits more than an account's does.
// Here it would be worth no more, but at lnd's own port: about some of the
// methods that take other permissions, such as the registration of middleware,
// lnd asks no middleware.
func (g *Guard) checkPermissions(cred credential, id account.ID) error {
	list, err := cred.Permissions()
	if err != nil {
		return refuse(codes.PermissionDenied, "bad_macaroon", "", "%v", err)
	}
	for _, p := range list {
		if _, ours := g.rules[p.Action]; ours && p.Entity == "uri" || permitted[p] {
			continue
		}
		return refuse(codes.PermissionDenied, "strong_macaroon", "leyden accounts macaroon "+id.String(),
			"this macaroon of account %s permits %s:%s, which no account may: make it anew", id, p.Entity, p.Action)
	}
	return nil
}

// owner returns the account that the credential belongs to, if it may still
// speak for it.
func (g *Guard) owner(ctx context.Context, cred credential, id account.ID) (account.Account, error) {
	a, err := g.opts.Ledger.Get(ctx, id)
	switch {
	case err != nil && fault.Code(err) != account.CodeUnknown:
		return account.Account{}, g.ledgerUnavailable("look an account up", err)
	case err != nil:
		return account.Account{}, err
	}
	if a.Removed {
		return account.Account{}, refuse(codes.PermissionDenied, account.CodeUnknown, "", "account %s was removed", id)
	}
	key, err := cred.RootKeyID()
	if err != nil {
		return account.Account{}, refuse(codes.PermissionDenied, "bad_macaroon", "", "%v", err)
	}
	if key != a.RootKeyID() && a.Generation > 0 && !isSession(key) { // judged already
		return account.Account{}, refuse(codes.PermissionDenied, "macaroon_rotated", "",
			"this macaroon of account %s is no longer valid: the account's macaroons were replaced", id)
	}
	return a, nil
}
