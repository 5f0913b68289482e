package bakery

import (
	"cmp"
	"slices"
	"strings"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// uri is lnd's entity for a permission of one method, which is its action.
const uri = "uri"

// Method is what a node says of one of its methods.
type Method struct {
	// Name is the full gRPC path.
	Name string

	// Permissions are those that allow it, all together, as does {"uri", Name}
	// alone.
	Permissions []macaroon.Permission
}

// Offer is what a node offers, by the full gRPC path.
type Offer map[string][]macaroon.Permission

func offerOf(r *lnrpc.ListPermissionsResponse) Offer {
	offer := make(Offer, len(r.GetMethodPermissions()))
	for method, list := range r.GetMethodPermissions() {
		permissions := make([]macaroon.Permission, 0, len(list.GetPermissions()))
		for _, p := range list.GetPermissions() {
			permissions = append(permissions, macaroon.Permission{Entity: p.GetEntity(), Action: p.GetAction()})
		}
		offer[method] = permissions
	}
	return offer
}

// Matching returns the methods, sorted by name, whose name or one of whose
// permissions ("offchain:read") contains the text, in any case.
func (o Offer) Matching(text string) []Method {
	text = strings.ToLower(text)
	var found []Method
	for name, permissions := range o {
		is := func(p macaroon.Permission) bool { return strings.Contains(p.Entity+":"+p.Action, text) }
		if strings.Contains(strings.ToLower(name), text) || slices.ContainsFunc(permissions, is) {
			found = append(found, Method{name, permissions})
		}
	}
	slices.SortFunc(found, func(a, b Method) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// Resolve returns the permissions of a role at a node: one for each method, and
// none for anything else. A node that lacks a method that the role needs has no
// such role: role_unavailable.
func Resolve(r Role, offered Offer) ([]macaroon.Permission, error) {
	given := slices.Clone(r.Needs)
	for _, method := range r.Takes {
		if _, ok := offered[method]; ok {
			given = append(given, method)
		}
	}
	if missing := offered.lacks(given); len(missing) > 0 {
		return nil, fault.New("role_unavailable", "leyden bake permissions, then choose with --custom",
			"role %s needs what this node does not offer: %s", r.Name, strings.Join(missing, ", "))
	}
	return uris(given), nil
}

// Custom returns the permissions of single methods, as full gRPC paths with or
// without "uri:" before them. Codes: bad_permission for what is no path,
// no_method for one that the node does not offer.
func Custom(names []string, offered Offer) ([]macaroon.Permission, error) {
	given := make([]string, 0, len(names))
	for _, name := range names {
		method := strings.TrimPrefix(name, uri+":")
		if !strings.HasPrefix(method, "/") {
			return nil, fault.New("bad_permission", "leyden bake permissions "+name,
				"%q is no method: want it as in /lnrpc.Lightning/GetInfo", name)
		}
		given = append(given, method)
	}
	slices.Sort(given)
	given = slices.Compact(given)
	if len(given) == 0 {
		return nil, fault.New("bad_permission", "leyden bake permissions", "no method is given")
	}
	if missing := offered.lacks(given); len(missing) > 0 {
		_, name, _ := strings.Cut(missing[0][1:], "/")
		return nil, fault.New("no_method", "leyden bake permissions "+name,
			"this node does not offer %s", strings.Join(missing, ", "))
	}
	return uris(given), nil
}

// lacks returns which methods are not offered.
func (o Offer) lacks(names []string) (missing []string) {
	for _, name := range names {
		if _, ok := o[name]; !ok {
			missing = append(missing, name)
		}
	}
	return missing
}

func uris(names []string) []macaroon.Permission {
	permissions := make([]macaroon.Permission, len(names))
	for i, name := range names {
		permissions[i] = macaroon.Permission{Entity: uri, Action: name}
	}
	return permissions
}
