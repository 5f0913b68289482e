package api

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
)

func byLabel(label string) *litrpc.AccountIdentifier {
	return &litrpc.AccountIdentifier{Identifier: &litrpc.AccountIdentifier_Label{Label: label}}
}

func TestLitAccounts(t *testing.T) {
	b := newBed(t)
	c := b.client(t).Lit
	ctx := t.Context()
	expires := time.Now().Add(time.Hour).Unix()
	made, err := c.CreateAccount(ctx, &litrpc.CreateAccountRequest{AccountBalance: 50_000, ExpirationDate: expires, Label: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	a := made.Account
	if a.InitialBalance != 50_000 || a.CurrentBalance != 50_000 || a.ExpirationDate != expires || a.Label != "agent" ||
		len(a.Id) != 16 || len(made.Macaroon) == 0 {
		t.Errorf("created %v", made)
	}
	credited, err := c.CreditAccount(ctx, &litrpc.CreditAccountRequest{Account: byLabel("agent"), Amount: 10})
	if err != nil || credited.Account.CurrentBalance != 50_010 {
		t.Errorf("credited %v, %v", credited, err)
	}
	id := &litrpc.AccountIdentifier{Identifier: &litrpc.AccountIdentifier_Id{Id: strings.ToUpper(a.Id)}}
	debited, err := c.DebitAccount(ctx, &litrpc.DebitAccountRequest{Account: id, Amount: 20})
	if err != nil || debited.Account.CurrentBalance != 49_990 {
		t.Errorf("debited %v, %v", debited, err)
	}
	updated, err := c.UpdateAccount(ctx, &litrpc.UpdateAccountRequest{Id: a.Id, AccountBalance: -1, ExpirationDate: -1, NewLabel: "x"})
	if err != nil || updated.Label != "x" || updated.CurrentBalance != 49_990 || updated.ExpirationDate != expires {
		t.Errorf("updated %v, %v", updated, err)
	}
	updated, err = c.UpdateAccount(ctx, &litrpc.UpdateAccountRequest{Label: "x", AccountBalance: 7, ExpirationDate: 0})
	if err != nil || updated.CurrentBalance != 7 || updated.ExpirationDate != 0 || updated.InitialBalance != 50_000 {
		t.Errorf("updated %v, %v", updated, err)
	}
	list, err := c.ListAccounts(ctx, &litrpc.ListAccountsRequest{})
	if err != nil || len(list.Accounts) != 1 {
		t.Errorf("list %v, %v", list, err)
	}
	if _, err := c.RemoveAccount(ctx, &litrpc.RemoveAccountRequest{Label: "x"}); err != nil {
		t.Error(err)
	}
	_, err = c.AccountInfo(ctx, &litrpc.AccountInfoRequest{Id: a.Id})
	wantCode(t, err, account.CodeUnknown)
}

func TestLitRefusals(t *testing.T) {
	b := newBed(t)
	c := b.client(t).Lit
	ctx := t.Context()
	// A label that looks like a short id is not found as an id.
	if _, err := c.CreateAccount(ctx, &litrpc.CreateAccountRequest{AccountBalance: 1, Label: "abcd"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		code string
		do   func() error
	}{
		"label as id": {account.CodeUnknown, func() error { _, err := c.AccountInfo(ctx, &litrpc.AccountInfoRequest{Id: "abcd"}); return err }},
		"both": {codeBadArgument, func() error {
			_, err := c.AccountInfo(ctx, &litrpc.AccountInfoRequest{Id: "a", Label: "b"})
			return err
		}},
		"none": {codeBadArgument, func() error { _, err := c.CreditAccount(ctx, &litrpc.CreditAccountRequest{Amount: 1}); return err }},
		"credit 0": {account.CodeBadAmount, func() error {
			_, err := c.CreditAccount(ctx, &litrpc.CreditAccountRequest{Account: byLabel("abcd")})
			return err
		}},
		"credit over": {account.CodeBadAmount, func() error {
			_, err := c.CreditAccount(ctx, &litrpc.CreditAccountRequest{Account: byLabel("abcd"), Amount: 1<<64 - 1})
			return err
		}},
		"page": {codeBadArgument, func() error {
			_, err := c.AccountPayments(ctx, &litrpc.AccountPaymentsRequest{Account: byLabel("abcd"), MaxPayments: 51})
			return err
		}},
		"offset": {codeBadArgument, func() error {
			_, err := c.AccountPayments(ctx, &litrpc.AccountPaymentsRequest{Account: byLabel("abcd"), IndexOffset: 1 << 63})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.do(), c.code) })
	}
}

func TestLitPayments(t *testing.T) {
	b := newBed(t)
	c := b.client(t).Lit
	ctx := t.Context()
	made, err := c.CreateAccount(ctx, &litrpc.CreateAccountRequest{AccountBalance: 50_000, Label: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(3) {
		p := reserve(t, b, made.Account.Id, i)
		if i == 2 {
			continue // stays in flight
		}
		final, err := proto.Marshal(&lnrpc.Payment{PaymentHash: p.Hash.String(), Status: lnrpc.Payment_SUCCEEDED, ValueMsat: 10_000, PaymentIndex: 77})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.ledger.Settle(ctx, p.ID, account.Outcome{Paid: 10_001, Fee: 1, LndIndex: 77, Preimage: lntypes.Preimage{i}, Final: final})
		if err != nil {
			t.Fatal(err)
		}
	}
	info, err := c.AccountInfo(ctx, &litrpc.AccountInfoRequest{Label: "agent"})
	if err != nil || len(info.Payments) != 3 || info.CurrentBalance != 50_000-21 {
		t.Fatalf("info %v, %v", info, err)
	}
	if p := info.Payments[2]; p.State != "IN_FLIGHT" || p.FullAmount != 11 {
		t.Errorf("in flight %v", p)
	}
	if p := info.Payments[0]; p.State != "SUCCEEDED" || p.FullAmount != 10 {
		t.Errorf("succeeded %v", p)
	}
	page, err := c.AccountPayments(ctx, &litrpc.AccountPaymentsRequest{Account: byLabel("agent"), MaxPayments: 2, CountTotalPayments: true})
	if err != nil || len(page.Payments) != 2 || page.TotalNumPayments != 3 || page.FirstIndexOffset != 0 || page.LastIndexOffset != 2 {
		t.Fatalf("page %v, %v", page, err)
	}
	if p := page.Payments[0]; p.PaymentIndex != 1 || p.Status != lnrpc.Payment_SUCCEEDED {
		t.Errorf("first %v", p)
	}
	rest, err := c.AccountPayments(ctx, &litrpc.AccountPaymentsRequest{Account: byLabel("agent"), IndexOffset: page.LastIndexOffset})
	if err != nil || len(rest.Payments) != 1 || rest.Payments[0].Status != lnrpc.Payment_IN_FLIGHT || rest.TotalNumPayments != 0 {
		t.Errorf("rest %v, %v", rest, err)
	}
}
