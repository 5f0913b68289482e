package itest

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/node"
)

// tenant is an account of the buyer's node.
type tenant struct {
	shop.Account
	w    *world
	node *devnet.Node
}

func (w *world) tenant(t *testing.T) *tenant {
	t.Helper()
	n := w.buyerNode()
	made, err := shop.NewAccount(t.Context(), w.program("leyden"), n, 1000, filepath.Join(t.TempDir(), "own.macaroon"))
	if err != nil {
		t.Fatal(err)
	}
	a := &tenant{made, w, n}
	t.Cleanup(func() { _ = a.operate(context.Background(), "accounts", "remove", a.ID) })
	return a
}

func (a *tenant) operate(ctx context.Context, args ...string) error {
	return shop.Operate(ctx, a.w.program("leyden"), a.node, nil, args...)
}

func (a *tenant) caveat() string { return "lnd-custom account " + a.ID }

// constrained copies a macaroon with more caveats.
func constrained(t *testing.T, file string, caveats ...string) []byte {
	t.Helper()
	m := loadMacaroon(t, file)
	for _, c := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	return binaryMacaroon(t, m)
}

func loadMacaroon(t *testing.T, file string) *gomacaroon.Macaroon {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := new(gomacaroon.Macaroon)
	if err := m.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	return m
}

func binaryMacaroon(t *testing.T, m *gomacaroon.Macaroon) []byte {
	t.Helper()
	raw, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// bake makes an operator's macaroon with the permissions of the documented way
// to make an account's by hand.
func bake(t *testing.T, n *devnet.Node) (file string) {
	t.Helper()
	var permissions []*lnrpc.MacaroonPermission
	for _, p := range []string{
		"info:read", "invoices:read", "invoices:write", "offchain:read", "offchain:write", "onchain:read", "peers:read",
	} {
		entity, action, _ := strings.Cut(p, ":")
		permissions = append(permissions, &lnrpc.MacaroonPermission{Entity: entity, Action: action})
	}
	baked, err := n.Lightning().BakeMacaroon(t.Context(), &lnrpc.BakeMacaroonRequest{Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(baked.GetMacaroon())
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "baked.macaroon")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// as connects to the front with a macaroon.
func (a *tenant) as(t *testing.T, raw []byte) *grpc.ClientConn {
	t.Helper()
	file := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := a.node.DialAs(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// look asks for GetInfo and says what came: "account", "operator", or the code
// and the reason.
func look(ctx context.Context, conn *grpc.ClientConn) string {
	info, err := lnrpc.NewLightningClient(conn).GetInfo(ctx, &lnrpc.GetInfoRequest{})
	switch {
	case err != nil:
		st := status.Convert(err)
		reason, _, _ := strings.Cut(strings.TrimPrefix(st.Message(), "leyden: "), ":")
		if strings.HasPrefix(st.Message(), "leyden: ") {
			return st.Code().String() + ":" + reason
		}
		return st.Code().String()
	case info.GetNumActiveChannels() > 0:
		return "operator"
	}
	return "account"
}

// TestAccountCaveats tries macaroons whose account caveat was tampered with.
func TestAccountCaveats(t *testing.T) {
	w := theWorld(t)
	a, other := w.tenant(t), w.tenant(t)
	admin := bake(t, a.node)
	own, err := os.ReadFile(a.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(old, new string) []byte {
		return []byte(strings.Replace(string(own), old, new, 1))
	}
	cases := map[string]struct {
		macaroon []byte
		want     string
	}{
		"ok/own":                   {own, "account"},
		"ok/own and narrower":      {constrained(t, a.Macaroon, "ipaddr 127.0.0.1", "time-before 2040-01-01T00:00:00Z"), "account"},
		"ok/made by hand":          {constrained(t, admin, a.caveat()), "account"},
		"fail/of admin's":          {constrained(t, a.node.AdminMacaroon, a.caveat()), "PermissionDenied:strong_macaroon"},
		"fail/removed":             {replaced(a.caveat(), strings.Replace(a.caveat(), "account", "amount_", 1)), "Unknown"},
		"fail/another account's":   {replaced(a.ID, other.ID), "Unknown"},
		"fail/doubled":             {constrained(t, a.Macaroon, a.caveat()), "PermissionDenied:bad_macaroon"},
		"fail/another added":       {constrained(t, a.Macaroon, other.caveat()), "PermissionDenied:bad_macaroon"},
		"fail/empty":               {constrained(t, admin, "lnd-custom account"), "PermissionDenied:bad_macaroon"},
		"fail/empty with a space":  {constrained(t, admin, "lnd-custom account "), "PermissionDenied:bad_macaroon"},
		"fail/spaces":              {constrained(t, admin, "lnd-custom account  "+a.ID), "PermissionDenied:bad_macaroon"},
		"fail/space at the end":    {constrained(t, admin, a.caveat()+" "), "PermissionDenied:bad_macaroon"},
		"fail/wrong case":          {constrained(t, admin, "lnd-custom Account "+a.ID), "PermissionDenied:bad_macaroon"},
		"fail/wrong case of lnd":   {constrained(t, admin, "Lnd-Custom account "+a.ID), "PermissionDenied:bad_macaroon"},
		"fail/upper case digits":   {constrained(t, admin, "lnd-custom account ABCDEFABCDEFABCD"), "PermissionDenied:bad_macaroon"},
		"fail/unknown":             {constrained(t, admin, "lnd-custom account 0000000000000000"), "PermissionDenied:account_unknown"},
		"fail/locked to elsewhere": {constrained(t, a.Macaroon, "ipaddr 10.1.2.3"), "Unknown"},
		"fail/time is over":        {constrained(t, a.Macaroon, "time-before 2020-01-01T00:00:00Z"), "Unknown"},
		"fail/leyden-budget":       {constrained(t, a.Macaroon, "lnd-custom leyden-budget 5"), "Unknown"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := look(t.Context(), a.as(t, c.macaroon)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("fail/cut off", func(t *testing.T) {
		if got := look(t.Context(), a.as(t, withoutCaveats(t, a.Macaroon))); got != "Unknown" {
			t.Errorf("got %q", got)
		}
	})
}

// withoutCaveats keeps id and signature of a macaroon and drops its caveats.
func withoutCaveats(t *testing.T, file string) []byte {
	t.Helper()
	m := loadMacaroon(t, file)
	text, err := json.Marshal(map[string]any{
		"v": 2, "l": m.Location(), "i64": base64.RawURLEncoding.EncodeToString(m.Id()), "s64": base64.RawURLEncoding.EncodeToString(m.Signature()),
	})
	if err != nil {
		t.Fatal(err)
	}
	cut := new(gomacaroon.Macaroon)
	if err := cut.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return binaryMacaroon(t, cut)
}

// TestAccountMacaroonsEnd: what rotation and removal kill, at once.
func TestAccountMacaroonsEnd(t *testing.T) {
	w := theWorld(t)
	a := w.tenant(t)
	own := a.as(t, constrained(t, a.Macaroon))
	byHand := a.as(t, constrained(t, bake(t, a.node), a.caveat()))
	for _, conn := range []*grpc.ClientConn{own, byHand} {
		if got := look(t.Context(), conn); got != "account" {
			t.Fatalf("before: %q", got)
		}
	}
	fresh := filepath.Join(t.TempDir(), "fresh.macaroon")
	if err := a.operate(t.Context(), "accounts", "rotate", a.ID, "--save_to", fresh); err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]*grpc.ClientConn{"own": own, "by hand": byHand} {
		if got := look(t.Context(), conn); got != "PermissionDenied:macaroon_rotated" {
			t.Errorf("%s after rotation: %q", name, got)
		}
	}
	renewed := a.as(t, constrained(t, fresh))
	if got := look(t.Context(), renewed); got != "account" {
		t.Errorf("the new one: %q", got)
	}
	if err := a.operate(t.Context(), "accounts", "remove", a.ID); err != nil {
		t.Fatal(err)
	}
	if got := look(t.Context(), renewed); got != "PermissionDenied:account_unknown" {
		t.Errorf("after removal: %q", got)
	}
}

// TestAccountEscalations tries what would give an account more, with a macaroon
// that has every permission of lnd's besides the caveat.
func TestAccountEscalations(t *testing.T) {
	w := theWorld(t)
	a := w.tenant(t)
	all := constrained(t, a.node.AdminMacaroon, a.caveat())
	bake := &lnrpc.BakeMacaroonRequest{Permissions: []*lnrpc.MacaroonPermission{{Entity: "macaroon", Action: "generate"}}}
	tries := map[string]struct {
		method string
		req    proto.Message
		reason string
	}{
		"bake":        {"/lnrpc.Lightning/BakeMacaroon", bake, "method_denied"},
		"check":       {"/lnrpc.Lightning/CheckMacaroonPermissions", &lnrpc.CheckMacPermRequest{Macaroon: all}, "method_denied"},
		"delete ids":  {"/lnrpc.Lightning/DeleteMacaroonID", &lnrpc.DeleteMacaroonIDRequest{RootKeyId: 1}, "method_denied"},
		"list ids":    {"/lnrpc.Lightning/ListMacaroonIDs", new(lnrpc.ListMacaroonIDsRequest), "method_denied"},
		"middleware":  {"/lnrpc.Lightning/RegisterRPCMiddleware", new(lnrpc.RPCMiddlewareResponse), "method_blocked"},
		"password":    {"/lnrpc.WalletUnlocker/ChangePassword", new(lnrpc.ChangePasswordRequest), "method_blocked"},
		"coins":       {"/lnrpc.Lightning/SendCoins", &lnrpc.SendCoinsRequest{Addr: "x", Amount: 1}, "method_denied"},
		"channel":     {"/lnrpc.Lightning/OpenChannelSync", new(lnrpc.OpenChannelRequest), "method_denied"},
		"interceptor": {"/routerrpc.Router/HtlcInterceptor", new(routerrpc.ForwardHtlcInterceptResponse), "method_denied"},
		"case":        {"/lnrpc.lightning/GetInfo", new(lnrpc.GetInfoRequest), "method_denied"},
	}
	conn := a.as(t, all)
	for name, c := range tries {
		t.Run(name, func(t *testing.T) {
			err := conn.Invoke(t.Context(), c.method, c.req, new(lnrpc.GetInfoResponse))
			if st := status.Convert(err); st.Code() != codes.PermissionDenied || !strings.HasPrefix(st.Message(), "leyden: "+c.reason) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("at lnd's own port", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "all")
		if err := os.WriteFile(file, all, 0o600); err != nil {
			t.Fatal(err)
		}
		direct, err := a.node.DialLnd(file)
		if err != nil {
			t.Fatal(err)
		}
		defer direct.Close()
		_, err = lnrpc.NewLightningClient(direct).GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		if err == nil || !strings.Contains(err.Error(), "account_only_through_guard") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAccountREST: REST and its WebSockets meet the same guard.
func TestAccountREST(t *testing.T) {
	w := theWorld(t)
	a := w.tenant(t)
	raw, err := os.ReadFile(a.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Grpc-Metadata-Macaroon": {hex.EncodeToString(raw)}}
	insecure := &tls.Config{InsecureSkipVerify: true}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: insecure}}
	rest := func(method, path, body string) (int, map[string]any) {
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+a.node.REST+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var v map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, v
	}
	if code, info := rest("GET", "/v1/getinfo", ""); code != 200 || info["num_active_channels"] != 0.0 {
		t.Errorf("getinfo: %d %v", code, info)
	}
	code, refused := rest("POST", "/v1/macaroon", `{"permissions":[{"entity":"info","action":"read"}]}`)
	if code != 403 || !strings.HasPrefix(fmt.Sprint(refused["message"]), "leyden: method_denied") {
		t.Errorf("bake: %d %v", code, refused)
	}
	dialer := websocket.Dialer{TLSClientConfig: insecure, HandshakeTimeout: time.Minute}
	ws := func(path, first string) string {
		conn, resp, err := dialer.DialContext(t.Context(), "wss://"+a.node.REST+path, header)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer conn.Close()
		if err := conn.WriteMessage(websocket.TextMessage, []byte(first)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, msg, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		return string(msg)
	}
	if got := ws("/v1/channels/subscribe?method=GET", "{}"); !strings.Contains(got, "method_denied") {
		t.Errorf("channel events over a WebSocket: %s", got)
	}
	if got := ws("/v2/router/send?method=POST", `{"amt":1,"amt_msat":1000}`); !strings.Contains(got, "bad_request") {
		t.Errorf("a payment over a WebSocket: %s", got)
	}
}

// TestAccountStreamOpenedEarly: a call that was opened before lnd died is not
// worth anything after it, at the front and at lnd's own port.
func TestAccountStreamOpenedEarly(t *testing.T) {
	w := theWorld(t)
	a := w.tenant(t)
	expect := w.payments(t)
	open := func(conn *grpc.ClientConn) grpc.ClientStream {
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/routerrpc.Router/SendPaymentV2")
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	early := open(a.as(t, constrained(t, a.Macaroon)))
	operator := open(a.as(t, constrained(t, a.node.AdminMacaroon)))
	direct, err := a.node.DialLnd(a.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	atLnd := open(direct)

	before, err := node.Status(a.node.Home())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(before.LndPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	conn := a.as(t, constrained(t, a.Macaroon))
	seen := make(map[string]bool)
	await(t, "the account's return", func() bool {
		got := look(t.Context(), conn)
		seen[got] = true
		return got == "account"
	})
	for got := range seen {
		if got != "account" && !strings.HasPrefix(got, "Unavailable") {
			t.Errorf("meanwhile an account got %q", got)
		}
	}
	keysend := &routerrpc.SendPaymentRequest{Dest: make([]byte, 33), AmtMsat: 1000, PaymentHash: make([]byte, 32), TimeoutSeconds: 5}
	for name, stream := range map[string]grpc.ClientStream{"account": early, "operator": operator, "at lnd": atLnd} {
		_ = stream.SendMsg(keysend)
		if err := stream.RecvMsg(new(lnrpc.Payment)); err == nil {
			t.Errorf("%s: a stream opened before was served", name)
		}
	}
	if err := w.AwaitChannels(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(0)
}

// TestFreezeAllHoldsOperators: what moves money is refused to the admin as well,
// closing by force is not, and a restart changes nothing.
func TestFreezeAllHoldsOperators(t *testing.T) {
	w := theWorld(t)
	a := w.tenant(t)
	expect := w.payments(t)
	if err := a.operate(t.Context(), "freeze", "--all"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.operate(context.Background(), "thaw", "--all"); err != nil {
			t.Error(err)
		}
	})
	check := func() {
		t.Helper()
		ln := a.node.Lightning()
		_, err := ln.SendCoins(t.Context(), &lnrpc.SendCoinsRequest{Addr: "bcrt1q", Amount: 1000})
		if st := status.Convert(err); st.Code() != codes.PermissionDenied || !strings.Contains(st.Message(), "leyden thaw --all") {
			t.Errorf("SendCoins: %v", err)
		}
		for _, force := range []bool{false, true} {
			point := &lnrpc.ChannelPoint{FundingTxid: &lnrpc.ChannelPoint_FundingTxidStr{FundingTxidStr: strings.Repeat("00", 32)}}
			stream, err := ln.CloseChannel(t.Context(), &lnrpc.CloseChannelRequest{ChannelPoint: point, Force: force})
			if err == nil {
				_, err = stream.Recv()
			}
			if frozen := strings.HasPrefix(status.Convert(err).Message(), "leyden: frozen"); err == nil || frozen == force {
				t.Errorf("CloseChannel, force %v: %v", force, err)
			}
		}
		if _, err := ln.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 1}); err != nil {
			t.Errorf("AddInvoice: %v", err)
		}
	}
	check()
	if got := look(t.Context(), a.as(t, constrained(t, a.Macaroon))); got != "account" {
		t.Errorf("a frozen account reads %q", got)
	}
	w.stopNode(t, a.node)()
	check()
	expect(0)
}
