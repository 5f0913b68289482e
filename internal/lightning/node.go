package lightning

import (
	"context"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/rpc/lndwire"
)

// Info is what a node says of itself.
type Info struct {
	Pubkey           string // hex, compressed
	Alias            string
	Version          string
	Network          string // "mainnet", "testnet", "regtest", …
	BlockHeight      uint32
	SyncedToChain    bool
	SyncedToGraph    bool
	ActiveChannels   uint32
	InactiveChannels uint32
	PendingChannels  uint32
	Peers            uint32
}

// GetInfo asks the node who it is (permission info:read).
func (c *Client) GetInfo(ctx context.Context) (Info, error) {
	var r lndwire.GetInfoResponse
	if err := c.Invoke(ctx, "/lnrpc.Lightning/GetInfo", &lndwire.Empty{}, &r); err != nil {
		return Info{}, err
	}
	info := Info{
		Pubkey: r.IdentityPubkey, Alias: r.Alias, Version: r.Version,
		BlockHeight: r.BlockHeight, SyncedToChain: r.SyncedToChain, SyncedToGraph: r.SyncedToGraph,
		ActiveChannels: r.NumActiveChannels, InactiveChannels: r.NumInactiveChannels,
		PendingChannels: r.NumPendingChannels, Peers: r.NumPeers,
	}
	if len(r.Chains) > 0 {
		info.Network = r.Chains[0].Network
	}
	return info, nil
}

// Version returns the node's version string (verrpc, permission info:read).
func (c *Client) Version(ctx context.Context) (string, error) {
	var r lndwire.Version
	if err := c.Invoke(ctx, "/verrpc.Versioner/GetVersion", &lndwire.Empty{}, &r); err != nil {
		return "", err
	}
	return r.Version, nil
}

// State returns lnd's wallet state, such as "LOCKED" or "SERVER_ACTIVE". It
// needs no macaroon and answers while the wallet is locked.
func (c *Client) State(ctx context.Context) (string, error) {
	var r lndwire.GetStateResponse
	if err := c.Invoke(ctx, "/lnrpc.State/GetState", &lndwire.Empty{}, &r); err != nil {
		return "", err
	}
	return r.State.String(), nil
}

// ChannelBalance returns what we and our peers own in open channels, msat
// (permission offchain:read).
func (c *Client) ChannelBalance(ctx context.Context) (local, remote lnwire.MilliSatoshi, err error) {
	var r lndwire.ChannelBalanceResponse
	if err := c.Invoke(ctx, "/lnrpc.Lightning/ChannelBalance", &lndwire.Empty{}, &r); err != nil {
		return 0, 0, err
	}
	return lnwire.MilliSatoshi(r.LocalBalance.GetMsat()), lnwire.MilliSatoshi(r.RemoteBalance.GetMsat()), nil
}

// WalletBalance returns the confirmed on-chain balance in sat (permission
// onchain:read).
func (c *Client) WalletBalance(ctx context.Context) (confirmedSat int64, err error) {
	var r lndwire.WalletBalanceResponse
	if err := c.Invoke(ctx, "/lnrpc.Lightning/WalletBalance", &lndwire.Empty{}, &r); err != nil {
		return 0, err
	}
	return r.ConfirmedBalance, nil
}
