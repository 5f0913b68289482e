package rest_test

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	lndcert "github.com/lightningnetwork/lnd/cert"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/pires/go-proxyproto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/rest"
)

const patience = time.Minute

// fakeLnd answers a few methods in telling ways.
type fakeLnd struct {
	lnrpc.UnimplementedLightningServer
	cancelled chan struct{}
}

// GetInfo tells what lnd got: the macaroon, and the address of its peer.
func (*fakeLnd) GetInfo(ctx context.Context, _ *lnrpc.GetInfoRequest) (*lnrpc.GetInfoResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	p, _ := peer.FromContext(ctx)
	return &lnrpc.GetInfoResponse{Alias: strings.Join(md["macaroon"], ","), Version: p.Addr.String()}, nil
}

func (*fakeLnd) AddInvoice(_ context.Context, in *lnrpc.Invoice) (*lnrpc.AddInvoiceResponse, error) {
	return &lnrpc.AddInvoiceResponse{RHash: in.RPreimage, PaymentRequest: in.Memo, AddIndex: uint64(in.ValueMsat)}, nil
}

func (*fakeLnd) WalletBalance(context.Context, *lnrpc.WalletBalanceRequest) (*lnrpc.WalletBalanceResponse, error) {
	return nil, status.Error(codes.NotFound, "no balance")
}

func (f *fakeLnd) SubscribeInvoices(in *lnrpc.InvoiceSubscription, s lnrpc.Lightning_SubscribeInvoicesServer) error {
	for i := range in.AddIndex {
		if err := s.Send(&lnrpc.Invoice{AddIndex: i + 1}); err != nil {
			return err
		}
	}
	if in.SettleIndex == 0 {
		return nil
	}
	<-s.Context().Done()
	close(f.cancelled)
	return s.Context().Err()
}

func (*fakeLnd) ChannelAcceptor(s lnrpc.Lightning_ChannelAcceptorServer) error {
	for {
		in, err := s.Recv()
		if err != nil {
			return err
		}
		if err := s.Send(&lnrpc.ChannelAcceptRequest{PendingChanId: in.PendingChanId}); err != nil {
			return err
		}
	}
}

type hook func(context.Context, *front.Call) (front.Decision, error)

func (h hook) Call(ctx context.Context, c *front.Call) (front.Decision, error) { return h(ctx, c) }

type bed struct {
	addr   string
	lnd    *fakeLnd
	client *http.Client
	server *front.Server
}

func newBed(t *testing.T, h front.Hook, opts rest.Options) *bed {
	t.Helper()
	dir, err := os.MkdirTemp("", "rest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	certPEM, keyPEM, err := lndcert.GenCertPair("lnd", nil, nil, true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certPath := filepath.Join(dir, "tls.cert")
	if err := os.WriteFile(certPath, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	tlsConf := &tls.Config{Certificates: []tls.Certificate{pair}}

	backend, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	lnd := &fakeLnd{cancelled: make(chan struct{})}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(tlsConf)))
	lnrpc.RegisterLightningServer(server, lnd)
	go server.Serve(&proxyproto.Listener{Listener: backend})
	t.Cleanup(server.Stop)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := front.New(front.Options{
		TLS: tlsConf, Backend: front.Backend{Socket: filepath.Join(dir, "s"), TLSCert: certPath},
		Hook: h, Logger: slog.New(slog.DiscardHandler),
		REST: &front.REST{Listeners: []net.Listener{l}, Handler: rest.Handler(opts)},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	f.SetReady()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &bed{addr: l.Addr().String(), lnd: lnd, client: &http.Client{Transport: transport, Timeout: patience}, server: f}
}

func (b *bed) do(t *testing.T, method, path, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, "https://"+b.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got), resp.Header
}

func TestCalls(t *testing.T) {
	b := newBed(t, nil, rest.Options{})
	cases := map[string]struct {
		method, path, body string
		status             int
		want               []string
	}{
		"ok/get":                {"GET", "/v1/getinfo", "", 200, []string{`"alias":"0201ff"`, `"version":"127.0.0.1:0"`, `"num_peers":0`}},
		"ok/post":               {"POST", "/v1/invoices", `{"memo":"tea","value_msat":"7","r_preimage":"AQID"}`, 200, []string{`"payment_request":"tea"`, `"add_index":"7"`, `"r_hash":"AQID"`}},
		"ok/server stream":      {"GET", "/v1/invoices/subscribe?add_index=2", "", 200, []string{`{"result":{"memo":""`, `"add_index":"1"`, `"add_index":"2"`}},
		"fail/lnd's error":      {"GET", "/v1/balance/blockchain", "", 404, []string{`"message":"no balance"`}},
		"fail/not built in":     {"GET", "/v2/versioner/version", "", 501, nil},
		"fail/no such path":     {"GET", "/v1/nothing", "", 404, nil},
		"fail/bad JSON":         {"POST", "/v1/invoices", `{"memo":`, 400, nil},
		"fail/wallet unlocker":  {"POST", "/v1/unlockwallet", `{}`, 403, []string{"leyden: method_blocked: ", "leyden node unlock"}},
		"fail/create wallet":    {"GET", "/v1/genseed", "", 403, []string{"leyden: method_blocked: ", "leyden node create"}},
		"fail/other middleware": {"POST", "/v1/middleware", `{}`, 403, []string{"leyden: method_blocked: "}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, body, _ := b.do(t, c.method, c.path, c.body, "Grpc-Metadata-macaroon", "0201ff")
			if code != c.status {
				t.Errorf("status %d, want %d", code, c.status)
			}
			for _, want := range c.want {
				if !strings.Contains(strings.ReplaceAll(body, ": ", ":"), strings.ReplaceAll(want, ": ", ":")) {
					t.Errorf("%s\nlacks %s", body, want)
				}
			}
		})
	}
}

// TestPeerIsTheHTTPPeer: whatever headers say, the hook and lnd see the address
// of the connection.
func TestPeerIsTheHTTPPeer(t *testing.T) {
	seen := make(chan string, 1)
	b := newBed(t, hook(func(_ context.Context, c *front.Call) (front.Decision, error) {
		seen <- c.Peer.String() + " " + c.Method
		return front.Decision{}, nil
	}), rest.Options{})
	b.client.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 5)}}).DialContext
	_, body, _ := b.do(t, "GET", "/v1/getinfo", "", "X-Forwarded-For", "10.0.0.1", "X-Real-Ip", "10.0.0.1", "Forwarded", "for=10.0.0.1")
	if !strings.Contains(body, "127.0.0.5:0") {
		t.Errorf("lnd saw %s", body)
	}
	if got := <-seen; got != "127.0.0.5 /lnrpc.Lightning/GetInfo" {
		t.Errorf("the hook saw %s", got)
	}
}

func TestHookRefusesAndReplaces(t *testing.T) {
	refusal := &front.Refusal{Code: codes.ResourceExhausted, Reason: "limit_day", Sentence: "the daily limit is spent"}
	b := newBed(t, hook(func(_ context.Context, c *front.Call) (front.Decision, error) {
		if c.Method == "/lnrpc.Lightning/AddInvoice" {
			return front.Decision{}, refusal
		}
		return front.Decision{Macaroon: []byte{1, 2}}, nil
	}), rest.Options{})
	code, body, _ := b.do(t, "POST", "/v1/invoices", "{}")
	var answer struct {
		Message string
		Details []struct{ Reason, Domain string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if code != 429 || answer.Message != refusal.Error() || len(answer.Details) != 1 || answer.Details[0].Reason != "limit_day" {
		t.Errorf("got %d %s", code, body)
	}
	if _, body, _ := b.do(t, "GET", "/v1/getinfo", ""); !strings.Contains(body, `"0102"`) {
		t.Errorf("got %s", body)
	}
}

func TestUnready(t *testing.T) {
	b := newBed(t, nil, rest.Options{})
	b.server.SetUnready(front.Refusal{Code: codes.Unavailable, Reason: "wallet_locked", Sentence: "the wallet is locked"})
	if code, body, _ := b.do(t, "GET", "/v1/getinfo", ""); code != 503 || !strings.Contains(body, "leyden: wallet_locked: ") {
		t.Errorf("got %d %s", code, body)
	}
}

func (b *bed) socket(t *testing.T, path string, header http.Header) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: patience}
	ws, _, err := d.Dial("wss://"+b.addr+path, header)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	ws.SetReadDeadline(time.Now().Add(patience))
	return ws
}

func read(t *testing.T, ws *websocket.Conn, want string) {
	t.Helper()
	_, msg, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.ReplaceAll(string(msg), " ", ""), want) {
		t.Errorf("%s\nlacks %s", msg, want)
	}
}

func TestWebSocketServerStream(t *testing.T) {
	b := newBed(t, nil, rest.Options{})
	ws := b.socket(t, "/v1/invoices/subscribe?method=GET&add_index=2&settle_index=1", nil)
	if err := ws.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	read(t, ws, `"add_index":"1"`)
	read(t, ws, `"add_index":"2"`)
	ws.Close()
	select {
	case <-b.lnd.cancelled:
	case <-time.After(patience):
		t.Error("the call at lnd outlived its WebSocket")
	}
}

func TestWebSocketBothWays(t *testing.T) {
	b := newBed(t, nil, rest.Options{})
	ws := b.socket(t, "/v1/channels/acceptor?method=POST", http.Header{"Sec-Websocket-Protocol": {"Grpc-Metadata-Macaroon+0201"}})
	for _, id := range []string{"AQ==", "Ag==", "Aw=="} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"pending_chan_id":"`+id+`"}`)); err != nil {
			t.Fatal(err)
		}
		read(t, ws, `"pending_chan_id":"`+id+`"`)
	}
}

// TestWebSocketMacaroon: the macaroon may travel as a protocol, and the hook sees
// it and the peer.
func TestWebSocketMacaroon(t *testing.T) {
	seen := make(chan string, 1)
	b := newBed(t, hook(func(_ context.Context, c *front.Call) (front.Decision, error) {
		mac, _ := c.Macaroon()
		seen <- c.Peer.String() + " " + hex.EncodeToString(mac)
		return front.Decision{}, nil
	}), rest.Options{})
	ws := b.socket(t, "/v1/getinfo?method=GET", http.Header{"Sec-Websocket-Protocol": {"Grpc-Metadata-Macaroon+0201ff"}})
	if err := ws.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	read(t, ws, `"alias":"0201ff"`)
	if got := <-seen; got != "127.0.0.1 0201ff" {
		t.Errorf("the hook saw %s", got)
	}
}

// TestWebSocketCutOff: CutOff and Stop end WebSockets too.
func TestWebSocketCutOff(t *testing.T) {
	b := newBed(t, nil, rest.Options{})
	ws := b.socket(t, "/v1/invoices/subscribe?method=GET&add_index=1&settle_index=1", nil)
	if err := ws.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	read(t, ws, `"add_index":"1"`)
	if n := b.server.CutOff(front.Refusal{Code: codes.Unavailable, Reason: "frozen", Sentence: "all is frozen"}, nil); n != 1 {
		t.Errorf("cut %d calls", n)
	}
	read(t, ws, `leyden:frozen:`)
	if _, _, err := ws.ReadMessage(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCORS(t *testing.T) {
	const allowOrigin = "Access-Control-Allow-Origin"
	for name, c := range map[string]struct {
		allowed []string
		origin  string
		want    string
	}{
		"ok/listed":   {[]string{"https://a.example", "https://b.example"}, "https://b.example", "https://b.example"},
		"ok/any":      {[]string{"*"}, "https://c.example", "https://c.example"},
		"fail/other":  {[]string{"https://a.example"}, "https://c.example", ""},
		"fail/off":    {nil, "https://a.example", ""},
		"fail/suffix": {[]string{"https://a.example"}, "https://a.example.evil", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, nil, rest.Options{CORS: c.allowed})
			for _, method := range []string{"GET", "OPTIONS"} {
				code, body, header := b.do(t, method, "/v1/getinfo", "", "Origin", c.origin)
				if got := header.Get(allowOrigin); got != c.want {
					t.Errorf("%s: allowed %q, want %q", method, got, c.want)
				}
				if method == "OPTIONS" && c.allowed != nil && (code != 200 || body != "") {
					t.Errorf("pre-flight: %d %s", code, body)
				}
			}
		})
	}
}
