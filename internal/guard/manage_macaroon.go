package guard

import (
	"context"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// accountPermissions are those of the macaroon of an account, as litd has them.
var accountPermissions = []*lnrpc.MacaroonPermission{
	{Entity: "info", Action: "read"},
	{Entity: "invoices", Action: "read"},
	{Entity: "invoices", Action: "write"},
	{Entity: "offchain", Action: "read"},
	{Entity: "offchain", Action: "write"},
	{Entity: "onchain", Action: "read"},
}

// permitted is what a macaroon of an account may permit: with peers:read, which
// litd's hand-made ones have.
var permitted = func() map[macaroon.Permission]bool {
	set := map[macaroon.Permission]bool{{Entity: "peers", Action: "read"}: true}
	for _, p := range accountPermissions {
		set[macaroon.Permission{Entity: p.GetEntity(), Action: p.GetAction()}] = true
	}
	return set
}()

// IssueMacaroon makes one more macaroon of an account; those there are stay
// good. Codes: account_unknown, node_unreachable.
func (g *Guard) IssueMacaroon(ctx context.Context, by audit.Actor, id account.ID) (account.Account, []byte, error) {
	lnd, err := g.attached()
	if err != nil {
		return account.Account{}, nil, err
	}
	a, err := g.opts.Ledger.Get(ctx, id)
	if err != nil {
		return account.Account{}, nil, err
	}
	if a.Removed {
		return account.Account{}, nil, fault.New(account.CodeUnknown, "leyden accounts list", "account %s was removed", id)
	}
	err = g.opts.Ledger.Journal().Add(ctx, audit.Entry{Kind: "account.issue", Actor: by, Account: id.String()})
	if err != nil {
		return account.Account{}, nil, err
	}
	baked, err := lnd.bake(ctx, a)
	return a, baked, err
}

// RotateAccount ends every macaroon of an account, hand-made ones and sessions
// too, and makes a new one. The old ones are void when it returns, also with
// node_unreachable: then IssueMacaroon makes the new one later.
func (g *Guard) RotateAccount(ctx context.Context, by audit.Actor, id account.ID) (account.Account, []byte, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manageTimeout)
	defer cancel()
	rotated, err := g.opts.Ledger.Rotate(ctx, by, id)
	if err != nil {
		return account.Account{}, nil, err
	}
	g.dismiss(id, "the account's macaroons were replaced")
	g.accountSessionsOver(ctx, id)
	baked, err := g.replaceRootKey(ctx, rotated)
	if err != nil {
		return account.Account{}, nil, fault.New(fault.Code(err), "leyden accounts macaroon "+id.String(),
			"the old macaroons of account %s are void, and a new one could not be made: %w", id, err)
	}
	return rotated, baked, nil
}

func (g *Guard) replaceRootKey(ctx context.Context, rotated account.Account) ([]byte, error) {
	lnd, err := g.attached()
	if err != nil {
		return nil, err
	}
	lnd.deleteRootKey(ctx, g, account.RootKeyID(rotated.ID, rotated.Generation-1))
	return lnd.bake(ctx, rotated)
}

// bake has lnd make a macaroon on the account's root key and holds it to the
// account.
func (a *attachment) bake(ctx context.Context, of account.Account) ([]byte, error) {
	req := &lnrpc.BakeMacaroonRequest{Permissions: accountPermissions, RootKeyId: of.RootKeyID()}
	return a.bakeWith(ctx, req, of.ID.Caveat())
}

// deleteRootKey ends at lnd what the guard refuses already. What fails is tried
// again.
func (a *attachment) deleteRootKey(ctx context.Context, g *Guard, id uint64) {
	_, err := a.lightning.DeleteMacaroonID(ctx, &lnrpc.DeleteMacaroonIDRequest{RootKeyId: id})
	if err != nil {
		g.log.Warn("an old macaroon root key is still there", "root_key_id", id, "error", err)
		a.leave()
	}
}

// retireAgain is the pause before what could not be ended at lnd is tried again: a
// macaroon of an operator is good at lnd's own port until then.
const retireAgain = 5 * time.Second

// leave says that something may be left that retire ends.
func (a *attachment) leave() {
	select {
	case a.left <- struct{}{}:
	default: // said already
	}
}

// keepRetiring retires, and again as long as something is left, until the
// attachment ends.
func (g *Guard) keepRetiring(a *attachment) {
	for {
		g.retire(a.ctx, a)
		select {
		case <-a.ctx.Done():
			return
		case <-a.left:
		}
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(retireAgain):
		}
	}
}

// cancelInvoices cancels the open invoices of a removed account. What is paid
// all the same is still credited to it.
func (a *attachment) cancelInvoices(ctx context.Context, g *Guard, of account.ID) {
	open, err := g.opts.Ledger.OpenInvoices(ctx, &of)
	if err != nil {
		g.log.Error("open invoices of a removed account are not cancelled", "account", of, "error", err)
		return
	}
	for _, inv := range open {
		_, err := a.invoices.CancelInvoice(ctx, &invoicesrpc.CancelInvoiceMsg{PaymentHash: inv.Hash[:]})
		if err != nil {
			g.log.Info("an open invoice of a removed account is not cancelled", "hash", inv.Hash, "error", err)
		}
	}
}

// retire deletes the root keys, and cancels the invoices, that rotations, removals
// and ends of sessions while lnd was away have left. The guard refuses their
// macaroons in any case.
func (g *Guard) retire(ctx context.Context, lnd *attachment) {
	sessions, err := g.opts.Ledger.Sessions(ctx)
	if err != nil {
		g.log.Warn("sessions are not looked for", "error", err)
	}
	there, err := lnd.lightning.ListMacaroonIDs(ctx, &lnrpc.ListMacaroonIDsRequest{})
	if err != nil {
		g.log.Warn("old macaroon root keys are not looked for", "error", err)
		lnd.leave()
		return
	}
	known := make(map[uint64]bool, len(there.GetRootKeyIds()))
	for _, id := range there.GetRootKeyIds() {
		known[id] = true
	}
	g.orphaned(sessions, known)
	for id := range known {
		session, ok := account.SessionOfRootKey(id)
		if entry, ours := g.sessions.get(session); ok && ours && !entry.open {
			lnd.deleteRootKey(ctx, g, id)
		}
	}
	retired, err := g.opts.Ledger.Retired(ctx)
	if err != nil {
		g.log.Warn("old macaroon root keys are not looked for", "error", err)
		return
	}
	for _, a := range retired {
		for generation := range a.Generation {
			if id := account.RootKeyID(a.ID, generation); known[id] {
				lnd.deleteRootKey(ctx, g, id)
			}
		}
		if a.Removed && known[a.RootKeyID()] {
			lnd.deleteRootKey(ctx, g, a.RootKeyID())
		}
		if a.Removed {
			lnd.cancelInvoices(ctx, g, a.ID)
		}
	}
}
