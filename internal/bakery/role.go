package bakery

import (
	"slices"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// Role is a task's methods, as full gRPC paths.
type Role struct {
	Name string

	// For says in a few words who is given it.
	For string

	// Needs must all be offered by the node.
	Needs []string

	// Takes are given where the node offers them: methods that other versions
	// of lnd have removed, or ask no macaroon for.
	Takes []string
}

// common is what programs built on lndclient ask of every node.
var (
	common = []string{"/lnrpc.Lightning/GetInfo", "/verrpc.Versioner/GetVersion"}
	state  = []string{"/lnrpc.State/GetState", "/lnrpc.State/SubscribeState"}
)

var reading = lightning("WalletBalance", "ChannelBalance", "ListChannels", "PendingChannels", "ClosedChannels",
	"ListPeers", "ListPayments", "ListInvoices", "LookupInvoice", "GetTransactions", "ListUnspent", "DescribeGraph",
	"GetNodeInfo", "DecodePayReq", "EstimateFee")

// roles are those of specs/cli.md.
var roles = []Role{
	{
		Name: "pay-only", For: "an agent that buys",
		Needs: slices.Concat(common, lightning("DecodePayReq"),
			[]string{"/routerrpc.Router/SendPaymentV2", "/routerrpc.Router/TrackPaymentV2"}),
		Takes: slices.Concat(state, lightning("SendPaymentSync")), // gone in lnd v0.21
	},
	{
		Name: "invoice-only", For: "a service that sells",
		Needs: slices.Concat(common, lightning("AddInvoice", "LookupInvoice", "ListInvoices", "SubscribeInvoices"),
			methods("/invoicesrpc.Invoices/", "LookupInvoiceV2", "CancelInvoice", "SubscribeSingleInvoice")),
		Takes: state,
	},
	{
		Name: "read-only", For: "a monitor",
		Needs: slices.Concat(common, reading, []string{"/routerrpc.Router/TrackPaymentV2"}),
		Takes: state,
	},
	{
		Name: "channel-admin", For: "whoever manages the node's channels",
		Needs: slices.Concat(common, reading, []string{"/routerrpc.Router/TrackPaymentV2"},
			lightning("ConnectPeer", "DisconnectPeer", "OpenChannel", "OpenChannelSync", "CloseChannel", "UpdateChannelPolicy")),
		Takes: state,
	},
	{
		Name: "signer-only", For: "a watch-only node, to have its signer sign",
		Needs: slices.Concat([]string{"/walletrpc.WalletKit/SignPsbt"}, methods("/signrpc.Signer/",
			"SignMessage", "DeriveSharedKey", "MuSig2CreateSession", "MuSig2RegisterNonces", "MuSig2RegisterCombinedNonce",
			"MuSig2GetCombinedNonce", "MuSig2Sign", "MuSig2CombineSig", "MuSig2Cleanup")),
	},
}

func lightning(names ...string) []string { return methods("/lnrpc.Lightning/", names...) }

func methods(service string, names ...string) []string {
	full := make([]string, len(names))
	for i, name := range names {
		full[i] = service + name
	}
	return full
}

// Roles returns all roles.
func Roles() []Role { return slices.Clone(roles) }

// RoleNamed finds a role: unknown_role.
func RoleNamed(name string) (Role, error) {
	var names []string
	for _, r := range roles {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Role{}, fault.New("unknown_role", "one of "+strings.Join(names, ", "), "no role is named %q", name)
}

// RoleOf names the role whose methods, and nothing else, the permissions are;
// "" if there is none.
func RoleOf(permissions []macaroon.Permission) string {
	for _, r := range roles {
		if r.is(permissions) {
			return r.Name
		}
	}
	return ""
}

func (r Role) is(permissions []macaroon.Permission) bool {
	given := make(map[string]bool, len(permissions))
	for _, p := range permissions {
		if p.Entity != uri || !slices.Contains(r.Needs, p.Action) && !slices.Contains(r.Takes, p.Action) {
			return false
		}
		given[p.Action] = true
	}
	return !slices.ContainsFunc(r.Needs, func(method string) bool { return !given[method] })
}
