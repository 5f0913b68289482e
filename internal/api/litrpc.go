package api

import (
	"context"
	"math"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
)

const (
	// shown is how many of its newest payments and invoices an account is shown
	// with, so that a list of accounts stays an answer of bounded size.
	shown = 100

	// litd's pages.
	litDefaultPage = 20
	litMaxPage     = 50
)

// litServer is litrpc.Accounts.
type litServer struct {
	litrpc.UnimplementedAccountsServer
	s *Server
}

func (l *litServer) CreateAccount(ctx context.Context, req *litrpc.CreateAccountRequest) (*litrpc.CreateAccountResponse, error) {
	balance, err := satoshis(req.AccountBalance)
	if err != nil {
		return nil, err
	}
	expires, err := when(max(req.ExpirationDate, 0))
	if err != nil {
		return nil, err
	}
	n := account.New{Label: req.Label, Balance: balance, Expires: expires}
	made, macaroon, err := l.s.opts.Guard.CreateAccount(ctx, actor(ctx), n, false)
	if err != nil {
		return nil, err
	}
	out, err := l.out(ctx, made)
	return &litrpc.CreateAccountResponse{Account: out, Macaroon: macaroon}, err
}

func (l *litServer) UpdateAccount(ctx context.Context, req *litrpc.UpdateAccountRequest) (*litrpc.Account, error) {
	acc, err := l.find(ctx, req.Id, req.Label)
	if err != nil {
		return nil, err
	}
	var change account.Change
	if sat := req.AccountBalance; sat >= 0 {
		balance, err := satoshis(uint64(sat))
		if err != nil {
			return nil, err
		}
		change.Balance = &balance
	}
	if req.ExpirationDate >= 0 {
		expires, err := when(req.ExpirationDate)
		if err != nil {
			return nil, err
		}
		change.Expires = &expires
	}
	if req.NewLabel != "" {
		change.Label = &req.NewLabel
	}
	if change != (account.Change{}) {
		if acc, err = l.s.opts.Ledger.Update(ctx, actor(ctx), acc.ID, change); err != nil {
			return nil, err
		}
	}
	return l.out(ctx, acc)
}

func (l *litServer) CreditAccount(ctx context.Context, req *litrpc.CreditAccountRequest) (*litrpc.CreditAccountResponse, error) {
	acc, err := l.identified(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	amount, err := satoshis(req.Amount)
	if err != nil {
		return nil, err
	}
	if acc, err = l.s.credit(ctx, acc.ID.String(), amount, "", false); err != nil {
		return nil, err
	}
	out, err := l.out(ctx, acc)
	return &litrpc.CreditAccountResponse{Account: out}, err
}

func (l *litServer) DebitAccount(ctx context.Context, req *litrpc.DebitAccountRequest) (*litrpc.DebitAccountResponse, error) {
	acc, err := l.identified(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	amount, err := satoshis(req.Amount)
	if err != nil {
		return nil, err
	}
	if acc, err = l.s.debit(ctx, acc.ID.String(), amount, ""); err != nil {
		return nil, err
	}
	out, err := l.out(ctx, acc)
	return &litrpc.DebitAccountResponse{Account: out}, err
}

func (l *litServer) ListAccounts(ctx context.Context, _ *litrpc.ListAccountsRequest) (*litrpc.ListAccountsResponse, error) {
	list, err := l.s.opts.Ledger.List(ctx)
	if err != nil {
		return nil, err
	}
	resp := &litrpc.ListAccountsResponse{}
	for _, acc := range list {
		out, err := l.out(ctx, acc)
		if err != nil {
			return nil, err
		}
		resp.Accounts = append(resp.Accounts, out)
	}
	return resp, nil
}

func (l *litServer) AccountInfo(ctx context.Context, req *litrpc.AccountInfoRequest) (*litrpc.Account, error) {
	acc, err := l.find(ctx, req.Id, req.Label)
	if err != nil {
		return nil, err
	}
	return l.out(ctx, acc)
}

func (l *litServer) RemoveAccount(ctx context.Context, req *litrpc.RemoveAccountRequest) (*litrpc.RemoveAccountResponse, error) {
	acc, err := l.find(ctx, req.Id, req.Label)
	if err != nil {
		return nil, err
	}
	if _, err := l.s.opts.Guard.RemoveAccount(ctx, actor(ctx), acc.ID); err != nil {
		return nil, err
	}
	return &litrpc.RemoveAccountResponse{}, nil
}

func (l *litServer) AccountPayments(ctx context.Context, req *litrpc.AccountPaymentsRequest) (*litrpc.AccountPaymentsResponse, error) {
	acc, err := l.identified(ctx, req.Account)
	if err != nil {
		return nil, err
	}
	page := account.Page{Offset: req.IndexOffset, Max: req.MaxPayments, Unfinished: true}
	if page.Max == 0 {
		page.Max = litDefaultPage
	}
	switch {
	case page.Max > litMaxPage:
		return nil, fault.New(codeBadArgument, "", "max_payments %d: at most %d", page.Max, litMaxPage)
	case page.Offset > math.MaxInt64:
		return nil, fault.New(codeBadArgument, "", "index_offset %d is out of range", page.Offset)
	}
	list, total, err := l.s.opts.Ledger.Payments(ctx, acc.ID, page)
	if err != nil {
		return nil, err
	}
	resp := &litrpc.AccountPaymentsResponse{}
	for _, p := range list {
		out, err := lnrpcPayment(p)
		if err != nil {
			return nil, err
		}
		resp.Payments = append(resp.Payments, out)
	}
	if len(list) > 0 {
		resp.FirstIndexOffset, resp.LastIndexOffset = list[0].Index-1, list[len(list)-1].Index
	}
	if req.CountTotalPayments {
		resp.TotalNumPayments = total
	}
	return resp, nil
}

// find takes an id, in either case, or a label, not both, as litd does.
func (l *litServer) find(ctx context.Context, id, label string) (account.Account, error) {
	id = strings.ToLower(id)
	if id != "" && label != "" {
		return account.Account{}, fault.New(codeBadArgument, "", "name the account by id or by label, not both")
	}
	acc, err := l.s.find(ctx, id+label)
	if err == nil && id != "" && acc.ID.String() != id {
		return account.Account{}, fault.New(account.CodeUnknown, "leyden accounts list", "no account has the id %q", id)
	}
	return acc, err
}

func (l *litServer) identified(ctx context.Context, who *litrpc.AccountIdentifier) (account.Account, error) {
	return l.find(ctx, who.GetId(), who.GetLabel())
}

// out shows the account with its newest payments and invoices.
func (l *litServer) out(ctx context.Context, a account.Account) (*litrpc.Account, error) {
	out := &litrpc.Account{
		Id: a.ID.String(), Label: a.Label,
		InitialBalance: uint64(a.Initial.ToSatoshis()), CurrentBalance: int64(a.Balance.ToSatoshis()),
		LastUpdate: unix(a.Updated), ExpirationDate: unix(a.Expires),
	}
	newest := account.Page{Max: shown, Reversed: true, Unfinished: true}
	payments, _, err := l.s.opts.Ledger.Payments(ctx, a.ID, newest)
	if err != nil {
		return nil, err
	}
	for _, p := range payments {
		full := p.Reserved
		if p.State == account.StateSucceeded {
			full = p.Paid
		}
		out.Payments = append(out.Payments, &litrpc.AccountPayment{
			Hash: p.Hash[:], State: lnrpcStatus(p.State).String(), FullAmount: int64(full.ToSatoshis()),
		})
	}
	invoices, err := l.s.opts.Ledger.Invoices(ctx, a.ID, newest)
	if err != nil {
		return nil, err
	}
	for _, i := range invoices {
		out.Invoices = append(out.Invoices, &litrpc.AccountInvoice{Hash: i.Hash[:]})
	}
	return out, nil
}

func lnrpcStatus(s account.State) lnrpc.Payment_PaymentStatus {
	switch s {
	case account.StateSucceeded:
		return lnrpc.Payment_SUCCEEDED
	case account.StateFailed, account.StateVoid:
		return lnrpc.Payment_FAILED
	}
	return lnrpc.Payment_IN_FLIGHT
}

// lnrpcPayment is the payment as lnd told it last, or what is known of one in
// flight.
func lnrpcPayment(p account.Payment) (*lnrpc.Payment, error) {
	out := &lnrpc.Payment{
		PaymentHash: p.Hash.String(), Status: lnrpcStatus(p.State), PaymentRequest: p.PaymentRequest,
		ValueMsat: int64(p.Amount), ValueSat: int64(p.Amount.ToSatoshis()),
		FeeMsat: int64(p.Fee), FeeSat: int64(p.Fee.ToSatoshis()),
		CreationTimeNs: p.Created.UnixNano(),
	}
	if p.Final != nil {
		out = &lnrpc.Payment{}
		if err := proto.Unmarshal(p.Final, out); err != nil {
			return nil, fault.New(fault.Internal, "leyden accounts check", "payment %s as it was stored is malformed: %w", p.Hash, err)
		}
	}
	out.PaymentIndex = p.Index
	return out, nil
}
