package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// manageTimeout bounds what is asked of lnd for an operator. A client that
// hangs up does not cut it short, so that no account is left half made.
const manageTimeout = 30 * time.Second

const codeNotBacked = "not_backed"

// Attached says whether accounts are served now.
func (g *Guard) Attached() bool {
	lnd := g.lnd.Load()
	return lnd != nil && lnd.isReconciled()
}

// attached returns the run of lnd that the guard is attached to. Code:
// node_unreachable.
func (g *Guard) attached() (*attachment, error) {
	lnd := g.lnd.Load()
	if lnd == nil {
		return nil, fault.New("node_unreachable", "leyden node status", "lnd is away, and this needs it")
	}
	return lnd, nil
}

// CreateAccount makes an account and its macaroon, or neither. backed refuses
// what would raise the balances beyond what the node owns in its channels.
// Codes: the ledger's, node_unreachable, not_backed.
func (g *Guard) CreateAccount(ctx context.Context, by audit.Actor, n account.New, backed bool) (account.Account, []byte, error) {
	lnd, err := g.attached()
	if err != nil {
		return account.Account{}, nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manageTimeout)
	defer cancel()
	made, err := g.raise(ctx, n.Balance, backed, func() (account.Account, error) {
		return g.opts.Ledger.Create(ctx, by, n)
	})
	if err != nil {
		return account.Account{}, nil, err
	}
	baked, err := lnd.bake(ctx, made)
	if err != nil {
		if _, undo := g.opts.Ledger.Remove(ctx, by, made.ID); undo != nil {
			g.log.Error("an account without a macaroon was left", "account", made.ID, "error", undo)
		}
		return account.Account{}, nil, err
	}
	return made, baked, nil
}

// CreditAccount is the ledger's Credit, with backed as CreateAccount has it.
func (g *Guard) CreditAccount(
	ctx context.Context, by audit.Actor, id account.ID, amount lnwire.MilliSatoshi, key string, backed bool,
) (account.Account, error) {
	return g.raise(ctx, amount, backed, func() (account.Account, error) {
		return g.opts.Ledger.Credit(ctx, by, id, amount, key)
	})
}

// raise does what raises the balances by an amount. Those that are to be backed
// go one after the other, so that two cannot pass where only one could.
func (g *Guard) raise(
	ctx context.Context, amount lnwire.MilliSatoshi, backed bool, do func() (account.Account, error),
) (account.Account, error) {
	if backed {
		g.raising.Lock()
		defer g.raising.Unlock()
		if err := g.checkBacking(ctx, amount); err != nil {
			return account.Account{}, err
		}
	}
	return do()
}

func (g *Guard) checkBacking(ctx context.Context, more lnwire.MilliSatoshi) error {
	own, err := g.ChannelBalance(ctx)
	if err != nil {
		return err
	}
	list, err := g.opts.Ledger.List(ctx)
	if err != nil {
		return err
	}
	var sum lnwire.MilliSatoshi
	for _, a := range list {
		sum += a.Balance
	}
	if more > own || sum > own-more {
		return fault.New(codeNotBacked, "leyden accounts check",
			"the accounts hold %d sat, and %d sat more would exceed the %d sat that the node owns in its channels",
			sum.ToSatoshis(), more.ToSatoshis(), own.ToSatoshis())
	}
	return nil
}

// ChannelBalance is what the node itself owns in its channels, in msat. Code:
// node_unreachable.
func (g *Guard) ChannelBalance(ctx context.Context) (lnwire.MilliSatoshi, error) {
	lnd, err := g.attached()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, manageTimeout)
	defer cancel()
	balance, err := lnd.lightning.ChannelBalance(ctx, &lnrpc.ChannelBalanceRequest{})
	if err != nil {
		return 0, lndFault("ask for the channels' balance", err)
	}
	return lnwire.MilliSatoshi(balance.GetLocalBalance().GetMsat()), nil
}

// RemoveAccount ends an account with its macaroons and sessions at once, also while lnd is
// away: its root key and its open invoices then go when lnd is back. Codes: the
// ledger's Remove.
func (g *Guard) RemoveAccount(ctx context.Context, by audit.Actor, id account.ID) (account.Account, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manageTimeout)
	defer cancel()
	removed, err := g.opts.Ledger.Remove(ctx, by, id)
	if err != nil {
		return account.Account{}, err
	}
	g.dismiss(id, "the account was removed")
	g.accountSessionsOver(ctx, id)
	if lnd := g.lnd.Load(); lnd != nil {
		lnd.deleteRootKey(ctx, g, removed.RootKeyID())
		lnd.cancelInvoices(ctx, g, id)
	}
	return removed, nil
}

// dismiss forgets what was verified for an account and ends its open calls.
func (g *Guard) dismiss(id account.ID, why string) {
	g.forget(id)
	refusal := *refuse(codes.PermissionDenied, "account_unknown", "", "%s", why)
	g.opts.CutOff(refusal, func(call *front.Call) bool { return belongsTo(call, id) })
}

// belongsTo says whether a call carries a macaroon of the account.
func belongsTo(call *front.Call, id account.ID) bool {
	raw, err := call.Macaroon()
	if err != nil {
		return false
	}
	parsed, err := macaroon.Parse(raw)
	if err != nil {
		return false
	}
	of, ok, err := parsed.Account()
	return err == nil && ok && account.ID(of) == id
}

// lndFault is an error of lnd's for an operator: node_unreachable if lnd is
// gone, node_error in its own words otherwise.
func lndFault(what string, err error) error {
	st := status.Convert(err)
	code := "node_error"
	switch st.Code() {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		code = "node_unreachable"
	}
	return fault.New(code, "leyden node status", "%s: %w", what, fmt.Errorf("lnd: %s", st.Message()))
}
