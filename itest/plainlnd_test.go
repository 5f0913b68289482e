package itest

import (
	"context"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/owned"
)

// plainLnd is an lnd as somebody else runs it, on the network's chain.
type plainLnd struct {
	dir, rpc, p2p string
	bin           string
	process       *owned.Process
}

func (w *world) plainLnd(t *testing.T) *plainLnd {
	t.Helper()
	l := &plainLnd{
		dir: t.TempDir(), bin: w.program("lnd"),
		rpc: net.JoinHostPort("127.0.0.1", freePort(t)), p2p: net.JoinHostPort("127.0.0.1", freePort(t)),
	}
	info, err := w.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.Join([]string{
		"bitcoin.regtest=true", "bitcoin.node=btcd", "btcd.rpchost=" + info.Btcd.RPC, "btcd.rpccert=" + info.Btcd.Cert,
		"btcd.rpcuser=" + info.Btcd.User, "btcd.rpcpass=" + info.Btcd.Pass,
		"rpclisten=" + l.rpc, "listen=" + l.p2p, "norest=true", "nobootstrap=true",
		"noseedbackup=true", // a wallet without questions
	}, "\n")
	if err := os.WriteFile(filepath.Join(l.dir, "lnd.conf"), []byte(conf+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stop(t) })
	return l
}

func (l *plainLnd) cert() string { return filepath.Join(l.dir, "tls.cert") }

func (l *plainLnd) macaroon(name string) string {
	return filepath.Join(l.dir, "data", "chain", "bitcoin", "regtest", name+".macaroon")
}

// start runs lnd and waits until it is synced.
func (l *plainLnd) start(t *testing.T, flags ...string) {
	t.Helper()
	var err error
	l.process, err = owned.Start(owned.Command{
		Path: l.bin, Args: append([]string{"--lnddir=" + l.dir}, flags...), LogFile: filepath.Join(l.dir, "out.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "lnd", func() bool {
		if !l.process.Running() {
			t.Fatal(l.process.Exit())
		}
		creds, err := credentials.NewClientTLSFromFile(l.cert(), "")
		if err != nil {
			return false
		}
		conn, err := grpc.NewClient(l.rpc, grpc.WithTransportCredentials(creds))
		if err != nil {
			return false
		}
		defer conn.Close()
		state, err := lnrpc.NewStateClient(conn).GetState(t.Context(), &lnrpc.GetStateRequest{})
		return err == nil && state.State == lnrpc.WalletState_SERVER_ACTIVE
	})
}

func (l *plainLnd) stop(t *testing.T) {
	t.Helper()
	if l.process == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.process.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// client is a caller at a gRPC port with a macaroon, which may come from
// another address of this machine.
type client struct {
	addr, cert string
	macaroon   string // hex
	from       string
}

// readMacaroon returns a macaroon file in hex, with more caveats.
func readMacaroon(t *testing.T, path string, caveats ...string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mac := new(macaroon.Macaroon)
	if err := mac.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	for _, caveat := range caveats {
		if err := mac.AddFirstPartyCaveat([]byte(caveat)); err != nil {
			t.Fatal(err)
		}
	}
	if raw, err = mac.MarshalBinary(); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(raw)
}

// dial connects the client for as long as the test lasts.
func (c client) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	creds, err := credentials.NewClientTLSFromFile(c.cert, "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(c.addr, grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			if c.from != "" {
				d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.from)}
			}
			return d.DialContext(ctx, "tcp", addr)
		}),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return call(metadata.AppendToOutgoingContext(ctx, "macaroon", c.macaroon), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(metadata.AppendToOutgoingContext(ctx, "macaroon", c.macaroon), desc, cc, method, opts...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (c client) lightning(t *testing.T) lnrpc.LightningClient {
	t.Helper()
	return lnrpc.NewLightningClient(c.dial(t))
}

// channelTo opens a channel from a node of the network to lnd, half of whose
// 400,000 sat are lnd's, and closes it at the end of the test.
func (w *world) channelTo(t *testing.T, from *devnet.Node, l *plainLnd) {
	t.Helper()
	admin := client{addr: l.rpc, cert: l.cert(), macaroon: readMacaroon(t, l.macaroon("admin"))}.lightning(t)
	await(t, "lnd's chain", func() bool {
		info, err := admin.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		return err == nil && info.SyncedToChain
	})
	info, err := admin.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = from.Lightning().ConnectPeer(t.Context(), &lnrpc.ConnectPeerRequest{
		Addr: &lnrpc.LightningAddress{Pubkey: info.IdentityPubkey, Host: l.p2p},
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(info.IdentityPubkey)
	if err != nil {
		t.Fatal(err)
	}
	point, err := from.Lightning().OpenChannelSync(t.Context(), &lnrpc.OpenChannelRequest{
		NodePubkey: key, LocalFundingAmount: 400_000, PushSat: 200_000, SatPerVbyte: 5, Private: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.closeChannel(t, from, point) })
	await(t, "the channel", func() bool {
		list, err := admin.ListChannels(t.Context(), &lnrpc.ListChannelsRequest{ActiveOnly: true})
		if err == nil && len(list.Channels) == 1 {
			return true
		}
		if err := w.Mine(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		return false
	})
	for _, end := range []lnrpc.LightningClient{admin, from.Lightning()} {
		await(t, "both ends' terms", func() bool { return knowsTerms(t, end, info.IdentityPubkey) })
	}
}

// knowsTerms says whether a node can find a way through all channels of
// another, private ones included.
func knowsTerms(t *testing.T, c lnrpc.LightningClient, key string) bool {
	graph, err := c.DescribeGraph(t.Context(), &lnrpc.ChannelGraphRequest{IncludeUnannounced: true})
	if err != nil {
		return false
	}
	known := 0
	for _, edge := range graph.Edges {
		if edge.Node1Pub != key && edge.Node2Pub != key {
			continue
		}
		if edge.Node1Policy == nil || edge.Node2Policy == nil {
			return false
		}
		known++
	}
	return known > 0
}

// closeChannel closes by force, since lnd may be away.
func (w *world) closeChannel(t *testing.T, n *devnet.Node, point *lnrpc.ChannelPoint) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := n.Lightning().CloseChannel(ctx, &lnrpc.CloseChannelRequest{ChannelPoint: point, Force: true})
	if err == nil {
		_, err = stream.Recv()
	}
	if err == nil {
		err = w.Mine(ctx, 1)
	}
	if err != nil {
		t.Error(err)
	}
}
