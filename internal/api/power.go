package api

import (
	"context"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// issuer makes a macaroon for an account.
type issuer func(context.Context, audit.Actor, account.ID) (account.Account, []byte, error)

func (a *accountsServer) macaroon(ctx context.Context, req *leydenv1.AccountRequest, issue issuer) (*leydenv1.MacaroonResponse, error) {
	acc, err := a.s.find(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	acc, macaroon, err := issue(ctx, actor(ctx), acc.ID)
	if err != nil {
		return nil, err
	}
	return &leydenv1.MacaroonResponse{Account: accountOut(acc), Macaroon: macaroon}, nil
}

func (a *accountsServer) Freeze(ctx context.Context, req *leydenv1.FreezeRequest) (*leydenv1.FreezeResponse, error) {
	return a.freeze(ctx, req, true)
}

func (a *accountsServer) Thaw(ctx context.Context, req *leydenv1.FreezeRequest) (*leydenv1.FreezeResponse, error) {
	return a.freeze(ctx, req, false)
}

func (a *accountsServer) freeze(ctx context.Context, req *leydenv1.FreezeRequest, frozen bool) (*leydenv1.FreezeResponse, error) {
	if req.All == (req.Account != "") {
		return nil, fault.New(codeBadArgument, "leyden freeze --help", "name one account, or all")
	}
	var id *account.ID
	if !req.All {
		acc, err := a.s.find(ctx, req.Account)
		if err != nil {
			return nil, err
		}
		id = &acc.ID
	}
	inFlight, err := a.s.opts.Guard.Freeze(ctx, actor(ctx), id, frozen)
	if err != nil {
		return nil, err
	}
	return &leydenv1.FreezeResponse{InFlight: paymentsOut(inFlight)}, nil
}

func (a *accountsServer) Release(ctx context.Context, req *leydenv1.ReleaseRequest) (*leydenv1.Payment, error) {
	hash, err := lntypes.MakeHash(req.Hash)
	if err != nil {
		return nil, fault.New(codeBadArgument, "leyden accounts release --help", "payment hash: %w", err)
	}
	released, err := a.s.opts.Guard.GiveUpPayment(ctx, actor(ctx), hash)
	if err != nil {
		return nil, err
	}
	return paymentOut(released), nil
}
