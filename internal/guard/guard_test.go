package guard

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/leydenln/leyden/internal/account"
)

const (
	infoMethod = "/lnrpc.Lightning/GetInfo"
	// ownRule is a method that the tests make a rule for.
	ownRule = "/leyden.Test/Rule"
)

// withRule adds a rule that answers with the account's label, as an alias.
func withRule(s *stand) {
	s.rules[ownRule] = unary(func(_ context.Context, c *accountCall, _ *lnrpc.GetInfoRequest) (*lnrpc.GetInfoResponse, error) {
		return &lnrpc.GetInfoResponse{Alias: c.account.Label}, nil
	})
}

func (s *stand) newAccount(t *testing.T, label string) account.Account {
	t.Helper()
	a, err := s.ledger.Create(t.Context(), operator, account.New{Label: label, Balance: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func caveatOf(a account.Account) string { return "lnd-custom account " + a.ID.String() }

func TestNothingPassesBeforeItIsAttached(t *testing.T) {
	s := newStand(t)
	withRule(s)
	a := s.newAccount(t, "agent")
	for name, mac := range map[string][]byte{
		"operator": mint(t, 0), "account": mint(t, a.RootKeyID(), caveatOf(a)), "nobody": nil,
	} {
		err := s.call(t, infoMethod, mac, new(lnrpc.GetInfoRequest), new(lnrpc.GetInfoResponse))
		t.Log(name)
		wantReason(t, err, codes.Unavailable, "starting")
	}
}

func TestAccountsWaitForReconciliation(t *testing.T) {
	s := newStand(t)
	withRule(s)
	a := s.newAccount(t, "agent")
	held := newAttachment(t.Context(), Access{Conn: s.lnd.dial(t), Macaroon: mint(t, 0)})
	held.permissions = map[string][]permission{infoMethod: {{"info", "read"}}}
	s.Guard.lnd.Store(held)
	defer held.end(nil)

	err := s.call(t, ownRule, mint(t, a.RootKeyID(), caveatOf(a)), new(lnrpc.GetInfoRequest), new(lnrpc.GetInfoResponse))
	wantReason(t, err, codes.Unavailable, "starting")
	if err := s.call(t, infoMethod, mint(t, 0), new(lnrpc.GetInfoRequest), new(lnrpc.GetInfoResponse)); err != nil {
		t.Errorf("operator: %v", err)
	}
}

func TestServe(t *testing.T) {
	t.Run("ok/refuses at lnd", func(t *testing.T) {
		s := newStand(t)
		s.attachNow(t)
		resp := s.lnd.intercept(t)
		if resp.GetRefMsgId() != 9 || !strings.HasPrefix(resp.GetFeedback().GetError(), "leyden: ") {
			t.Errorf("the middleware answered %v", resp)
		}
		a := s.Guard.lnd.Load()
		if a.identity != "02aa" || a.params.Name != "regtest" || a.newest.Load() != 7 {
			t.Errorf("learned %q, %v, %d", a.identity, a.params.Name, a.newest.Load())
		}
	})
	t.Run("ok/ends with its context", func(t *testing.T) {
		s := newStand(t)
		s.attachNow(t)
		s.stop()
		if err := s.ended(t); err != nil {
			t.Errorf("got %v", err)
		}
		err := s.call(t, infoMethod, mint(t, 0), new(lnrpc.GetInfoRequest), new(lnrpc.GetInfoResponse))
		wantReason(t, err, codes.Unavailable, "starting")
	})
	t.Run("fail/the middleware ends", func(t *testing.T) {
		s := newStand(t)
		s.attachNow(t)
		a := s.Guard.lnd.Load()
		close(s.lnd.dropped)
		if err := s.ended(t); err == nil || !strings.Contains(err.Error(), "the middleware") {
			t.Errorf("got %v", err)
		}
		if s.Guard.lnd.Load() != nil || a.ctx.Err() == nil || a.spawn(func() {}) {
			t.Error("the attachment goes on")
		}
	})
	t.Run("fail/lnd dies", func(t *testing.T) {
		s := newStand(t)
		s.attachNow(t)
		s.lnd.server.Stop()
		if err := s.ended(t); err == nil {
			t.Error("no error")
		}
	})
	t.Run("fail/another has the name", func(t *testing.T) {
		s := newStand(t)
		s.attachNow(t)
		err := s.Serve(t.Context(), Access{Conn: s.lnd.dial(t), Macaroon: mint(t, 0), Run: "2"}, func() { t.Error("ready") })
		if err == nil || !strings.Contains(err.Error(), "already registered") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAttachmentWaitsForWhatItSpawned(t *testing.T) {
	s := newStand(t)
	a := newAttachment(t.Context(), Access{Conn: s.lnd.dial(t)})
	ended := false
	a.keep("something", func(ctx context.Context) error {
		<-ctx.Done()
		ended = true
		return nil
	})
	why := errors.New("over")
	a.end(why)
	if !ended || context.Cause(a.ctx) != why {
		t.Errorf("ended %v, %v", ended, context.Cause(a.ctx))
	}
}

func TestAccountMacaroons(t *testing.T) {
	s := newStand(t)
	withRule(s)
	s.attachNow(t)
	live, other := s.newAccount(t, "live"), s.newAccount(t, "other")
	rotated, removed := s.newAccount(t, "rotated"), s.newAccount(t, "removed")
	if _, err := s.ledger.Rotate(t.Context(), operator, rotated.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ledger.Remove(t.Context(), operator, removed.ID); err != nil {
		t.Fatal(err)
	}
	fresh, err := s.ledger.Get(t.Context(), rotated.ID)
	if err != nil {
		t.Fatal(err)
	}
	own := func(a account.Account, caveats ...string) []byte { return mint(t, a.RootKeyID(), caveats...) }
	cases := map[string]struct {
		macaroon []byte
		method   string
		code     codes.Code
		reason   string // "": lnd's own answer
		alias    string
	}{
		"ok/its own root key":       {macaroon: own(live, caveatOf(live)), alias: "live"},
		"ok/made by hand":           {macaroon: mint(t, 0, caveatOf(live)), alias: "live"},
		"ok/made by hand, its key":  {macaroon: mint(t, 77, caveatOf(live)), alias: "live"},
		"ok/with other caveats":     {macaroon: own(live, "ipaddr 127.0.0.1", caveatOf(live)), alias: "live"},
		"ok/new after rotation":     {macaroon: own(fresh, caveatOf(fresh)), alias: "rotated"},
		"fail/old after rotation":   {macaroon: own(rotated, caveatOf(rotated)), code: codes.PermissionDenied, reason: "macaroon_rotated"},
		"fail/by hand and rotated":  {macaroon: mint(t, 0, caveatOf(rotated)), code: codes.PermissionDenied, reason: "macaroon_rotated"},
		"fail/removed":              {macaroon: own(removed, caveatOf(removed)), code: codes.PermissionDenied, reason: "account_unknown"},
		"fail/unknown":              {macaroon: mint(t, 0, "lnd-custom account 0000000000000000"), code: codes.PermissionDenied, reason: "account_unknown"},
		"fail/two accounts":         {macaroon: own(live, caveatOf(live), caveatOf(fresh)), code: codes.PermissionDenied, reason: "bad_macaroon"},
		"fail/doubled":              {macaroon: own(live, caveatOf(live), caveatOf(live)), code: codes.PermissionDenied, reason: "bad_macaroon"},
		"fail/empty":                {macaroon: own(live, "lnd-custom account"), code: codes.PermissionDenied, reason: "bad_macaroon"},
		"fail/empty with space":     {macaroon: own(live, "lnd-custom account "), code: codes.PermissionDenied, reason: "bad_macaroon"},
		"fail/spaces":               {macaroon: own(live, caveatOf(live)+" "), code: codes.PermissionDenied, reason: "bad_macaroon"},
		"fail/two spaces":           {macaroon: own(live, "lnd-custom  account "+live.ID.String()), code: codes.PermissionDenied, reason: "bad_macaroon"},
		"fail/upper case name":      {macaroon: own(live, "lnd-custom Account "+live.ID.String()), code: codes.PermissionDenied, reason: "bad_macaroon"},
		"fail/upper case digits":    {macaroon: own(live, "lnd-custom account "+strings.ToUpper("abcdefabcdefabcd")), code: codes.PermissionDenied, reason: "bad_macaroon"},
		"fail/another's signature":  {macaroon: forge(t, own(live, caveatOf(live)), caveatOf(live), caveatOf(other)), code: codes.Unknown},
		"fail/caveat cut off":       {macaroon: withoutCaveats(t, own(live, caveatOf(live))), method: infoMethod, code: codes.Unknown},
		"fail/no such root key":     {macaroon: mint(t, 99, caveatOf(live)), code: codes.Unknown},
		"ok/peers:read, as litd's":  {macaroon: mintFor(t, 0, []*lnrpc.Op{{Entity: "peers", Actions: []string{"read"}}, {Entity: "invoices", Actions: []string{"read", "write"}}}, caveatOf(live)), alias: "live"},
		"ok/for one method":         {macaroon: mintFor(t, 0, []*lnrpc.Op{{Entity: "uri", Actions: []string{ownRule}}}, caveatOf(live)), alias: "live"},
		"fail/bakes":                {macaroon: mintFor(t, 0, []*lnrpc.Op{{Entity: "info", Actions: []string{"read"}}, {Entity: "macaroon", Actions: []string{"generate"}}}, caveatOf(live)), code: codes.PermissionDenied, reason: "strong_macaroon"},
		"fail/spends coins":         {macaroon: mintFor(t, 0, []*lnrpc.Op{{Entity: "onchain", Actions: []string{"read", "write"}}}, caveatOf(live)), code: codes.PermissionDenied, reason: "strong_macaroon"},
		"fail/for another method":   {macaroon: mintFor(t, 0, []*lnrpc.Op{{Entity: "uri", Actions: []string{"/lnrpc.Lightning/RegisterRPCMiddleware"}}}, caveatOf(live)), code: codes.PermissionDenied, reason: "strong_macaroon"},
		"fail/method without rule":  {macaroon: own(live, caveatOf(live)), method: "/lnrpc.Lightning/SendCoins", code: codes.PermissionDenied, reason: "method_denied"},
		"fail/bakes a macaroon":     {macaroon: own(live, caveatOf(live)), method: "/lnrpc.Lightning/BakeMacaroon", code: codes.PermissionDenied, reason: "method_denied"},
		"fail/checks a macaroon":    {macaroon: own(live, caveatOf(live)), method: "/lnrpc.Lightning/CheckMacaroonPermissions", code: codes.PermissionDenied, reason: "method_denied"},
		"fail/registers middleware": {macaroon: own(live, caveatOf(live)), method: "/lnrpc.Lightning/RegisterRPCMiddleware", code: codes.PermissionDenied, reason: "method_blocked"},
		"fail/unknown method":       {macaroon: own(live, caveatOf(live)), method: "/nobody.Knows/It", code: codes.PermissionDenied, reason: "method_denied"},
		"fail/no macaroon":          {method: infoMethod, code: codes.Unknown},
		"fail/no macaroon, a rule":  {code: codes.Unknown},
		"fail/no macaroon at all":   {macaroon: []byte("nonsense"), method: infoMethod, code: codes.Unknown},
	}
	s.lnd.mu.Lock()
	s.lnd.deleted[99] = true
	s.lnd.mu.Unlock()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = ownRule
			}
			resp := new(lnrpc.GetInfoResponse)
			err := s.call(t, c.method, c.macaroon, new(lnrpc.GetInfoRequest), resp)
			wantReason(t, err, c.code, c.reason)
			if resp.GetAlias() != c.alias {
				t.Errorf("alias %q, want %q", resp.GetAlias(), c.alias)
			}
			if got := s.lnd.reached(); len(got) > 0 {
				t.Errorf("lnd got %v", got)
			}
		})
	}
}

func TestVerdictIsKeptAndForgotten(t *testing.T) {
	s := newStand(t)
	withRule(s)
	s.attachNow(t)
	a := s.newAccount(t, "agent")
	mac := mint(t, a.RootKeyID(), caveatOf(a))
	ask := func() error {
		return s.call(t, ownRule, mac, new(lnrpc.GetInfoRequest), new(lnrpc.GetInfoResponse))
	}
	for range 3 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	s.lnd.mu.Lock()
	if s.lnd.checks != 1 {
		t.Errorf("lnd was asked %d times", s.lnd.checks)
	}
	s.lnd.deleted[a.RootKeyID()] = true
	s.lnd.mu.Unlock()
	s.forget(a.ID)
	wantReason(t, ask(), codes.Unknown, "")
}

func TestNoVerdictWithoutLnd(t *testing.T) {
	s := newStand(t)
	withRule(s)
	s.attachNow(t)
	a := s.newAccount(t, "agent")
	s.lnd.mu.Lock()
	s.lnd.checkErr = context.DeadlineExceeded
	s.lnd.mu.Unlock()
	err := s.call(t, ownRule, mint(t, 0, caveatOf(a)), new(emptypb.Empty), new(emptypb.Empty))
	if err == nil {
		t.Fatal("passed without a verdict")
	}
}

func TestRefusesWhenTheLedgerIsGone(t *testing.T) {
	s := newStand(t)
	withRule(s)
	s.attachNow(t)
	a := s.newAccount(t, "agent")
	if err := s.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	err := s.call(t, ownRule, mint(t, 0, caveatOf(a)), new(emptypb.Empty), new(emptypb.Empty))
	wantReason(t, err, codes.Unavailable, "ledger_unavailable")
	err = s.call(t, "/lnrpc.Lightning/SendCoins", mint(t, 0), new(lnrpc.SendCoinsRequest), new(emptypb.Empty))
	wantReason(t, err, codes.Unavailable, "ledger_unavailable")
	if err := s.call(t, infoMethod, mint(t, 0), new(emptypb.Empty), new(emptypb.Empty)); err != nil {
		t.Errorf("an operator's read needs no ledger: %v", err)
	}
	if got := s.lnd.reached(); len(got) > 0 {
		t.Errorf("lnd got %v", got)
	}
}

func TestNewRefusesWithoutLedger(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no error")
	}
}
