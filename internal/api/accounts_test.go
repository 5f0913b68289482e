package api

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

func create(t *testing.T, c *Client, req *leydenv1.CreateRequest) *leydenv1.Account {
	t.Helper()
	made, err := c.Accounts.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if string(made.Macaroon) != "macaroon of "+made.Account.Id {
		t.Errorf("macaroon %q", made.Macaroon)
	}
	return made.Account
}

func TestAccountsLife(t *testing.T) {
	b := newBed(t)
	c := b.client(t)
	ctx := t.Context()
	expires := time.Now().Add(time.Hour).Unix()
	a := create(t, c, &leydenv1.CreateRequest{
		Label: "agent", BalanceMsat: 50_000_000, Expires: expires,
		Limits: &leydenv1.Limits{LimitDayMsat: new(uint64(5_000_000)), MaxPayments: new(uint32(10)), MaxPaymentsPerSeconds: new(uint32(3600))},
	})
	if a.Expires != expires || a.Expired || a.Limits.GetLimitDayMsat() != 5_000_000 || a.Limits.MaxPaymentMsat != nil {
		t.Errorf("created %v", a)
	}
	if _, err := c.Accounts.Credit(ctx, &leydenv1.AmountRequest{Account: "agent", AmountMsat: 1_000, Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Accounts.Credit(ctx, &leydenv1.AmountRequest{Account: a.Id, AmountMsat: 1_000, Key: "k"}); err != nil {
		t.Fatal(err)
	}
	debited, err := c.Accounts.Debit(ctx, &leydenv1.AmountRequest{Account: a.Id, AmountMsat: 500})
	if err != nil || debited.BalanceMsat != 50_000_500 {
		t.Errorf("balance %v, %v", debited, err)
	}
	rotated, err := c.Accounts.Rotate(ctx, &leydenv1.AccountRequest{Account: "agent"})
	if err != nil || rotated.Account.Generation != 1 || string(rotated.Macaroon) != "fresh" {
		t.Errorf("rotated %v, %v", rotated, err)
	}
	if issued, err := c.Accounts.Issue(ctx, &leydenv1.AccountRequest{Account: "agent"}); err != nil || string(issued.Macaroon) != "another" {
		t.Errorf("issued %v, %v", issued, err)
	}
	got, err := c.Accounts.Update(ctx, &leydenv1.UpdateRequest{
		Account: "agent", Label: new("summer"), Expires: new(int64(0)), Limits: &leydenv1.Limits{MaxFeePpm: new(uint32(1000))}, Lift: []string{"limit_day"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if l := got.Account.Limits; got.Account.Label != "summer" || got.Account.Expires != 0 || l.LimitDayMsat != nil ||
		l.GetMaxFeePpm() != 1000 || l.GetMaxPayments() != 10 {
		t.Errorf("updated %v", got.Account)
	}
	list, err := c.Accounts.List(ctx, &leydenv1.ListRequest{})
	if err != nil || len(list.Accounts) != 1 {
		t.Errorf("list %v, %v", list, err)
	}
	if _, err := c.Accounts.Remove(ctx, &leydenv1.AccountRequest{Account: "summer"}); err != nil {
		t.Error(err)
	}
	_, err = c.Accounts.Get(ctx, &leydenv1.AccountRequest{Account: "summer"})
	wantCode(t, err, account.CodeUnknown)
}

func TestAccountsRefusals(t *testing.T) {
	b := newBed(t)
	c := b.client(t)
	ctx := t.Context()
	create(t, c, &leydenv1.CreateRequest{Label: "agent", BalanceMsat: 1_000_000})
	update := func(req *leydenv1.UpdateRequest) error {
		req.Account = "agent"
		_, err := c.Accounts.Update(ctx, req)
		return err
	}
	for _, c := range []struct {
		name, code string
		do         func() error
	}{
		{"no name", codeBadArgument, func() error { _, err := c.Accounts.Get(ctx, &leydenv1.AccountRequest{}); return err }},
		{"unknown", account.CodeUnknown, func() error {
			_, err := c.Accounts.Rotate(ctx, &leydenv1.AccountRequest{Account: "nobody"})
			return err
		}},
		{"label taken", account.CodeLabel, func() error {
			_, err := c.Accounts.Create(ctx, &leydenv1.CreateRequest{Label: "agent"})
			return err
		}},
		{"more than there is", account.CodeBadAmount, func() error {
			_, err := c.Accounts.Create(ctx, &leydenv1.CreateRequest{BalanceMsat: 1 << 63})
			return err
		}},
		{"not backed", "not_backed", func() error {
			_, err := c.Accounts.Create(ctx, &leydenv1.CreateRequest{BalanceMsat: uint64(ownBalance) + 1, RequireBacking: true})
			return err
		}},
		{"negative date", codeBadArgument, func() error {
			_, err := c.Accounts.Create(ctx, &leydenv1.CreateRequest{Expires: -1})
			return err
		}},
		{"credit 0", account.CodeBadAmount, func() error {
			_, err := c.Accounts.Credit(ctx, &leydenv1.AmountRequest{Account: "agent"})
			return err
		}},
		{"credit too much", account.CodeBadAmount, func() error {
			_, err := c.Accounts.Credit(ctx, &leydenv1.AmountRequest{Account: "agent", AmountMsat: 1 << 63})
			return err
		}},
		{"nothing to change", codeBadArgument, func() error { return update(&leydenv1.UpdateRequest{}) }},
		{"limit of 0", account.CodeLimits, func() error {
			return update(&leydenv1.UpdateRequest{Limits: &leydenv1.Limits{LimitDayMsat: new(uint64(0))}})
		}},
		{"no such limit", account.CodeLimits, func() error { return update(&leydenv1.UpdateRequest{Lift: []string{"limit_year"}}) }},
		{"short key", account.CodeLimits, func() error {
			return update(&leydenv1.UpdateRequest{Limits: &leydenv1.Limits{DenyPayees: [][]byte{{2}}}})
		}},
		{"count without span", account.CodeLimits, func() error {
			return update(&leydenv1.UpdateRequest{Limits: &leydenv1.Limits{MaxPayments: new(uint32(3))}})
		}},
		{"freeze nobody", codeBadArgument, func() error { _, err := c.Accounts.Freeze(ctx, &leydenv1.FreezeRequest{}); return err }},
		{"freeze both", codeBadArgument, func() error {
			_, err := c.Accounts.Freeze(ctx, &leydenv1.FreezeRequest{All: true, Account: "agent"})
			return err
		}},
		{"malformed head", codeBadArgument, func() error {
			_, err := c.Audit.Verify(ctx, &leydenv1.VerifyRequest{Head: "1:x"})
			return err
		}},
		{"format", audit.CodeFormat, func() error {
			s, err := c.Audit.Export(ctx, &leydenv1.ExportRequest{Format: "xml"})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.do()
			wantCode(t, err, c.code)
			if err != nil && strings.HasPrefix(err.Error(), "leyden: ") {
				t.Errorf("the sentence still has its reason in front: %v", err)
			}
		})
	}
}

func TestLndAway(t *testing.T) {
	b := newBed(t)
	c := b.client(t)
	ctx := t.Context()
	create(t, c, &leydenv1.CreateRequest{Label: "agent", BalanceMsat: 1_000_000})
	b.guard.away.Store(true)
	_, err := c.Accounts.Create(ctx, &leydenv1.CreateRequest{BalanceMsat: 1_000})
	wantCode(t, err, "node_unreachable")
	if s, err := c.Accounts.Status(ctx, &leydenv1.StatusRequest{}); err != nil || s.Attached || s.Accounts != 1 {
		t.Errorf("status %v, %v", s, err)
	}
	if r, err := c.Accounts.Check(ctx, &leydenv1.CheckRequest{}); err != nil || r.ChannelBalanceMsat != nil || len(r.Faults) > 0 {
		t.Errorf("check %v, %v", r, err)
	}
	b.guard.away.Store(false)
	if r, err := c.Accounts.Check(ctx, &leydenv1.CheckRequest{}); err != nil || r.GetChannelBalanceMsat() != uint64(ownBalance) || r.BalancesMsat != 1_000_000 {
		t.Errorf("check %v, %v", r, err)
	}
}

func reserve(t *testing.T, b *bed, id string, preimage byte) account.Payment {
	t.Helper()
	a, err := b.ledger.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	secret := lntypes.Preimage{preimage}
	hash := secret.Hash()
	p, err := b.ledger.Reserve(t.Context(), audit.Actor{Kind: "account", Via: "lnd"},
		account.Spend{Account: a.ID, Hash: hash, Amount: 10_000, MaxFee: 1_000, Run: "run"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFreezeTellsWhatIsInFlight(t *testing.T) {
	b := newBed(t)
	c := b.client(t)
	a := create(t, c, &leydenv1.CreateRequest{Label: "agent", BalanceMsat: 1_000_000})
	p := reserve(t, b, a.Id, 1)
	done, err := c.Accounts.Freeze(t.Context(), &leydenv1.FreezeRequest{Account: "agent"})
	if err != nil || len(done.InFlight) != 1 || string(done.InFlight[0].Hash) != string(p.Hash[:]) || done.InFlight[0].ReservedMsat != 11_000 {
		t.Fatalf("freeze %v, %v", done, err)
	}
	got, err := c.Accounts.Get(t.Context(), &leydenv1.AccountRequest{Account: "agent"})
	if err != nil || !got.Account.Frozen || got.Account.ReservedMsat != 11_000 || got.Usage.InFlight != 1 || len(got.InFlight) != 1 {
		t.Errorf("frozen %v, %v", got, err)
	}
	if _, err := c.Accounts.Thaw(t.Context(), &leydenv1.FreezeRequest{All: true}); err != nil {
		t.Error(err)
	}
	page, err := c.Accounts.Payments(t.Context(), &leydenv1.PaymentsRequest{Account: "agent"})
	if err != nil || len(page.Payments) != 1 || page.Payments[0].State != "open" || page.Total != 1 {
		t.Errorf("payments %v, %v", page, err)
	}
	released, err := c.Accounts.Release(t.Context(), &leydenv1.ReleaseRequest{Hash: p.Hash[:]})
	if err != nil || released.State != "failed" || released.Reason == "" || released.Account != a.Id {
		t.Errorf("released %v, %v", released, err)
	}
	got, err = c.Accounts.Get(t.Context(), &leydenv1.AccountRequest{Account: "agent"})
	if err != nil || got.Account.ReservedMsat != 0 || len(got.InFlight) != 0 {
		t.Errorf("after release %v, %v", got, err)
	}
	_, err = c.Accounts.Release(t.Context(), &leydenv1.ReleaseRequest{Hash: p.Hash[:]})
	wantCode(t, err, "not_found")
	_, err = c.Accounts.Release(t.Context(), &leydenv1.ReleaseRequest{Hash: p.Hash[:5]})
	wantCode(t, err, "bad_argument")
}

func TestJournal(t *testing.T) {
	b := newBed(t)
	c := b.client(t)
	ctx := t.Context()
	a := create(t, c, &leydenv1.CreateRequest{Label: "agent", BalanceMsat: 1_000_000})
	create(t, c, &leydenv1.CreateRequest{Label: "other", BalanceMsat: 1_000_000})
	entries := func(req *leydenv1.AuditRequest) (list []*leydenv1.AuditEntry) {
		t.Helper()
		stream, err := c.Audit.List(ctx, req)
		for err == nil {
			var e *leydenv1.AuditEntry
			if e, err = stream.Recv(); err == nil {
				list = append(list, e)
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		return list
	}
	if all := entries(&leydenv1.AuditRequest{}); len(all) != 2 {
		t.Errorf("%d entries", len(all))
	}
	for _, name := range []string{"agent", a.Id} {
		list := entries(&leydenv1.AuditRequest{Account: name})
		if len(list) != 1 || list[0].Account != a.Id || list[0].Actor != "operator" || list[0].Via != "api" ||
			list[0].Peer != "127.0.0.1" || len(list[0].Macaroon) != 16 {
			t.Errorf("entries of %s: %v", name, list)
		}
	}
	verified, err := c.Audit.Verify(ctx, &leydenv1.VerifyRequest{})
	if err != nil || verified.Entries != 2 || len(verified.Faults) != 0 {
		t.Fatalf("verify %v, %v", verified, err)
	}
	if again, err := c.Audit.Verify(ctx, &leydenv1.VerifyRequest{Head: verified.Head}); err != nil || len(again.Faults) != 0 {
		t.Errorf("verify with its own head: %v, %v", again, err)
	}
	wrong := "2:" + strings.Repeat("0", 64)
	if again, err := c.Audit.Verify(ctx, &leydenv1.VerifyRequest{Head: wrong}); err != nil || len(again.Faults) != 1 {
		t.Errorf("verify with a wrong head: %v, %v", again, err)
	}
	stream, err := c.Audit.Export(ctx, &leydenv1.ExportRequest{Format: "jsonl"})
	if err != nil {
		t.Fatal(err)
	}
	part, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(part.Data)), "\n")
	if len(lines) != 2 || !json.Valid([]byte(lines[0])) {
		t.Errorf("export %q", part.Data)
	}
}
