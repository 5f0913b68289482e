package api

import (
	"context"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// Pages of Payments.
const (
	defaultPage = 100
	maxPage     = 1000
)

// accountsServer is leyden.v1.Accounts.
type accountsServer struct {
	leydenv1.UnimplementedAccountsServer
	s *Server
}

func (a *accountsServer) Status(ctx context.Context, _ *leydenv1.StatusRequest) (*leydenv1.StatusResponse, error) {
	frozen, err := a.s.opts.Ledger.FrozenAll(ctx)
	if err != nil {
		return nil, err
	}
	list, err := a.s.opts.Ledger.List(ctx)
	if err != nil {
		return nil, err
	}
	open, err := a.s.opts.Ledger.OpenPayments(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &leydenv1.StatusResponse{
		Attached: a.s.opts.Guard.Attached(), FrozenAll: frozen,
		Accounts: uint64(len(list)), PaymentsInFlight: uint64(len(open)),
	}, nil
}

func (a *accountsServer) Create(ctx context.Context, req *leydenv1.CreateRequest) (*leydenv1.CreateResponse, error) {
	expires, err := when(req.Expires)
	if err != nil {
		return nil, err
	}
	limits, err := patch(policy.Limits{}, req.Limits, nil)
	if err != nil {
		return nil, err
	}
	n := account.New{Label: req.Label, Balance: lnwire.MilliSatoshi(req.BalanceMsat), Expires: expires, Limits: limits}
	made, macaroon, err := a.s.opts.Guard.CreateAccount(ctx, actor(ctx), n, req.RequireBacking)
	if err != nil {
		return nil, err
	}
	return &leydenv1.CreateResponse{Account: accountOut(made), Macaroon: macaroon}, nil
}

func (a *accountsServer) List(ctx context.Context, _ *leydenv1.ListRequest) (*leydenv1.ListResponse, error) {
	list, err := a.s.opts.Ledger.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &leydenv1.ListResponse{}
	for _, acc := range list {
		out.Accounts = append(out.Accounts, accountOut(acc))
	}
	return out, nil
}

func (a *accountsServer) Get(ctx context.Context, req *leydenv1.AccountRequest) (*leydenv1.GetResponse, error) {
	acc, err := a.s.find(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	return a.withUsage(ctx, acc)
}

func (a *accountsServer) withUsage(ctx context.Context, acc account.Account) (*leydenv1.GetResponse, error) {
	usage, err := a.s.opts.Ledger.Usage(ctx, acc.ID)
	if err != nil {
		return nil, err
	}
	open, err := a.s.opts.Ledger.OpenPayments(ctx, &acc.ID)
	if err != nil {
		return nil, err
	}
	return &leydenv1.GetResponse{Account: accountOut(acc), Usage: usageOut(usage), InFlight: paymentsOut(open)}, nil
}

func (a *accountsServer) Update(ctx context.Context, req *leydenv1.UpdateRequest) (*leydenv1.GetResponse, error) {
	a.s.limits.Lock()
	defer a.s.limits.Unlock()
	acc, err := a.s.find(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	change := account.Change{Label: req.Label}
	if req.Expires != nil {
		expires, err := when(*req.Expires)
		if err != nil {
			return nil, err
		}
		change.Expires = &expires
	}
	if req.Limits != nil || len(req.Lift) > 0 {
		limits, err := patch(acc.Limits, req.Limits, req.Lift)
		if err != nil {
			return nil, err
		}
		change.Limits = &limits
	}
	if change == (account.Change{}) {
		return nil, fault.New(codeBadArgument, "leyden accounts update --help", "nothing to change")
	}
	if acc, err = a.s.opts.Ledger.Update(ctx, actor(ctx), acc.ID, change); err != nil {
		return nil, err
	}
	return a.withUsage(ctx, acc)
}

func (a *accountsServer) Credit(ctx context.Context, req *leydenv1.AmountRequest) (*leydenv1.Account, error) {
	acc, err := a.s.credit(ctx, req.Account, lnwire.MilliSatoshi(req.AmountMsat), req.Key, req.RequireBacking)
	if err != nil {
		return nil, err
	}
	return accountOut(acc), nil
}

func (a *accountsServer) Debit(ctx context.Context, req *leydenv1.AmountRequest) (*leydenv1.Account, error) {
	acc, err := a.s.debit(ctx, req.Account, lnwire.MilliSatoshi(req.AmountMsat), req.Key)
	if err != nil {
		return nil, err
	}
	return accountOut(acc), nil
}

func (s *Server) credit(ctx context.Context, name string, amount lnwire.MilliSatoshi, key string, backed bool) (account.Account, error) {
	acc, err := s.amountFor(ctx, name, amount)
	if err != nil {
		return account.Account{}, err
	}
	return s.opts.Guard.CreditAccount(ctx, actor(ctx), acc.ID, amount, key, backed)
}

func (s *Server) debit(ctx context.Context, name string, amount lnwire.MilliSatoshi, key string) (account.Account, error) {
	acc, err := s.amountFor(ctx, name, amount)
	if err != nil {
		return account.Account{}, err
	}
	return s.opts.Ledger.Debit(ctx, actor(ctx), acc.ID, amount, key)
}

func (s *Server) amountFor(ctx context.Context, name string, amount lnwire.MilliSatoshi) (account.Account, error) {
	if amount == 0 {
		return account.Account{}, fault.New(account.CodeBadAmount, "give 1 sat or more", "an amount of 0 changes nothing")
	}
	return s.find(ctx, name)
}

func (a *accountsServer) Remove(ctx context.Context, req *leydenv1.AccountRequest) (*leydenv1.Account, error) {
	acc, err := a.s.find(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	if acc, err = a.s.opts.Guard.RemoveAccount(ctx, actor(ctx), acc.ID); err != nil {
		return nil, err
	}
	return accountOut(acc), nil
}

func (a *accountsServer) Issue(ctx context.Context, req *leydenv1.AccountRequest) (*leydenv1.MacaroonResponse, error) {
	return a.macaroon(ctx, req, a.s.opts.Guard.IssueMacaroon)
}

func (a *accountsServer) Rotate(ctx context.Context, req *leydenv1.AccountRequest) (*leydenv1.MacaroonResponse, error) {
	return a.macaroon(ctx, req, a.s.opts.Guard.RotateAccount)
}

func (a *accountsServer) Payments(ctx context.Context, req *leydenv1.PaymentsRequest) (*leydenv1.PaymentsResponse, error) {
	acc, err := a.s.find(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	page := account.Page{Offset: req.Offset, Max: req.Max, Reversed: req.Reversed, Unfinished: true}
	if page.Max == 0 {
		page.Max = defaultPage
	}
	page.Max = min(page.Max, maxPage)
	list, total, err := a.s.opts.Ledger.Payments(ctx, acc.ID, page)
	if err != nil {
		return nil, err
	}
	return &leydenv1.PaymentsResponse{Payments: paymentsOut(list), Total: total}, nil
}

func (a *accountsServer) Check(ctx context.Context, _ *leydenv1.CheckRequest) (*leydenv1.CheckResponse, error) {
	report, err := a.s.opts.Ledger.Check(ctx)
	if err != nil {
		return nil, err
	}
	out := &leydenv1.CheckResponse{
		Accounts: report.Accounts, Payments: report.Payments, Invoices: report.Invoices, Entries: report.Entries,
		OpenPayments: report.OpenPayments, BalancesMsat: uint64(report.Balances), Faults: report.Faults, Warnings: report.Warnings,
	}
	if own, err := a.s.opts.Guard.ChannelBalance(ctx); err == nil {
		out.ChannelBalanceMsat = new(uint64(own))
	} else if fault.Code(err) != "node_unreachable" {
		return nil, err
	}
	return out, nil
}
