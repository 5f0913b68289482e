package api

import (
	"context"
	"math"
	"time"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
	"github.com/leydenln/leyden/internal/session"
	"github.com/leydenln/leyden/lnc"
)

// sessionsServer is litrpc.Sessions.
type sessionsServer struct {
	litrpc.UnimplementedSessionsServer
	s *Server
}

// sessionKinds are the types that are offered.
var sessionKinds = map[litrpc.SessionType]account.SessionKind{
	litrpc.SessionType_TYPE_MACAROON_READONLY: account.SessionReadonly,
	litrpc.SessionType_TYPE_MACAROON_ADMIN:    account.SessionAdmin,
	litrpc.SessionType_TYPE_MACAROON_CUSTOM:   account.SessionCustom,
	litrpc.SessionType_TYPE_MACAROON_ACCOUNT:  account.SessionAccount,
}

var sessionStates = map[account.SessionState]litrpc.SessionState{
	account.SessionReserved: litrpc.SessionState_STATE_RESERVED,
	account.SessionCreated:  litrpc.SessionState_STATE_CREATED,
	account.SessionRevoked:  litrpc.SessionState_STATE_REVOKED,
	account.SessionExpired:  litrpc.SessionState_STATE_EXPIRED,
}

func (l *sessionsServer) AddSession(ctx context.Context, req *litrpc.AddSessionRequest) (*litrpc.AddSessionResponse, error) {
	order, err := l.order(ctx, req)
	if err != nil {
		return nil, err
	}
	made, err := l.s.opts.Sessions.Add(ctx, actor(ctx), order)
	if err != nil {
		return nil, err
	}
	return &litrpc.AddSessionResponse{Session: sessionOut(made)}, nil
}

func (l *sessionsServer) order(ctx context.Context, req *litrpc.AddSessionRequest) (session.Order, error) {
	kind, ok := sessionKinds[req.SessionType]
	switch {
	case !ok:
		return session.Order{}, fault.New(account.CodeBadSession, "--type admin", "sessions of the type %s are not offered", req.SessionType)
	case req.ExpiryTimestampSeconds > math.MaxInt32*100:
		return session.Order{}, fault.New(account.CodeBadSession, "choose an earlier --expiry", "the expiry %d is out of range", req.ExpiryTimestampSeconds)
	case req.AccountId != "" && kind != account.SessionAccount:
		return session.Order{}, fault.New(account.CodeBadSession, "--type account", "an account is for a session of the type account")
	}
	o := session.Order{
		Label: req.Label, Kind: kind, Expires: time.Unix(int64(req.ExpiryTimestampSeconds), 0),
		Mailbox: req.MailboxServerAddr, DevServer: req.DevServer,
	}
	for _, p := range req.MacaroonCustomPermissions {
		o.Permissions = append(o.Permissions, account.Permission{Entity: p.GetEntity(), Action: p.GetAction()})
	}
	if kind == account.SessionAccount {
		owner, err := l.s.find(ctx, req.AccountId)
		if err != nil {
			return session.Order{}, err
		}
		o.Account = owner.ID
	}
	return o, nil
}

func (l *sessionsServer) ListSessions(ctx context.Context, _ *litrpc.ListSessionsRequest) (*litrpc.ListSessionsResponse, error) {
	list, err := l.s.opts.Sessions.List(ctx)
	if err != nil {
		return nil, err
	}
	resp := &litrpc.ListSessionsResponse{}
	for _, s := range list {
		resp.Sessions = append(resp.Sessions, sessionOut(s))
	}
	return resp, nil
}

func (l *sessionsServer) RevokeSession(ctx context.Context, req *litrpc.RevokeSessionRequest) (*litrpc.RevokeSessionResponse, error) {
	if _, err := l.s.opts.Sessions.Revoke(ctx, actor(ctx), req.LocalPublicKey); err != nil {
		return nil, err
	}
	return &litrpc.RevokeSessionResponse{}, nil
}

// sessionOut shows a session, with its phrase until a client has paired.
func sessionOut(s account.Session) *litrpc.Session {
	out := &litrpc.Session{
		Id: s.ID[:], GroupId: s.ID[:], Label: s.Label, SessionState: sessionStates[s.State],
		ExpiryTimestampSeconds: uint64(s.Expires.Unix()), CreatedAt: uint64(s.Created.Unix()), RevokedAt: uint64(unix(s.Ended)),
		MailboxServerAddr: s.Mailbox, DevServer: s.DevServer,
		LocalPublicKey: s.LocalKey[:], RemotePublicKey: s.RemoteKey,
		MacaroonRecipe: &litrpc.MacaroonRecipe{Caveats: s.Caveats()},
	}
	for kind, ours := range sessionKinds {
		if ours == s.Kind {
			out.SessionType = kind
		}
	}
	for _, p := range s.Permissions {
		out.MacaroonRecipe.Permissions = append(out.MacaroonRecipe.Permissions, &litrpc.MacaroonPermission{Entity: p.Entity, Action: p.Action})
	}
	if s.Kind == account.SessionAccount {
		out.AccountId = s.Account.String()
	}
	var phrase lnc.Phrase
	if copy(phrase[:], s.Phrase) == len(phrase) {
		out.PairingSecret, out.PairingSecretMnemonic = phrase[:], phrase.Words()
	}
	return out
}
