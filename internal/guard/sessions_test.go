package guard

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/internal/until"
)

// TestSessionMacaroons: an account session's macaroon is good for its account and
// for as long as the session lives; the others are an operator's, as long.
func TestSessionMacaroons(t *testing.T) {
	s := newStand(t)
	withRule(s)
	s.attachNow(t)
	mine, other := s.newAccount(t, "mine"), s.newAccount(t, "other")
	rotated := s.newAccount(t, "rotated")
	_, err := s.ledger.Rotate(t.Context(), operator, rotated.ID)
	require.NoError(t, err)
	book := func(n byte, kind account.SessionKind, of account.Account, state account.SessionState) uint64 {
		id := account.SessionID{n}
		s.sessions.put(account.Session{ID: id, Kind: kind, Account: of.ID, State: state})
		return id.RootKeyID()
	}
	live := book(1, account.SessionAccount, mine, account.SessionCreated)
	ended := book(2, account.SessionAccount, mine, account.SessionRevoked)
	admin := book(3, account.SessionAdmin, account.Account{}, account.SessionCreated)
	endedAdmin := book(4, account.SessionReadonly, account.Account{}, account.SessionExpired)
	after := book(5, account.SessionAccount, rotated, account.SessionCreated)
	strange := account.SessionID{9}.RootKeyID()
	for name, c := range map[string]struct {
		macaroon []byte
		method   string
		code     codes.Code
		reason   string
		alias    string
	}{
		"ok/its account":            {macaroon: mint(t, live, caveatOf(mine)), alias: "mine"},
		"ok/made after a rotation":  {macaroon: mint(t, after, caveatOf(rotated)), alias: "rotated"},
		"fail/another account":      {macaroon: mint(t, live, caveatOf(other)), code: codes.PermissionDenied, reason: "session_macaroon"},
		"fail/no account":           {macaroon: mint(t, live), method: infoMethod, code: codes.PermissionDenied, reason: "session_macaroon"},
		"fail/ended":                {macaroon: mint(t, ended, caveatOf(mine)), code: codes.PermissionDenied, reason: "session_ended"},
		"fail/admin, made narrower": {macaroon: mint(t, admin, caveatOf(mine)), code: codes.PermissionDenied, reason: "session_macaroon"},
		"fail/ended, only reads":    {macaroon: mint(t, endedAdmin), method: infoMethod, code: codes.PermissionDenied, reason: "session_ended"},
		"fail/no session":           {macaroon: mint(t, strange, caveatOf(mine)), code: codes.PermissionDenied, reason: "session_macaroon"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = ownRule
			}
			resp := new(lnrpc.GetInfoResponse)
			wantReason(t, s.call(t, c.method, c.macaroon, new(lnrpc.GetInfoRequest), resp), c.code, c.reason)
			require.Equal(t, c.alias, resp.GetAlias())
			require.Empty(t, s.lnd.reached())
		})
	}
	for name, key := range map[string]uint64{"admin": admin, "not ours": strange} {
		require.NoError(t, s.call(t, infoMethod, mint(t, key), new(lnrpc.GetInfoRequest), new(lnrpc.GetInfoResponse)), name)
	}
}

// over notes what the manager is told.
func (b *manageBench) over() (told *[]account.SessionID) {
	told = new([]account.SessionID)
	b.opts.SessionsOver = func(ids []account.SessionID) { *told = append(*told, ids...) }
	return told
}

func session(kind account.SessionKind, of account.ID, custom ...account.Permission) account.Session {
	s := account.Session{Kind: kind, Account: of, Mailbox: "relay:443", Expires: time.Now().Add(time.Hour), Permissions: custom,
		PrivateKey: make([]byte, 32), Phrase: make([]byte, 14)}
	rand.Read(s.LocalKey[:])
	s.ID = account.SessionID(s.LocalKey[1:5])
	return s
}

// TestAddSession: with its macaroon, or not at all.
func TestAddSession(t *testing.T) {
	b := newManageBench(t)
	none := func(n account.Session, code string) {
		t.Helper()
		_, err := b.AddSession(t.Context(), operator, n)
		require.Equal(t, code, fault.Code(err), "%v", err)
		list, err := b.opts.Ledger.Sessions(t.Context())
		require.NoError(t, err)
		require.False(t, slices.ContainsFunc(list, account.Session.Open), "a session without a macaroon was left")
		require.Equal(t, []uint64{0}, b.lnd.keys())
	}
	none(session(account.SessionAdmin, account.ID{}), "node_unreachable")
	b.come(t)
	b.lnd.broken = errors.New("no key store")
	of := account.Account{}
	none(session(account.SessionAccount, of.ID), account.CodeUnknown)
	none(session(account.SessionCustom, of.ID, account.Permission{Entity: "info", Action: "read"}), "node_error")

	b.lnd.broken = nil
	of = b.create(t)
	n := session(account.SessionAccount, of.ID)
	made, err := b.AddSession(t.Context(), operator, n)
	require.NoError(t, err)
	require.Equal(t, account.SessionCreated, made.State)
	m, err := macaroon.Parse(made.Macaroon)
	require.NoError(t, err)
	id, ok, err := m.Account()
	require.True(t, ok && err == nil && account.ID(id) == of.ID)
	require.Equal(t, "time-before "+made.Expires.UTC().Format(time.RFC3339Nano), m.Caveats()[1].Text)
	key, err := m.RootKeyID()
	require.NoError(t, err)
	require.Equal(t, made.ID.RootKeyID(), key)
	require.Len(t, b.lnd.asked, 7)
	_, err = b.AddSession(t.Context(), operator, n)
	require.Equal(t, account.CodeBadSession, fault.Code(err), "the root key is taken")
}

// TestEndSession: its calls are cut and it is not served when EndSession returns;
// its root key goes now, or when lnd is back.
func TestEndSession(t *testing.T) {
	for name, away := range map[string]bool{"lnd is there": false, "lnd is away": true} {
		t.Run(name, func(t *testing.T) {
			b := newManageBench(t)
			told := b.over()
			leave := b.come(t)
			of := b.create(t)
			made, err := b.AddSession(t.Context(), operator, session(account.SessionAccount, of.ID))
			require.NoError(t, err)
			if away {
				leave()
			}
			for range 2 {
				_, err = b.EndSession(t.Context(), operator, made.ID, account.SessionRevoked, "enough")
				require.NoError(t, err)
			}
			require.Equal(t, made.ID, (*told)[0])
			require.Equal(t, 2, b.cut)
			entry, _ := b.sessions.get(made.ID)
			require.False(t, entry.open)
			if away {
				require.Contains(t, b.lnd.keys(), made.ID.RootKeyID())
				b.come(t)
			}
			require.NotContains(t, b.lnd.keys(), made.ID.RootKeyID())
		})
	}
}

// TestSessionsEndWithTheirAccount, when that is rotated and when it is removed, and
// when somebody deletes their root key at lnd.
func TestSessionsEndWithTheirAccount(t *testing.T) {
	b := newManageBench(t)
	told := b.over()
	b.come(t)
	mine, err := b.opts.Ledger.Create(t.Context(), operator, account.New{Balance: 5})
	require.NoError(t, err)
	kept, err := b.AddSession(t.Context(), operator, session(account.SessionCustom, account.ID{}, account.Permission{Entity: "info", Action: "read"}))
	require.NoError(t, err)
	for _, end := range []func(account.Session) error{
		func(account.Session) error { _, _, err := b.RotateAccount(t.Context(), operator, mine.ID); return err },
		func(s account.Session) error { b.sessionRevoked(operator, s.ID.RootKeyID()); return nil },
		func(account.Session) error { _, err := b.RemoveAccount(t.Context(), operator, mine.ID); return err },
	} {
		*told = nil
		s, err := b.AddSession(t.Context(), operator, session(account.SessionAccount, mine.ID))
		require.NoError(t, err)
		require.NoError(t, end(s))
		require.Equal(t, []account.SessionID{s.ID}, *told)
		require.NotContains(t, b.lnd.keys(), s.ID.RootKeyID())
		now, err := b.opts.Ledger.Session(t.Context(), s.ID)
		require.NoError(t, err)
		require.Equal(t, account.SessionRevoked, now.State)
	}
	now, err := b.opts.Ledger.Session(t.Context(), kept.ID)
	require.NoError(t, err)
	require.True(t, now.Open())
}

// TestSessionCutShort: what was being made when the node ended is not left open.
func TestSessionCutShort(t *testing.T) {
	b := newManageBench(t)
	n := session(account.SessionAdmin, account.ID{})
	n, err := b.opts.Ledger.ReserveSession(t.Context(), operator, n)
	require.NoError(t, err)
	b.lnd.rootKeys[n.ID.RootKeyID()] = true
	require.NoError(t, b.loadSessions(t.Context()))
	now, err := b.opts.Ledger.Session(t.Context(), n.ID)
	require.NoError(t, err)
	require.Equal(t, account.SessionRevoked, now.State)
	b.come(t)
	require.Equal(t, []uint64{0}, b.lnd.keys())
}

// TestSessionRootKeyLate: a root key that could not be deleted, or that lnd made
// after we had given up, goes while the guard stays attached.
func TestSessionRootKeyLate(t *testing.T) {
	b := newManageBench(t)
	b.come(t)
	lnd := b.Guard.lnd.Load()
	lnd.spawn(func() { b.keepRetiring(lnd) })
	s, err := b.AddSession(t.Context(), operator, session(account.SessionCustom, account.ID{}, account.Permission{Entity: "info", Action: "read"}))
	require.NoError(t, err)
	b.lnd.setStuck(errors.New("busy"))
	_, err = b.EndSession(t.Context(), operator, s.ID, account.SessionRevoked, "enough")
	require.NoError(t, err)
	require.Contains(t, b.lnd.keys(), s.ID.RootKeyID())
	require.LessOrEqual(t, b.lnd.patience, rootKeyPatience, "an operator does not wait for an lnd that hangs")
	b.lnd.setStuck(nil)
	until.True(t, "the end of the root key", func() bool { return len(b.lnd.keys()) == 1 })

	b.lnd.late = true
	_, err = b.AddSession(t.Context(), operator, session(account.SessionCustom, account.ID{}, account.Permission{Entity: "info", Action: "read"}))
	require.Equal(t, "node_unreachable", fault.Code(err))
	require.Len(t, b.lnd.keys(), 1)
	b.lnd.bakeLate()
	require.Len(t, b.lnd.keys(), 2)
	until.True(t, "the end of the late root key", func() bool { return len(b.lnd.keys()) == 1 })
}

// TestSessionLedgerFails: a session whose macaroon the ledger did not take has no
// root key, and is not open, whatever the ledger says.
func TestSessionLedgerFails(t *testing.T) {
	b := newManageBench(t)
	b.come(t)
	b.lnd.baked = func() { b.opts.Ledger.Close() }
	n := session(account.SessionCustom, account.ID{}, account.Permission{Entity: "info", Action: "read"})
	_, err := b.AddSession(t.Context(), operator, n)
	require.Equal(t, "database_closed", fault.Code(err))
	require.Equal(t, []uint64{0}, b.lnd.keys())
	entry, known := b.sessions.get(n.ID)
	require.True(t, known)
	require.False(t, entry.open)
}

// TestSessionRootKeyGone: a session whose root key lnd has lost is over, and what is
// being made meanwhile is not.
func TestSessionRootKeyGone(t *testing.T) {
	b := newManageBench(t)
	leave := b.come(t)
	custom := func() account.Session {
		return session(account.SessionCustom, account.ID{}, account.Permission{Entity: "info", Action: "read"})
	}
	gone, err := b.AddSession(t.Context(), operator, custom())
	require.NoError(t, err)
	kept, err := b.AddSession(t.Context(), operator, custom())
	require.NoError(t, err)
	making, err := b.opts.Ledger.ReserveSession(t.Context(), operator, custom())
	require.NoError(t, err)
	leave()
	delete(b.lnd.rootKeys, gone.ID.RootKeyID())
	told := b.over()
	b.come(t)
	require.Equal(t, []account.SessionID{gone.ID}, *told)
	for s, open := range map[account.SessionID]bool{gone.ID: false, kept.ID: true, making.ID: true} {
		now, err := b.opts.Ledger.Session(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, open, now.Open(), s)
	}
}

// TestSessionCutShortUnkept: a ledger that cannot be written does not keep the node
// from starting, and what was not made is not open all the same.
func TestSessionCutShortUnkept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.db")
	ledger, err := account.Open(t.Context(), path, nil)
	require.NoError(t, err)
	n, err := ledger.ReserveSession(t.Context(), operator, session(account.SessionAdmin, account.ID{}))
	require.NoError(t, err)
	require.NoError(t, ledger.Close())
	view, err := account.View(t.Context(), path, nil)
	require.NoError(t, err)
	defer view.Close()
	g, err := New(Options{Ledger: view, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	entry, known := g.sessions.get(n.ID)
	require.True(t, known)
	require.False(t, entry.open)
}

func TestSessionPermissions(t *testing.T) {
	a := &attachment{permissions: map[string][]permission{
		"/lnrpc.Lightning/GetInfo":     {{"info", "read"}},
		"/lnrpc.Lightning/SendCoins":   {{"onchain", "write"}},
		"/lnrpc.Lightning/ListPeers":   {{"peers", "read"}},
		"/lnrpc.State/GetState":        nil,
		"/lnrpc.Lightning/OpenChannel": {{"onchain", "write"}, {"offchain", "write"}},
	}}
	p := func(entity, action string) account.Permission {
		return account.Permission{Entity: entity, Action: action}
	}
	type list = []account.Permission
	for name, c := range map[string]struct {
		kind   account.SessionKind
		custom list
		want   list // nil: bad_session
	}{
		"ok/admin":         {kind: account.SessionAdmin, want: list{p("info", "read"), p("offchain", "write"), p("onchain", "write"), p("peers", "read")}},
		"ok/readonly":      {kind: account.SessionReadonly, want: list{p("info", "read"), p("peers", "read")}},
		"ok/entity":        {kind: account.SessionCustom, custom: list{p("onchain", "write"), p("onchain", "write")}, want: list{p("onchain", "write")}},
		"ok/method":        {kind: account.SessionCustom, custom: list{p("uri", "/lnrpc.Lightning/GetInfo")}, want: list{p("uri", "/lnrpc.Lightning/GetInfo")}},
		"ok/expression":    {kind: account.SessionCustom, custom: list{p("uri", "Lightning/.*(Coins|Peers)$")}, want: list{p("uri", "/lnrpc.Lightning/ListPeers"), p("uri", "/lnrpc.Lightning/SendCoins")}},
		"ok/reads":         {kind: account.SessionCustom, custom: list{p("uri", "***readonly***")}, want: list{p("info", "read"), p("peers", "read")}},
		"fail/none":        {kind: account.SessionCustom},
		"fail/no method":   {kind: account.SessionCustom, custom: list{p("uri", "/lnrpc.Lightning/Nothing")}},
		"fail/empty":       {kind: account.SessionCustom, custom: list{p("uri", "")}},
		"fail/no pattern":  {kind: account.SessionCustom, custom: list{p("uri", "(")}},
		"fail/not custom":  {kind: account.SessionReadonly, custom: list{p("info", "read")}},
		"fail/many":        {kind: account.SessionCustom, custom: slices.Repeat(list{p("info", "read")}, maxCustom+1)},
		"fail/no entity":   {kind: account.SessionCustom, custom: list{p("info", "read"), p("nothing", "read")}},
		"fail/no action":   {kind: account.SessionCustom, custom: list{p("info", "write")}},
		"fail/long":        {kind: account.SessionCustom, custom: list{p("uri", strings.Repeat("x|", maxAction)+".*")}},
		"fail/no such one": {kind: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := a.sessionPermissions(c.kind, c.custom)
			if c.want == nil {
				require.Equal(t, account.CodeBadSession, fault.Code(err), "%v", err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}
