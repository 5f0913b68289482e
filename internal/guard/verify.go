package guard

import (
	"context"
	"net/netip"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
	"github.com/leydenln/leyden/internal/front/verify"
)

// verify has lnd check signature, permissions and caveats of the credential for
// the call, as of the client's address. Lnd's no is passed on as lnd words it.
// id is the account's, or zero for an operator's.
func (g *Guard) verify(ctx context.Context, call *front.Call, lnd *attachment, cred credential, id account.ID) error {
	err := g.verifier.Verify(ctx, call, func() ([]byte, error) { return lnd.Macaroon, nil }, verify.Credential{Macaroon: cred.Macaroon, Raw: cred.raw}, id)
	switch {
	case err == nil || status.Code(err) == codes.Unknown:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	g.log.Warn("lnd did not verify a macaroon", "method", call.Method, "err", err)
	return refuse(codes.Unavailable, "node_down", "", "lnd did not answer whether the macaroon is valid")
}

// forget drops what lnd has verified for the account: its macaroons were
// revoked. Calls that are open must be cut by the caller, afterwards.
func (g *Guard) forget(id account.ID) { g.verifier.Forget(id) }

// judgeAddresses refuses a client at another address than the macaroon's ipaddr
// and iprange caveats name (lnd, macaroons/constraints.go: an IP address, a
// CIDR).
func judgeAddresses(caveats []macaroon.Caveat, client netip.Addr) error {
	client = client.Unmap()
	for _, c := range caveats {
		name, arg, _ := strings.Cut(c.Text, " ")
		var within bool
		switch name {
		case "ipaddr":
			addr, err := netip.ParseAddr(arg)
			within = err == nil && addr.Unmap() == client
		case "iprange":
			within = inRange(arg, client)
		default:
			continue
		}
		if !within {
			return refuse(codes.PermissionDenied, "address_denied", "",
				"this macaroon is locked to other addresses than %s", client)
		}
	}
	return nil
}

func inRange(cidr string, client netip.Addr) bool {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return false
	}
	if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
	}
	return prefix.Contains(client)
}
