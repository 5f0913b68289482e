package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/devnet/port"
)

// What the plain node's channel to the seller holds, as a network's do.
const (
	plainChannel = 10_000_000 // sat
	plainPush    = 2_000_000  // sat
)

// plainLnd is an lnd as lnd's own documentation sets it up.
type plainLnd struct {
	devnet.NodeInfo
	process *owned.Process
}

// startPlain starts an lnd in a folder below dir.
func startPlain(bin, dir, name string, options ...string) (l plainLnd, err error) {
	l.LndDir = filepath.Join(dir, name)
	l.TLSCert = filepath.Join(l.LndDir, "tls.cert")
	l.AdminMacaroon = filepath.Join(l.LndDir, "data", "chain", "bitcoin", "regtest", "admin.macaroon")
	if err := os.Mkdir(l.LndDir, 0o700); err != nil {
		return l, err
	}
	if l.RPC, err = port.Reserve(); err != nil {
		return l, err
	}
	l.process, err = owned.Start(owned.Command{
		Name: name, Path: filepath.Join(bin, "lnd"), LogFile: filepath.Join(l.LndDir, "out.log"),
		Args: append([]string{"--lnddir=" + l.LndDir, "--bitcoin.regtest", "--nolisten", "--norest", "--nobootstrap",
			"--rpclisten=" + l.RPC}, options...),
	})
	return l, err
}

// conn connects as soon as lnd is in the state; with its admin macaroon if wanted.
func (l plainLnd) conn(ctx context.Context, state lnrpc.WalletState, admin bool) (conn *grpc.ClientConn, err error) {
	err = devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		if !l.process.Running() {
			return false, l.process.Exit()
		}
		if conn, err = l.dial(admin); err != nil {
			return false, nil // its files are not there yet
		}
		reply, err := lnrpc.NewStateClient(conn).GetState(ctx, &lnrpc.GetStateRequest{})
		if err == nil && reply.State == state {
			return true, nil
		}
		return false, conn.Close()
	})
	return conn, err
}

func (l plainLnd) dial(admin bool) (*grpc.ClientConn, error) {
	if admin {
		return l.DialAs(l.AdminMacaroon)
	}
	creds, err := credentials.NewClientTLSFromFile(l.TLSCert, "")
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("passthrough:///"+l.RPC, grpc.WithTransportCredentials(creds))
}

func (l plainLnd) stop(ctx context.Context) {
	if l.process != nil {
		_ = l.process.Stop(ctx)
	}
}

// plainPair is a watch-only lnd with a channel to a node, and the lnd that
// signs for it.
type plainPair struct {
	signer, node plainLnd
	conn         *grpc.ClientConn
}

func startPair(ctx context.Context, bin, dir string, net *devnet.Network, seller *devnet.Node) (p *plainPair, err error) {
	p = new(plainPair)
	defer func() {
		if err != nil {
			p.stop(context.WithoutCancel(ctx))
		}
	}()
	p.signer, err = startPlain(bin, dir, "plain-signer", "--bitcoin.node=nochainbackend", "--noseedbackup")
	if err != nil {
		return p, err
	}
	held, err := p.signer.conn(ctx, lnrpc.WalletState_SERVER_ACTIVE, true)
	if err != nil {
		return p, err
	}
	defer held.Close()
	info, err := net.Info(ctx)
	if err != nil {
		return p, err
	}
	p.node, err = startPlain(bin, dir, "plain-node", "--bitcoin.node=btcd", "--bitcoin.defaultchanconfs=1",
		"--btcd.rpchost="+info.Btcd.RPC, "--btcd.rpccert="+info.Btcd.Cert, "--btcd.rpcuser="+info.Btcd.User,
		"--btcd.rpcpass="+info.Btcd.Pass, "--remotesigner.enable", "--remotesigner.rpchost="+p.signer.RPC,
		"--remotesigner.tlscertpath="+p.signer.TLSCert, "--remotesigner.macaroonpath="+p.signer.AdminMacaroon)
	if err != nil {
		return p, err
	}
	if err := p.createWatchOnly(ctx, filepath.Join(bin, "leyden"), dir); err != nil {
		return p, err
	}
	p.conn, err = p.node.conn(ctx, lnrpc.WalletState_SERVER_ACTIVE, true)
	if err != nil {
		return p, err
	}
	return p, p.openChannel(ctx, net, seller)
}

// createWatchOnly makes the node's wallet of the signer's public keys.
func (p *plainPair) createWatchOnly(ctx context.Context, leyden, dir string) error {
	if err := os.Chmod(p.signer.AdminMacaroon, 0o600); err != nil { // lnd's own mode is no secret's
		return err
	}
	out, err := exec.CommandContext(ctx, leyden, "--home", filepath.Join(dir, "export"), "signer", "export",
		"--rpcserver", p.signer.RPC, "--tlscertpath", p.signer.TLSCert, "--macaroonpath", p.signer.AdminMacaroon).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	keys, err := bundle.Read(filepath.Join(dir, "export", "signer", "credentials-bundle"), nil)
	if err != nil {
		return err
	}
	watch := &lnrpc.WatchOnly{MasterKeyFingerprint: keys.MasterFingerprint()}
	for _, a := range keys.WatchOnlyAccounts() {
		watch.Accounts = append(watch.Accounts, &lnrpc.WatchOnlyAccount{Purpose: a.Purpose, CoinType: a.CoinType, Account: a.Account, Xpub: a.XPub})
	}
	conn, err := p.node.conn(ctx, lnrpc.WalletState_NON_EXISTING, false)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = lnrpc.NewWalletUnlockerClient(conn).InitWallet(ctx, &lnrpc.InitWalletRequest{
		WalletPassword: []byte("a password"), WatchOnly: watch,
	})
	return err
}

// openChannel funds the node and opens a channel like those of a network.
func (p *plainPair) openChannel(ctx context.Context, net *devnet.Network, seller *devnet.Node) error {
	ln := lnrpc.NewLightningClient(p.conn)
	address, err := ln.NewAddress(ctx, &lnrpc.NewAddressRequest{Type: lnrpc.AddressType_TAPROOT_PUBKEY})
	if err != nil {
		return err
	}
	if err := net.SendCoins(ctx, address.Address, btcutil.SatoshiPerBitcoin, 1); err != nil {
		return err
	}
	err = devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		info, err := ln.GetInfo(ctx, &lnrpc.GetInfoRequest{})
		if err != nil || !info.SyncedToChain {
			return false, err
		}
		balance, err := ln.WalletBalance(ctx, &lnrpc.WalletBalanceRequest{})
		return balance.GetConfirmedBalance() > plainChannel, err
	})
	if err != nil {
		return err
	}
	_, err = ln.ConnectPeer(ctx, &lnrpc.ConnectPeerRequest{Addr: &lnrpc.LightningAddress{Pubkey: seller.Pubkey, Host: seller.P2P}})
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(seller.Pubkey)
	if err != nil {
		return err
	}
	_, err = ln.OpenChannelSync(ctx, &lnrpc.OpenChannelRequest{
		NodePubkey: key, LocalFundingAmount: plainChannel, PushSat: plainPush, SatPerVbyte: 5,
	})
	if err != nil {
		return err
	}
	return p.awaitChannel(ctx, net)
}

// awaitChannel mines until the channel is public and active.
func (p *plainPair) awaitChannel(ctx context.Context, net *devnet.Network) error {
	ln := lnrpc.NewLightningClient(p.conn)
	mined := time.Now()
	return devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		list, err := ln.ListChannels(ctx, &lnrpc.ListChannelsRequest{ActiveOnly: true})
		if err != nil {
			return false, err
		}
		if len(list.Channels) == 1 {
			edge, err := ln.GetChanInfo(ctx, &lnrpc.ChanInfoRequest{ChanId: list.Channels[0].ChanId})
			if err == nil && edge.Node1Policy != nil && edge.Node2Policy != nil {
				return true, nil
			}
		}
		if time.Since(mined) > time.Second {
			mined = time.Now()
			return false, net.Mine(ctx, 1)
		}
		return false, nil
	})
}

func (p *plainPair) stop(ctx context.Context) {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	p.node.stop(ctx)
	p.signer.stop(ctx)
}
