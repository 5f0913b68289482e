package bakery

import "github.com/leydenln/leyden/internal/front/macaroon"

// phrase says what a permission allows, and what is dangerous about it.
type phrase struct{ can, warning string }

// What is said of several permissions.
const (
	spends   = "spends what the node has in its channels, without a limit: an account has one"
	drains   = "sends away the wallet's coins"
	gives    = "can give coins away: by opening with a gift, or closing to another address"
	mightier = "can make macaroons that allow anything"
	signs    = "signs whatever it is asked to, transactions among it"
	meddles  = "can see and change what others ask of the node, at lnd's own port"
	stops    = "can stop the node or destroy what it knows"
	closes   = "can have all channels closed"
	burns    = "can spend the wallet's coins on fees"
	forwards = "can keep, fail and change payments that others send"
	poses    = "can pass for the node before others"
	ends     = "can end every macaroon but the node's own"
	peeks    = "sees the preimages of invoices that are not paid yet: a gate takes one for a proof of payment"
)

// phrases are the words for lnd's own permissions, and for the methods of the
// roles and those that are dangerous.
var phrases = join(
	entities,
	of("see which node this is and how it is", "", "/lnrpc.Lightning/GetInfo", "/verrpc.Versioner/GetVersion",
		"/lnrpc.State/GetState", "/lnrpc.State/SubscribeState"),
	of("decode invoices", "", "/lnrpc.Lightning/DecodePayReq"),
	of("pay over Lightning", spends, "/routerrpc.Router/SendPaymentV2", "/routerrpc.Router/SendToRouteV2",
		"/lnrpc.Lightning/SendPaymentSync", "/lnrpc.Lightning/SendPayment", "/lnrpc.Lightning/SendToRoute", "/lnrpc.Lightning/SendToRouteSync"),
	of("see payments and their preimages", "", "/lnrpc.Lightning/ListPayments", "/routerrpc.Router/TrackPaymentV2", "/routerrpc.Router/TrackPayments"),
	of("make invoices", "", "/lnrpc.Lightning/AddInvoice", "/invoicesrpc.Invoices/AddHoldInvoice"),
	of("see all invoices of the node", peeks, "/lnrpc.Lightning/LookupInvoice", "/lnrpc.Lightning/ListInvoices",
		"/lnrpc.Lightning/SubscribeInvoices", "/invoicesrpc.Invoices/LookupInvoiceV2", "/invoicesrpc.Invoices/SubscribeSingleInvoice"),
	of("cancel invoices", "", "/invoicesrpc.Invoices/CancelInvoice"),
	of("see balances", "", "/lnrpc.Lightning/WalletBalance", "/lnrpc.Lightning/ChannelBalance"),
	of("see channels", "", "/lnrpc.Lightning/ListChannels", "/lnrpc.Lightning/PendingChannels", "/lnrpc.Lightning/ClosedChannels"),
	of("see peers", "", "/lnrpc.Lightning/ListPeers"),
	of("see the wallet's transactions and coins", "", "/lnrpc.Lightning/GetTransactions", "/lnrpc.Lightning/ListUnspent"),
	of("see the public graph", "", "/lnrpc.Lightning/DescribeGraph", "/lnrpc.Lightning/GetNodeInfo"),
	of("estimate fees on chain", "", "/lnrpc.Lightning/EstimateFee"),
	of("connect to peers and disconnect them", "", "/lnrpc.Lightning/ConnectPeer", "/lnrpc.Lightning/DisconnectPeer"),
	of("open channels", gives, "/lnrpc.Lightning/OpenChannel", "/lnrpc.Lightning/OpenChannelSync", "/lnrpc.Lightning/BatchOpenChannel"),
	of("close channels", gives, "/lnrpc.Lightning/CloseChannel"),
	of("set what channels charge for forwarding", "", "/lnrpc.Lightning/UpdateChannelPolicy"),
	of("send coins on chain", drains, "/lnrpc.Lightning/SendCoins", "/lnrpc.Lightning/SendMany", "/walletrpc.WalletKit/SendOutputs",
		"/walletrpc.WalletKit/FinalizePsbt"),
	of("sign transactions", signs, "/walletrpc.WalletKit/SignPsbt", "/signrpc.Signer/SignOutputRaw", "/signrpc.Signer/ComputeInputScript"),
	of("sign messages with the node's keys", signs, "/signrpc.Signer/SignMessage"),
	of("derive secrets shared with others", poses, "/signrpc.Signer/DeriveSharedKey"),
	of("sign together with others (MuSig2)", signs, "/signrpc.Signer/MuSig2CreateSession", "/signrpc.Signer/MuSig2RegisterNonces",
		"/signrpc.Signer/MuSig2RegisterCombinedNonce", "/signrpc.Signer/MuSig2GetCombinedNonce", "/signrpc.Signer/MuSig2Sign",
		"/signrpc.Signer/MuSig2CombineSig", "/signrpc.Signer/MuSig2Cleanup"),
	of("make macaroons", mightier, "/lnrpc.Lightning/BakeMacaroon"),
	of("revoke macaroons", ends, "/lnrpc.Lightning/DeleteMacaroonID"),
	of("stop the node", stops, "/lnrpc.Lightning/StopDaemon"),
	of("forget channels", stops, "/lnrpc.Lightning/AbandonChannel"),
	of("delete what is known of payments", stops, "/lnrpc.Lightning/DeletePayment", "/lnrpc.Lightning/DeleteAllPayments",
		"/routerrpc.Router/DeleteForwardingHistory"),
	of("have peers close channels, as after a loss", closes, "/lnrpc.Lightning/RestoreChannelBackups"),
	of("set up middleware", meddles, "/lnrpc.Lightning/RegisterRPCMiddleware"),
	of("take part in opening channels", gives, "/lnrpc.Lightning/FundingStateStep"),
	of("have channels opened by the autopilot", drains, "/autopilotrpc.Autopilot/ModifyStatus"),
	of("publish transactions", drains, "/walletrpc.WalletKit/PublishTransaction", "/walletrpc.WalletKit/SubmitPackage"),
	of("raise the fees of transactions", burns, "/walletrpc.WalletKit/BumpFee", "/walletrpc.WalletKit/BumpForceCloseFee"),
	of("decide on payments on their way through", forwards, "/routerrpc.Router/HtlcInterceptor", "/invoicesrpc.Invoices/HtlcModifier"),
)

// entities are lnd's own permissions, each for many methods.
var entities = map[macaroon.Permission]phrase{
	{Entity: "onchain", Action: "read"}:      {"see the wallet's balances, transactions and coins", ""},
	{Entity: "onchain", Action: "write"}:     {"send coins on chain, open and close channels", drains},
	{Entity: "offchain", Action: "read"}:     {"see channels, payments and routes", ""},
	{Entity: "offchain", Action: "write"}:    {"pay over Lightning, open and close channels", spends},
	{Entity: "address", Action: "read"}:      {"see addresses", ""},
	{Entity: "address", Action: "write"}:     {"make addresses", ""},
	{Entity: "message", Action: "read"}:      {"verify signed messages", ""},
	{Entity: "message", Action: "write"}:     {"sign messages with the node's key", ""},
	{Entity: "peers", Action: "read"}:        {"see peers", ""},
	{Entity: "peers", Action: "write"}:       {"connect to peers and disconnect them", ""},
	{Entity: "info", Action: "read"}:         {"see which node this is, the public graph and forwards", ""},
	{Entity: "info", Action: "write"}:        {"set log levels and stop the node", stops},
	{Entity: "invoices", Action: "read"}:     {"see all invoices of the node", peeks},
	{Entity: "invoices", Action: "write"}:    {"make, settle and cancel invoices", ""},
	{Entity: "signer", Action: "read"}:       {"verify signatures", ""},
	{Entity: "signer", Action: "generate"}:   {"sign with the wallet's keys", signs},
	{Entity: "macaroon", Action: "read"}:     {"see permissions and check macaroons", ""},
	{Entity: "macaroon", Action: "write"}:    {"revoke macaroons, and set up middleware", meddles + "; " + ends},
	{Entity: "macaroon", Action: "generate"}: {"make macaroons", mightier},
}

func of(can, warning string, names ...string) map[macaroon.Permission]phrase {
	said := make(map[macaroon.Permission]phrase, len(names))
	for _, permission := range uris(names) {
		said[permission] = phrase{can, warning}
	}
	return said
}

func join(parts ...map[macaroon.Permission]phrase) map[macaroon.Permission]phrase {
	all := make(map[macaroon.Permission]phrase)
	for _, part := range parts {
		for permission, said := range part {
			all[permission] = said
		}
	}
	return all
}
