package guard

import (
	"context"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/lightningnetwork/lnd/lnrpc"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/fault"
)

// Custom permissions of a session, as litcli writes them.
const (
	entityURI   = "uri"
	allReads    = "***readonly***"
	actionRead  = "read"
	maxCustom   = 1000 // of them, asked for or resolved
	maxAction   = 256  // bytes of a method or its expression
	permissions = "leyden bake permissions"
)

// sessionPermissions resolves what a session of the kind may do at this lnd
// (lightning-terminal, sessions add). Code: bad_session.
func (a *attachment) sessionPermissions(kind account.SessionKind, custom []account.Permission) ([]account.Permission, error) {
	if kind != account.SessionCustom && len(custom) > 0 {
		return nil, fault.New(account.CodeBadSession, "--type custom", "permissions are for a session of the type custom, not %q", kind)
	}
	var set []account.Permission
	switch kind {
	case account.SessionAdmin:
		set = a.offered(func(permission) bool { return true })
	case account.SessionReadonly:
		set = a.offered(func(p permission) bool { return p.action == actionRead })
	case account.SessionAccount:
		for _, p := range accountPermissions {
			set = append(set, account.Permission{Entity: p.GetEntity(), Action: p.GetAction()})
		}
		set = append(set, account.Permission{Entity: "peers", Action: actionRead})
	case account.SessionCustom:
		var err error
		if set, err = a.custom(custom); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(set, func(a, b account.Permission) int {
		return strings.Compare(a.Entity+"\x00"+a.Action, b.Entity+"\x00"+b.Action)
	})
	set = slices.Compact(set)
	if len(set) == 0 {
		return nil, fault.New(account.CodeBadSession, permissions, "the session would permit nothing")
	}
	return set, nil
}

// offered returns the permissions of lnd's methods that which picks.
func (a *attachment) offered(which func(permission) bool) (set []account.Permission) {
	for _, list := range a.permissions {
		for _, p := range list {
			if which(p) && p.entity != "" {
				set = append(set, account.Permission{Entity: p.entity, Action: p.action})
			}
		}
	}
	return set
}

// offers says whether a permission is of any use at this lnd, which refuses to bake
// some that are not.
func (a *attachment) offers(asked account.Permission) bool {
	for _, list := range a.permissions {
		if slices.Contains(list, permission{asked.Entity, asked.Action}) {
			return true
		}
	}
	return false
}

// custom resolves what was asked for. The entity uri takes a method, a regular
// expression of methods, or ***readonly***.
func (a *attachment) custom(asked []account.Permission) (set []account.Permission, err error) {
	for i, p := range asked {
		if len(p.Entity)+len(p.Action) > maxAction || i == maxCustom {
			return nil, fault.New(account.CodeBadSession, permissions, "more than %d permissions, or one of more than %d characters", maxCustom, maxAction)
		}
		_, method := a.permissions[p.Action]
		switch {
		case p.Entity == entityURI && method, p.Entity != entityURI && a.offers(p):
			set = append(set, p)
		case p.Entity != entityURI:
			return nil, fault.New(account.CodeBadSession, permissions, "no method of lnd wants the permission %q", p.Entity+":"+p.Action)
		case p.Action == allReads:
			set = append(set, a.offered(func(p permission) bool { return p.action == actionRead })...)
		default:
			matches, err := a.methods(p.Action)
			if err != nil {
				return nil, err
			}
			set = append(set, matches...)
		}
		if len(set) > maxCustom {
			return nil, fault.New(account.CodeBadSession, permissions, "more than %d permissions", maxCustom)
		}
	}
	return set, nil
}

func (a *attachment) methods(pattern string) (set []account.Permission, err error) {
	expr, err := regexp.Compile(pattern)
	if err != nil || pattern == "" {
		return nil, fault.New(account.CodeBadSession, permissions, "lnd has no method %q", pattern)
	}
	for method := range a.permissions {
		if expr.MatchString(method) {
			set = append(set, account.Permission{Entity: entityURI, Action: method})
		}
	}
	if len(set) == 0 {
		return nil, fault.New(account.CodeBadSession, permissions, "no method of lnd matches %q", pattern)
	}
	return set, nil
}

// vacant makes sure that nothing hangs on a root key yet.
func (a *attachment) vacant(ctx context.Context, rootKeyID uint64) error {
	there, err := a.lightning.ListMacaroonIDs(ctx, &lnrpc.ListMacaroonIDsRequest{})
	if err != nil {
		return lndFault("look for a free root key", err)
	}
	if slices.Contains(there.GetRootKeyIds(), rootKeyID) {
		return fault.New(account.CodeBadSession, "try again", "lnd has a root key %d already", rootKeyID)
	}
	return nil
}

// bakeSession has lnd make the macaroon of a session and holds it to its account
// and its time.
func (a *attachment) bakeSession(ctx context.Context, s account.Session) ([]byte, error) {
	req := &lnrpc.BakeMacaroonRequest{RootKeyId: s.ID.RootKeyID()}
	for _, p := range s.Permissions {
		req.Permissions = append(req.Permissions, &lnrpc.MacaroonPermission{Entity: p.Entity, Action: p.Action})
	}
	return a.bakeWith(ctx, req, s.Caveats()...)
}

// bakeWith has lnd make a macaroon and adds caveats.
func (a *attachment) bakeWith(ctx context.Context, req *lnrpc.BakeMacaroonRequest, caveats ...string) ([]byte, error) {
	resp, err := a.lightning.BakeMacaroon(ctx, req)
	if err != nil {
		return nil, lndFault("bake the macaroon", err)
	}
	raw, err := hex.DecodeString(resp.GetMacaroon())
	if err != nil {
		return nil, errors.New("lnd's macaroon is not hex")
	}
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		return nil, errors.New("lnd's macaroon is malformed")
	}
	for _, caveat := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(caveat)); err != nil {
			return nil, err
		}
	}
	return m.MarshalBinary()
}
