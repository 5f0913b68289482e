//lint:file-ignore SA1019 clients still read and set deprecated fields

package guard

import (
	"context"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/verrpc"
	"github.com/lightningnetwork/lnd/lnwire"
)

// readRules are the rules of the methods that only tell about the node: of its
// money and its channels nothing, of the account's money what is its own.
// Answers are made anew, field by field, so that what a later lnd adds to them
// stays where it is.
func readRules() map[string]rule {
	return map[string]rule{
		"/lnrpc.Lightning/GetInfo":        unary(getInfo),
		"/verrpc.Versioner/GetVersion":    unary(getVersion),
		"/lnrpc.Lightning/ChannelBalance": unary(channelBalance),
		"/lnrpc.Lightning/DecodePayReq":   unary(decodePayReq),

		"/lnrpc.Lightning/WalletBalance":   unary(nothing[lnrpc.WalletBalanceRequest, lnrpc.WalletBalanceResponse]),
		"/lnrpc.Lightning/GetTransactions": unary(nothing[lnrpc.GetTransactionsRequest, lnrpc.TransactionDetails]),
		"/lnrpc.Lightning/ListUnspent":     unary(nothing[lnrpc.ListUnspentRequest, lnrpc.ListUnspentResponse]),
		"/lnrpc.Lightning/ListChannels":    unary(nothing[lnrpc.ListChannelsRequest, lnrpc.ListChannelsResponse]),
		"/lnrpc.Lightning/PendingChannels": unary(nothing[lnrpc.PendingChannelsRequest, lnrpc.PendingChannelsResponse]),
		"/lnrpc.Lightning/ClosedChannels":  unary(nothing[lnrpc.ClosedChannelsRequest, lnrpc.ClosedChannelsResponse]),
		"/lnrpc.Lightning/ListPeers":       unary(nothing[lnrpc.ListPeersRequest, lnrpc.ListPeersResponse]),

		"/lnrpc.Lightning/GetNodeInfo":       costly(unary(getNodeInfo)),
		"/lnrpc.Lightning/QueryRoutes":       costly(unary(queryRoutes)),
		"/routerrpc.Router/EstimateRouteFee": costly(unary(estimateRouteFee)),
	}
}

// nothing answers that there is nothing.
func nothing[Req, Resp any, PReq message[Req], PResp message[Resp]](context.Context, *accountCall, PReq) (PResp, error) {
	return PResp(new(Resp)), nil
}

// getInfo tells identity, version and how far the node is in step with the
// network; all counts are 0, and where else it can be reached is left out.
func getInfo(ctx context.Context, c *accountCall, _ *lnrpc.GetInfoRequest) (*lnrpc.GetInfoResponse, error) {
	info, err := c.lnd.lightning.GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return nil, err
	}
	answer := &lnrpc.GetInfoResponse{
		Version:             info.GetVersion(),
		CommitHash:          info.GetCommitHash(),
		IdentityPubkey:      info.GetIdentityPubkey(),
		Alias:               info.GetAlias(),
		Color:               info.GetColor(),
		BlockHeight:         info.GetBlockHeight(),
		BlockHash:           info.GetBlockHash(),
		BestHeaderTimestamp: info.GetBestHeaderTimestamp(),
		SyncedToChain:       info.GetSyncedToChain(),
		SyncedToGraph:       info.GetSyncedToGraph(),
		WalletSynced:        info.GetWalletSynced(),
		Features:            info.GetFeatures(),
		Testnet:             info.GetTestnet(),
	}
	for _, chain := range info.GetChains() {
		answer.Chains = append(answer.Chains, &lnrpc.Chain{Chain: chain.GetChain(), Network: chain.GetNetwork()})
	}
	return answer, nil
}

func getVersion(ctx context.Context, c *accountCall, _ *verrpc.VersionRequest) (*verrpc.Version, error) {
	return verrpc.NewVersionerClient(c.lnd.Conn).GetVersion(ctx, &verrpc.VersionRequest{})
}

func decodePayReq(ctx context.Context, c *accountCall, req *lnrpc.PayReqString) (*lnrpc.PayReq, error) {
	return c.lnd.lightning.DecodePayReq(ctx, &lnrpc.PayReqString{PayReq: req.GetPayReq()})
}

// channelBalance shows the account's balance as lnd would if it were a
// channel's: what a payment may use is local, what is reserved for payments in
// flight is unsettled, and both together are the balance. Remote is 0. Parts of
// a sat are left out of the amounts in sat.
func channelBalance(_ context.Context, c *accountCall, _ *lnrpc.ChannelBalanceRequest) (*lnrpc.ChannelBalanceResponse, error) {
	local := c.account.Available()
	return &lnrpc.ChannelBalanceResponse{
		Balance:                  int64(local.ToSatoshis()),
		LocalBalance:             amount(local),
		UnsettledLocalBalance:    amount(c.account.Reserved),
		RemoteBalance:            amount(0),
		UnsettledRemoteBalance:   amount(0),
		PendingOpenLocalBalance:  amount(0),
		PendingOpenRemoteBalance: amount(0),
	}, nil
}

func amount(msat lnwire.MilliSatoshi) *lnrpc.Amount {
	return &lnrpc.Amount{Sat: uint64(msat.ToSatoshis()), Msat: uint64(msat)}
}
