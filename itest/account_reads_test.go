package itest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet/shop"
)

// TestAccountReads compares what an account is told of a node that has money,
// channels and peers with what its operator is told.
func TestAccountReads(t *testing.T) {
	w := theWorld(t)
	n, seller := w.buyerNode(), w.sellerNode()
	account, err := shop.NewAccount(t.Context(), w.program("leyden"), n, 1234, filepath.Join(t.TempDir(), "a.macaroon"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := shop.Operate(context.Background(), w.program("leyden"), n, nil, "accounts", "remove", account.ID)
		if err != nil {
			t.Error(err)
		}
	})
	ctx, operator := t.Context(), n.Lightning()
	agent := lnrpc.NewLightningClient(dialed(t, n.DialAs, account.Macaroon))

	t.Run("GetInfo", func(t *testing.T) {
		all, err := operator.GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if err != nil || all.NumActiveChannels == 0 || all.NumPeers == 0 {
			t.Fatal(all, err)
		}
		got, err := agent.GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got.IdentityPubkey != all.IdentityPubkey || got.Version != all.Version || !got.SyncedToChain ||
			got.NumActiveChannels != 0 || got.NumInactiveChannels != 0 || got.NumPendingChannels != 0 || got.NumPeers != 0 {
			t.Error(got)
		}
	})
	t.Run("balances", func(t *testing.T) {
		got, err := agent.ChannelBalance(ctx, &lnrpc.ChannelBalanceRequest{})
		if err != nil || got.LocalBalance.Sat != 1234 || got.LocalBalance.Msat != 1_234_000 || got.RemoteBalance.Sat != 0 {
			t.Error(got, err)
		}
		chain, err := agent.WalletBalance(ctx, &lnrpc.WalletBalanceRequest{})
		if err != nil || chain.TotalBalance != 0 || len(chain.AccountBalance) != 0 {
			t.Error(chain, err)
		}
	})
	t.Run("lists", func(t *testing.T) {
		channels, err := agent.ListChannels(ctx, &lnrpc.ListChannelsRequest{})
		if err != nil || len(channels.Channels) != 0 {
			t.Error(channels, err)
		}
		coins, err := agent.ListUnspent(ctx, &lnrpc.ListUnspentRequest{MaxConfs: 1_000_000})
		if err != nil || len(coins.Utxos) != 0 {
			t.Error(coins, err)
		}
		txs, err := agent.GetTransactions(ctx, &lnrpc.GetTransactionsRequest{})
		if err != nil || len(txs.Transactions) != 0 {
			t.Error(txs, err)
		}
	})
	t.Run("nodes", func(t *testing.T) {
		for _, key := range []string{n.Pubkey, seller.Pubkey} {
			all, err := operator.GetNodeInfo(ctx, &lnrpc.NodeInfoRequest{PubKey: key})
			if err != nil || all.NumChannels == 0 {
				t.Fatal(all, err)
			}
			got, err := agent.GetNodeInfo(ctx, &lnrpc.NodeInfoRequest{PubKey: key, IncludeChannels: true})
			if err == nil && (got.NumChannels != 0 || got.TotalCapacity != 0 || len(got.Channels) != 0) {
				t.Errorf("%s: %v", key, got)
			}
			if err != nil && key == n.Pubkey {
				t.Error(err)
			}
		}
	})
	t.Run("routes", func(t *testing.T) {
		ask := &lnrpc.QueryRoutesRequest{PubKey: seller.Pubkey, Amt: 1000}
		all, err := operator.QueryRoutes(ctx, ask)
		if err != nil || all.Routes[0].Hops[0].ChanId == 0 {
			t.Fatal(all, err)
		}
		got, err := agent.QueryRoutes(ctx, ask)
		if err != nil || got.Routes[0].Hops[0].ChanId != 0 || got.Routes[0].TotalAmtMsat != all.Routes[0].TotalAmtMsat {
			t.Error(got, err)
		}
		if got, err := agent.QueryRoutes(ctx, &lnrpc.QueryRoutesRequest{PubKey: seller.Pubkey, Amt: 1235}); err == nil {
			t.Error("a route for more than the account has:", got)
		}
	})
}
