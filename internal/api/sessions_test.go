package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
	"github.com/leydenln/leyden/internal/session"
	"github.com/leydenln/leyden/lnc"
)

// fakeSessions keeps sessions and serves none.
type fakeSessions struct{ ledger *account.Ledger }

func (f fakeSessions) Add(ctx context.Context, by audit.Actor, o session.Order) (account.Session, error) {
	phrase := lnc.NewPhrase()
	n := account.Session{
		Label: o.Label, Kind: o.Kind, Account: o.Account, Permissions: o.Permissions, Mailbox: o.Mailbox, DevServer: o.DevServer,
		Expires: o.Expires, PrivateKey: bytes.Repeat([]byte{1}, 32), Phrase: phrase[:],
	}
	rand.Read(n.LocalKey[:])
	n.ID = account.SessionID(n.LocalKey[1:5])
	if _, err := f.ledger.ReserveSession(ctx, by, n); err != nil {
		return account.Session{}, err
	}
	return f.ledger.BeginSession(ctx, n.ID, []byte("macaroon"))
}

func (f fakeSessions) List(ctx context.Context) ([]account.Session, error) {
	return f.ledger.Sessions(ctx)
}

func (f fakeSessions) Revoke(ctx context.Context, by audit.Actor, localKey []byte) (account.Session, error) {
	s, err := f.ledger.SessionByKey(ctx, localKey)
	if err != nil {
		return account.Session{}, err
	}
	return f.ledger.EndSession(ctx, by, s.ID, account.SessionRevoked, "")
}

func TestLitSessions(t *testing.T) {
	b := newBed(t)
	client := b.client(t)
	c, ctx := client.Sessions, t.Context()
	owner, err := client.Lit.CreateAccount(ctx, &litrpc.CreateAccountRequest{AccountBalance: 5, Label: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	expires := uint64(time.Now().Add(time.Hour).Unix())
	added, err := c.AddSession(ctx, &litrpc.AddSessionRequest{
		Label: "pos", SessionType: litrpc.SessionType_TYPE_MACAROON_ACCOUNT, AccountId: owner.Account.Id,
		ExpiryTimestampSeconds: expires, MailboxServerAddr: "relay:443", DevServer: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := added.Session
	phrase, err := lnc.ParsePhrase(s.PairingSecretMnemonic)
	if err != nil || !bytes.Equal(phrase[:], s.PairingSecret) {
		t.Errorf("pairing secret %x: %v", s.PairingSecret, err)
	}
	if s.Label != "pos" || s.SessionState != litrpc.SessionState_STATE_CREATED || s.SessionType != litrpc.SessionType_TYPE_MACAROON_ACCOUNT ||
		s.AccountId != owner.Account.Id || s.ExpiryTimestampSeconds != expires || s.MailboxServerAddr != "relay:443" || !s.DevServer ||
		!bytes.Equal(s.Id, s.LocalPublicKey[1:5]) || !bytes.Equal(s.GroupId, s.Id) || len(s.RemotePublicKey) > 0 || s.CreatedAt == 0 || s.RevokedAt != 0 ||
		s.MacaroonRecipe.Caveats[0] != "lnd-custom account "+owner.Account.Id {
		t.Errorf("added %v", s)
	}
	if _, err := b.ledger.PairSession(ctx, account.SessionID(s.Id), bytes.Repeat([]byte{2}, 33)); err != nil {
		t.Fatal(err)
	}
	list := func() *litrpc.Session {
		t.Helper()
		got, err := c.ListSessions(ctx, &litrpc.ListSessionsRequest{})
		if err != nil || len(got.Sessions) != 1 {
			t.Fatalf("listed %v, %v", got, err)
		}
		return got.Sessions[0]
	}
	if s := list(); len(s.RemotePublicKey) != 33 || len(s.PairingSecret)+len(s.PairingSecretMnemonic) > 0 {
		t.Errorf("paired: %v", s)
	}
	for range 2 {
		if _, err := c.RevokeSession(ctx, &litrpc.RevokeSessionRequest{LocalPublicKey: s.LocalPublicKey}); err != nil {
			t.Fatal(err)
		}
	}
	if s := list(); s.SessionState != litrpc.SessionState_STATE_REVOKED || s.RevokedAt == 0 {
		t.Errorf("revoked: %v", s)
	}
	_, err = c.RevokeSession(ctx, &litrpc.RevokeSessionRequest{LocalPublicKey: []byte("x")})
	wantCode(t, err, account.CodeSessionUnknown)
}

func TestLitSessionsRefused(t *testing.T) {
	b := newBed(t)
	c := b.client(t).Sessions
	for name, change := range map[string]struct {
		req  func(*litrpc.AddSessionRequest)
		code string
	}{
		"fail/type":            {func(r *litrpc.AddSessionRequest) { r.SessionType = litrpc.SessionType_TYPE_UI_PASSWORD }, account.CodeBadSession},
		"fail/far expiry":      {func(r *litrpc.AddSessionRequest) { r.ExpiryTimestampSeconds = 1 << 63 }, account.CodeBadSession},
		"fail/no expiry":       {func(r *litrpc.AddSessionRequest) { r.ExpiryTimestampSeconds = 0 }, account.CodeBadSession},
		"fail/account":         {func(r *litrpc.AddSessionRequest) { r.AccountId = "0011223344556677" }, account.CodeBadSession},
		"fail/unknown account": {func(r *litrpc.AddSessionRequest) { r.AccountId, r.SessionType = "0011223344556677", 5 }, account.CodeUnknown},
		"fail/no account":      {func(r *litrpc.AddSessionRequest) { r.SessionType = 5 }, codeBadArgument},
	} {
		t.Run(name, func(t *testing.T) {
			req := &litrpc.AddSessionRequest{ExpiryTimestampSeconds: uint64(time.Now().Add(time.Hour).Unix()), MailboxServerAddr: "relay:443"}
			change.req(req)
			_, err := c.AddSession(t.Context(), req)
			wantCode(t, err, change.code)
		})
	}
}
