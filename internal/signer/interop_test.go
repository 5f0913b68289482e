package signer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/signrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/devnet/chain"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/lnd"
	"github.com/leydenln/leyden/internal/signer"
	"github.com/leydenln/leyden/internal/testbin"
	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/internal/wallet"
)

const lndPassword = "password of lnd"

// plain is an lnd as somebody else runs it.
type plain struct {
	t         *testing.T
	dir, addr string
	process   *owned.Process
}

// startPlain starts an lnd that has no wallet yet.
func startPlain(t *testing.T, options ...string) *plain {
	t.Helper()
	p := &plain{t: t, dir: t.TempDir(), addr: testbin.FreePort(t)}
	args := []string{"--lnddir=" + p.dir, "--bitcoin.regtest", "--nolisten", "--nobootstrap", "--norest", "--rpclisten=" + p.addr}
	var err error
	p.process, err = owned.Start(owned.Command{
		Path: filepath.Join(testbin.Dir(t), "lnd"), LogFile: filepath.Join(p.dir, "out.log"), Args: append(args, options...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.process.Running() {
			if err := p.process.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			testbin.AwaitEnd(t, p.process.Pid())
		}
	})
	return p
}

func (p *plain) macaroonPath() string {
	return filepath.Join(p.dir, "data", "chain", "bitcoin", "regtest", "admin.macaroon")
}

// dial connects once there is a certificate, with the admin macaroon if wanted.
func (p *plain) dial(opts ...grpc.DialOption) *grpc.ClientConn {
	p.t.Helper()
	var creds credentials.TransportCredentials
	until.True(p.t, "lnd's certificate", func() (ok bool) {
		var err error
		creds, err = credentials.NewClientTLSFromFile(filepath.Join(p.dir, "tls.cert"), "")
		return err == nil
	})
	conn, err := grpc.NewClient(p.addr, append(opts, grpc.WithTransportCredentials(creds))...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn
}

func (p *plain) await(conn *grpc.ClientConn, state lnrpc.WalletState) {
	p.t.Helper()
	until.True(p.t, "lnd "+state.String(), func() bool {
		reply, err := lnrpc.NewStateClient(conn).GetState(p.t.Context(), &lnrpc.GetStateRequest{})
		return err == nil && reply.State == state
	})
}

// make makes the wallet and returns a connection with all power.
func (p *plain) make(request *lnrpc.InitWalletRequest) *grpc.ClientConn {
	p.t.Helper()
	conn := p.dial()
	p.await(conn, lnrpc.WalletState_NON_EXISTING)
	request.WalletPassword = []byte(lndPassword)
	reply, err := lnrpc.NewWalletUnlockerClient(conn).InitWallet(p.t.Context(), request)
	if err != nil {
		p.t.Fatal(err)
	}
	p.await(conn, lnrpc.WalletState_SERVER_ACTIVE)
	return p.dial(lnd.WithMacaroon(reply.AdminMacaroon))
}

// TestPlainWatchOnly: an lnd of somebody else, with no more than our bundle, receives
// coins and spends them with our signer's signatures.
func TestPlainWatchOnly(t *testing.T) {
	t.Parallel()
	m := newMade(t)
	m.start()
	b, dir := m.bundle(), m.path("credentials-bundle")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	miner, err := chain.Start(ctx, chain.Options{
		Dir: t.TempDir(), Btcd: filepath.Join(testbin.Dir(t), "btcd"), RPC: testbin.FreePort(t), P2P: testbin.FreePort(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := miner.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	a := miner.Access()
	p := startPlain(t, "--bitcoin.node=btcd", "--btcd.rpchost="+a.RPC, "--btcd.rpcuser="+a.User, "--btcd.rpcpass="+a.Pass,
		"--btcd.rpccert="+a.Cert, "--remotesigner.enable", "--remotesigner.rpchost="+m.rpc,
		"--remotesigner.tlscertpath="+filepath.Join(dir, bundle.CertFile),
		"--remotesigner.macaroonpath="+filepath.Join(dir, bundle.MacaroonFile))
	conn := p.make(&lnrpc.InitWalletRequest{WatchOnly: watchOnly(b)})

	client := lnrpc.NewLightningClient(conn)
	address, err := client.NewAddress(ctx, &lnrpc.NewAddressRequest{Type: lnrpc.AddressType_TAPROOT_PUBKEY})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []lnrpc.AddressType{lnrpc.AddressType_TAPROOT_PUBKEY, lnrpc.AddressType_WITNESS_PUBKEY_HASH, lnrpc.AddressType_NESTED_PUBKEY_HASH} {
		to, err := client.NewAddress(ctx, &lnrpc.NewAddressRequest{Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := btcutil.DecodeAddress(to.Address, &chaincfg.RegressionNetParams)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := miner.Send(ctx, 1_000_000, decoded); err != nil {
			t.Fatal(err)
		}
	}
	if err := miner.Mine(ctx, 6); err != nil {
		t.Fatal(err)
	}
	until.True(t, "the coins", func() bool {
		balance, err := client.WalletBalance(ctx, &lnrpc.WalletBalanceRequest{})
		return err == nil && balance.ConfirmedBalance == 3_000_000
	})
	sent, err := client.SendCoins(ctx, &lnrpc.SendCoinsRequest{Addr: address.Address, SendAll: true, SatPerVbyte: 2})
	if err != nil {
		t.Fatalf("spend one coin of each kind: %v", err)
	}
	until.True(t, "the transaction in the pool", func() bool {
		pool, err := miner.Mempool(ctx)
		return err == nil && len(pool) == 1 && pool[0].String() == sent.Txid
	})
	if _, err := client.SignMessage(ctx, &lnrpc.SignMessageRequest{Msg: []byte("hello")}); err != nil {
		t.Errorf("sign a message: %v", err)
	}
	if _, err := client.AddInvoice(ctx, &lnrpc.Invoice{Value: 1000}); err != nil {
		t.Errorf("add an invoice: %v", err)
	}
	if _, err := signrpc.NewSignerClient(conn).DeriveSharedKey(ctx, &signrpc.SharedKeyRequest{
		EphemeralPubkey: somebody(t), KeyDesc: &signrpc.KeyDescriptor{KeyLoc: nodeKey}}); err != nil {
		t.Errorf("derive a shared key: %v", err)
	}
	if _, err := walletrpc.NewWalletKitClient(conn).ListAccounts(ctx, &walletrpc.ListAccountsRequest{}); err != nil {
		t.Error(err)
	}
}

func watchOnly(b *bundle.Bundle) *lnrpc.WatchOnly {
	w := &lnrpc.WatchOnly{MasterKeyFingerprint: b.MasterFingerprint()}
	for _, a := range b.WatchOnlyAccounts() {
		w.Accounts = append(w.Accounts, &lnrpc.WatchOnlyAccount{Purpose: a.Purpose, CoinType: a.CoinType, Account: a.Account, Xpub: a.XPub})
	}
	return w
}

// TestPlainSigner: the bundle of an lnd of somebody else gets a macaroon that only
// signs, although the one given could do everything.
func TestPlainSigner(t *testing.T) {
	t.Parallel()
	p := startPlain(t, "--bitcoin.node=nochainbackend")
	words, err := wallet.NewSeed(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.make(&lnrpc.InitWalletRequest{CipherSeedMnemonic: words})
	m := newMachine(t)
	if err := os.Chmod(p.macaroonPath(), 0o600); err != nil { // lnd's own mode is no secret's
		t.Fatal(err)
	}
	e := parsed[signer.Exported](t, m.must("export", "--rpcserver", p.addr, "--tlscertpath", filepath.Join(p.dir, "tls.cert"),
		"--macaroonpath", p.macaroonPath(), "--allow-ip", "127.0.0.1"))
	if e.Macaroon != "signer-only" || e.RootKeyID == 0 || fmt.Sprint(e.Caveats) != "[ipaddr 127.0.0.1]" {
		t.Errorf("%+v", e)
	}
	b := read(t, e.Bundle)
	if err := b.CheckNetwork("regtest"); err != nil {
		t.Error(err)
	}
	conn := p.dial(lnd.WithMacaroon(b.Macaroon))
	if err := sign(conn); err != nil {
		t.Error(err)
	}
	if _, err := lnrpc.NewLightningClient(conn).GetInfo(t.Context(), &lnrpc.GetInfoRequest{}); err == nil {
		t.Error("the bundle's macaroon can do more than sign")
	}
}
