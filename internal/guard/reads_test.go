//lint:file-ignore SA1019 clients still read and set deprecated fields

package guard

import (
	"context"
	"encoding/hex"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/front"
)

// Keys of nodes: the account's, a peer of it, and one beyond.
var ownKey, peerKey, farKey = "02" + strings.Repeat("aa", 32), "03" + strings.Repeat("bb", 32), "02" + strings.Repeat("cc", 32)

// readLnd answers with all it has and remembers what it was asked.
type readLnd struct {
	lnrpc.UnimplementedLightningServer
	routerrpc.UnimplementedRouterServer

	info   *lnrpc.GetInfoResponse
	nodes  map[string]*lnrpc.NodeInfo
	routes *lnrpc.QueryRoutesResponse
	asked  proto.Message
}

func (l *readLnd) GetInfo(context.Context, *lnrpc.GetInfoRequest) (*lnrpc.GetInfoResponse, error) {
	return l.info, nil
}

func (l *readLnd) GetNodeInfo(_ context.Context, req *lnrpc.NodeInfoRequest) (*lnrpc.NodeInfo, error) {
	l.asked = req
	if n := l.nodes[strings.ToLower(req.PubKey)]; n != nil {
		return n, nil
	}
	return nil, errNodeNotFound
}

func (l *readLnd) QueryRoutes(_ context.Context, req *lnrpc.QueryRoutesRequest) (*lnrpc.QueryRoutesResponse, error) {
	l.asked = req
	return l.routes, nil
}

func (l *readLnd) EstimateRouteFee(_ context.Context, req *routerrpc.RouteFeeRequest) (*routerrpc.RouteFeeResponse, error) {
	l.asked = req
	return &routerrpc.RouteFeeResponse{RoutingFeeMsat: 7}, nil
}

// reader is a call of an account that has 500 sat, 100 of them reserved.
func (l *readLnd) reader(t *testing.T) *accountCall {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	lnrpc.RegisterLightningServer(server, l)
	routerrpc.RegisterRouterServer(server, l)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:lnd", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	lnd := newAttachment(t.Context(), Access{Conn: conn})
	lnd.identity = ownKey
	return &accountCall{
		guard: &Guard{opts: Options{Now: time.Now}}, lnd: lnd,
		account: account.Account{Balance: 500_500, Reserved: 100_000},
	}
}

func requireRefused(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	var refusal *front.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, code, refusal.Code, refusal)
	require.Equal(t, reason, refusal.Reason, refusal)
}

// fill sets every field of a message to something that is not its zero.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if !v.Type().Field(i).IsExported() {
			continue
		}
		switch f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.String:
			f.SetString("x")
		case reflect.Int32, reflect.Int64:
			f.SetInt(7)
		case reflect.Uint32, reflect.Uint64:
			f.SetUint(7)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			if e := f.Index(0); e.Kind() == reflect.Pointer {
				e.Set(reflect.New(e.Type().Elem()))
				fill(e.Elem())
			}
		}
	}
}

// TestGetInfoHidesTheNode lists what is told: all that is not here, fields of a
// later lnd among them, is not.
func TestGetInfoHidesTheNode(t *testing.T) {
	lnd := &readLnd{info: new(lnrpc.GetInfoResponse)}
	fill(reflect.ValueOf(lnd.info).Elem())
	lnd.info.Features = map[uint32]*lnrpc.Feature{9: {Name: "f"}}
	got, err := getInfo(t.Context(), lnd.reader(t), nil)
	require.NoError(t, err)
	var told []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[lnrpc.GetInfoResponse]()) {
		if field.IsExported() && !reflect.ValueOf(got).Elem().FieldByIndex(field.Index).IsZero() {
			told = append(told, field.Name)
		}
	}
	require.ElementsMatch(t, told, []string{
		"Version", "CommitHash", "IdentityPubkey", "Alias", "Color", "BlockHeight", "BlockHash", "BestHeaderTimestamp",
		"SyncedToChain", "SyncedToGraph", "WalletSynced", "Features", "Testnet", "Chains",
	})
}

func TestChannelBalance(t *testing.T) {
	got, err := channelBalance(t.Context(), new(readLnd).reader(t), nil)
	require.NoError(t, err)
	require.True(t, proto.Equal(got, &lnrpc.ChannelBalanceResponse{
		Balance: 400, LocalBalance: amount(400_500), UnsettledLocalBalance: amount(100_000), RemoteBalance: amount(0),
		UnsettledRemoteBalance: amount(0), PendingOpenLocalBalance: amount(0), PendingOpenRemoteBalance: amount(0),
	}), got)
}

func TestGetNodeInfo(t *testing.T) {
	channel := func(id uint64, a, b string) *lnrpc.ChannelEdge {
		return &lnrpc.ChannelEdge{ChannelId: id, Node1Pub: a, Node2Pub: b, Capacity: 100}
	}
	withOwn, far := channel(1, ownKey, peerKey), channel(2, peerKey, farKey)
	// NumChannels and TotalCapacity of lnd count what is not announced, too.
	lnd := &readLnd{nodes: map[string]*lnrpc.NodeInfo{
		ownKey: {Node: &lnrpc.LightningNode{Alias: "own", Addresses: []*lnrpc.NodeAddress{{Addr: "10.1.2.3:9735"}}}, NumChannels: 3, TotalCapacity: 300, Channels: []*lnrpc.ChannelEdge{withOwn}},
		peerKey: {Node: &lnrpc.LightningNode{Alias: "peer"}, NumChannels: 4, TotalCapacity: 400,
			Channels: []*lnrpc.ChannelEdge{withOwn, far}},
		farKey: {Node: &lnrpc.LightningNode{Alias: "secret peer"}, NumChannels: 1, TotalCapacity: 100},
	}}
	c := lnd.reader(t)
	for name, test := range map[string]struct {
		req  *lnrpc.NodeInfoRequest
		want *lnrpc.NodeInfo // nil: not found
	}{
		"ok/own": {&lnrpc.NodeInfoRequest{PubKey: ownKey, IncludeChannels: true},
			&lnrpc.NodeInfo{Node: &lnrpc.LightningNode{Alias: "own"}}},
		"ok/own, upper case": {&lnrpc.NodeInfoRequest{PubKey: strings.ToUpper(ownKey), IncludeChannels: true},
			&lnrpc.NodeInfo{Node: &lnrpc.LightningNode{Alias: "own"}}},
		"ok/peer": {&lnrpc.NodeInfoRequest{PubKey: peerKey, IncludeChannels: true, IncludeAuthProof: true},
			&lnrpc.NodeInfo{Node: &lnrpc.LightningNode{Alias: "peer"}, NumChannels: 1, TotalCapacity: 100, Channels: []*lnrpc.ChannelEdge{far}}},
		"ok/peer, counts only": {&lnrpc.NodeInfoRequest{PubKey: peerKey},
			&lnrpc.NodeInfo{Node: &lnrpc.LightningNode{Alias: "peer"}, NumChannels: 1, TotalCapacity: 100}},
		"fail/known for a secret channel": {&lnrpc.NodeInfoRequest{PubKey: farKey}, nil},
		"fail/unknown":                    {&lnrpc.NodeInfoRequest{PubKey: "02"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := getNodeInfo(t.Context(), c, test.req)
			if test.want == nil {
				require.Equal(t, status.Convert(errNodeNotFound).Message(), status.Convert(err).Message())
				require.Equal(t, codes.NotFound, status.Code(err))
				return
			}
			require.NoError(t, err)
			require.True(t, proto.Equal(test.want, got), got)
			require.Equal(t, test.req.IncludeAuthProof, lnd.asked.(*lnrpc.NodeInfoRequest).IncludeAuthProof)
		})
	}
	_, err := getNodeInfo(t.Context(), c, &lnrpc.NodeInfoRequest{PubKey: peerKey, IncludeAuthProof: true})
	requireRefused(t, err, codes.InvalidArgument, "bad_request")
}

func TestQueryRoutes(t *testing.T) {
	lnd := &readLnd{routes: &lnrpc.QueryRoutesResponse{SuccessProb: 0.5, Routes: []*lnrpc.Route{{
		TotalAmtMsat: 9, FirstHopAmountMsat: 9, CustomChannelData: []byte{1},
		Hops: []*lnrpc.Hop{{ChanId: 11, ChanCapacity: 100, PubKey: peerKey}, {ChanId: 12, ChanCapacity: 200, PubKey: farKey}},
	}}}}
	got, err := queryRoutes(t.Context(), lnd.reader(t), &lnrpc.QueryRoutesRequest{
		PubKey: farKey, Amt: 400, SourcePubKey: ownKey, UseMissionControl: true, CltvLimit: 99,
	})
	require.NoError(t, err)
	require.True(t, proto.Equal(got, &lnrpc.QueryRoutesResponse{Routes: []*lnrpc.Route{{
		TotalAmtMsat: 9,
		Hops:         []*lnrpc.Hop{{PubKey: peerKey}, {ChanId: 12, ChanCapacity: 200, PubKey: farKey}},
	}}}), got)
	require.True(t, proto.Equal(lnd.asked, &lnrpc.QueryRoutesRequest{PubKey: farKey, AmtMsat: 400_000, CltvLimit: 99}), lnd.asked)
}

func TestRoutesThatAreRefused(t *testing.T) {
	peer, err := hex.DecodeString(peerKey)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		req    *lnrpc.QueryRoutesRequest
		code   codes.Code
		reason string
	}{
		"to itself":      {&lnrpc.QueryRoutesRequest{PubKey: strings.ToUpper(ownKey)}, codes.PermissionDenied, "same_node"},
		"from elsewhere": {&lnrpc.QueryRoutesRequest{PubKey: farKey, SourcePubKey: peerKey}, codes.InvalidArgument, "bad_request"},
		"first channel":  {&lnrpc.QueryRoutesRequest{PubKey: farKey, OutgoingChanIds: []uint64{1}}, codes.InvalidArgument, "bad_request"},
		"last hop":       {&lnrpc.QueryRoutesRequest{PubKey: farKey, LastHopPubkey: peer}, codes.InvalidArgument, "bad_request"},
		"ignored nodes":  {&lnrpc.QueryRoutesRequest{PubKey: farKey, IgnoredNodes: [][]byte{peer}}, codes.InvalidArgument, "bad_request"},
		"ignored pairs":  {&lnrpc.QueryRoutesRequest{PubKey: farKey, IgnoredPairs: []*lnrpc.NodePair{{}}}, codes.InvalidArgument, "bad_request"},
		"ignored edges":  {&lnrpc.QueryRoutesRequest{PubKey: farKey, IgnoredEdges: []*lnrpc.EdgeLocator{{}}}, codes.InvalidArgument, "bad_request"},
		"two amounts":    {&lnrpc.QueryRoutesRequest{PubKey: farKey, Amt: 1, AmtMsat: 1}, codes.InvalidArgument, "bad_request"},
		"negative":       {&lnrpc.QueryRoutesRequest{PubKey: farKey, AmtMsat: -1}, codes.InvalidArgument, "bad_request"},
		"overflow":       {&lnrpc.QueryRoutesRequest{PubKey: farKey, Amt: 1 << 62}, codes.InvalidArgument, "bad_request"},
		"too much":       {&lnrpc.QueryRoutesRequest{PubKey: farKey, AmtMsat: 400_501}, codes.ResourceExhausted, "balance"},
	} {
		t.Run("fail/"+name, func(t *testing.T) {
			lnd := new(readLnd)
			_, err := queryRoutes(t.Context(), lnd.reader(t), test.req)
			requireRefused(t, err, test.code, test.reason)
			require.Nil(t, lnd.asked)
		})
	}
}

func TestEstimateRouteFee(t *testing.T) {
	own, err := hex.DecodeString(ownKey)
	require.NoError(t, err)
	lnd := new(readLnd)
	c := lnd.reader(t)
	for _, test := range []struct {
		req    *routerrpc.RouteFeeRequest
		code   codes.Code
		reason string
	}{
		{&routerrpc.RouteFeeRequest{PaymentRequest: "lnbcrt1"}, codes.PermissionDenied, "probe_denied"},
		{&routerrpc.RouteFeeRequest{PaymentRequest: "lnbcrt1", Dest: []byte{2}, AmtSat: 1}, codes.PermissionDenied, "probe_denied"},
		{&routerrpc.RouteFeeRequest{Dest: own, AmtSat: 1}, codes.PermissionDenied, "same_node"},
		{&routerrpc.RouteFeeRequest{Dest: []byte{2}, AmtSat: 401}, codes.ResourceExhausted, "balance"},
		{&routerrpc.RouteFeeRequest{Dest: []byte{2}, AmtSat: -1}, codes.InvalidArgument, "bad_request"},
	} {
		_, err := estimateRouteFee(t.Context(), c, test.req)
		requireRefused(t, err, test.code, test.reason)
	}
	require.Nil(t, lnd.asked)
	got, err := estimateRouteFee(t.Context(), c, &routerrpc.RouteFeeRequest{Dest: []byte{2}, AmtSat: 400, Timeout: 9})
	require.NoError(t, err)
	require.EqualValues(t, 7, got.RoutingFeeMsat)
	require.True(t, proto.Equal(lnd.asked, &routerrpc.RouteFeeRequest{Dest: []byte{2}, AmtSat: 400}), lnd.asked)
}

func TestRoutesAreRateLimited(t *testing.T) {
	lnd := &readLnd{routes: new(lnrpc.QueryRoutesResponse)}
	c := lnd.reader(t)
	now := time.Now()
	c.guard.opts.Now = func() time.Time { return now }
	ask := func() error {
		_, err := queryRoutes(t.Context(), c, &lnrpc.QueryRoutesRequest{PubKey: farKey, Amt: 1})
		return err
	}
	for range lookupRate.burst {
		require.NoError(t, ask())
	}
	_, err := estimateRouteFee(t.Context(), c, &routerrpc.RouteFeeRequest{Dest: []byte{2}, AmtSat: 1})
	requireRefused(t, err, codes.ResourceExhausted, "rate_limited")

	now = now.Add(lookupRate.interval)
	require.NoError(t, ask())
	requireRefused(t, ask(), codes.ResourceExhausted, "rate_limited")

	now = now.Add(-time.Hour)
	requireRefused(t, ask(), codes.ResourceExhausted, "rate_limited")
	now = now.Add(lookupRate.interval)
	require.NoError(t, ask(), "a clock that was moved back locks nobody out")

	c.account.ID = account.ID{1}
	require.NoError(t, ask(), "another account")
}

func TestLookupsAreBounded(t *testing.T) {
	var l allowance
	now := time.Now()
	for i := range 3 * maxRemembered {
		require.True(t, l.allow(account.ID{byte(i), byte(i >> 8)}, lookupRate, now))
		now = now.Add(2 * lookupRate.interval)
	}
	require.LessOrEqual(t, len(l.full), maxRemembered)
}
