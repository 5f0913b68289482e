package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/cert"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/pires/go-proxyproto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/front/macaroon"
)

// patience bounds every wait of the tests.
const patience = time.Minute

var operator = audit.Actor{Kind: "operator", Via: "api"}

// fakeLnd checks macaroons as lnd does and notes what reaches it.
type fakeLnd struct {
	socket, cert string
	server       *grpc.Server

	mu         sync.Mutex
	middleware lnrpc.Lightning_RegisterRPCMiddlewareServer
	dropped    chan struct{} // closed: the middleware's stream ends
	deleted    map[uint64]bool
	got        []string // "method"
	messages   map[string][]byte
	checks     int
	checkErr   error
	hang       chan struct{} // if set, what is not known waits for it
}

func newFakeLnd(t *testing.T) *fakeLnd {
	t.Helper()
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	certPEM, keyPEM, err := cert.GenCertPair("lnd", nil, nil, true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeLnd{
		socket: filepath.Join(dir, "s"), cert: filepath.Join(dir, "tls.cert"),
		dropped: make(chan struct{}), deleted: make(map[uint64]bool), messages: make(map[string][]byte),
	}
	if err := os.WriteFile(f.cert, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	f.server = grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&pair)), grpc.UnknownServiceHandler(f.handle))
	go func() { _ = f.server.Serve(&proxyproto.Listener{Listener: l}) }()
	t.Cleanup(f.server.Stop)
	return f
}

// rootKey is the key of a root key id.
func rootKey(id uint64) []byte { return []byte("root key " + strconv.FormatUint(id, 10)) }

// mint makes a macaroon as lnd does.
func mint(t testing.TB, rootKeyID uint64, caveats ...string) []byte {
	t.Helper()
	return mintFor(t, rootKeyID, []*lnrpc.Op{{Entity: "offchain", Actions: []string{"read"}}}, caveats...)
}

// mintFor makes one with permissions.
func mintFor(t testing.TB, rootKeyID uint64, ops []*lnrpc.Op, caveats ...string) []byte {
	t.Helper()
	id, err := proto.Marshal(&lnrpc.MacaroonId{
		Nonce: []byte("nonce"), StorageId: []byte(strconv.FormatUint(rootKeyID, 10)), Ops: ops,
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := gomacaroon.New(rootKey(rootKeyID), append([]byte{3}, id...), "lnd", gomacaroon.V2)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range caveats {
		if err := m.AddFirstPartyCaveat([]byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// check verifies a macaroon; account macaroons need the middleware.
func (f *fakeLnd) check(raw []byte) error {
	var m gomacaroon.Macaroon
	if err := m.UnmarshalBinary(raw); err != nil {
		return err
	}
	parsed, err := macaroon.Parse(raw)
	if err != nil {
		return err
	}
	id, err := parsed.RootKeyID()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deleted[id] {
		return errors.New("cannot get macaroon: root key with id " + strconv.FormatUint(id, 10) + " doesn't exist")
	}
	return m.Verify(rootKey(id), func(caveat string) error {
		if strings.HasPrefix(caveat, "lnd-custom account") && f.middleware == nil {
			return errors.New("cannot accept macaroon with custom caveat 'account'")
		}
		return nil
	}, nil)
}

func (f *fakeLnd) handle(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	md, _ := metadata.FromIncomingContext(s.Context())
	if method == "/lnrpc.State/GetState" {
		return answer(s, new(lnrpc.GetStateRequest), &lnrpc.GetStateResponse{State: lnrpc.WalletState_SERVER_ACTIVE})
	}
	if len(md["macaroon"]) != 1 {
		return errors.New("expected 1 macaroon, got " + strconv.Itoa(len(md["macaroon"])))
	}
	raw, err := hex.DecodeString(md["macaroon"][0])
	if err == nil {
		err = f.check(raw)
	}
	if err != nil {
		return err
	}
	switch method {
	case "/lnrpc.Lightning/RegisterRPCMiddleware":
		return f.register(s)
	case "/lnrpc.Lightning/GetInfo":
		return answer(s, new(lnrpc.GetInfoRequest), &lnrpc.GetInfoResponse{
			IdentityPubkey: "02aa", Alias: "lnd itself", Chains: []*lnrpc.Chain{{Network: "regtest"}},
		})
	case "/lnrpc.Lightning/ListPermissions":
		return answer(s, new(lnrpc.ListPermissionsRequest), fakePermissions())
	case "/lnrpc.Lightning/ListPayments":
		return answer(s, new(lnrpc.ListPaymentsRequest), &lnrpc.ListPaymentsResponse{Payments: []*lnrpc.Payment{{PaymentIndex: 7}}})
	case "/lnrpc.Lightning/ListMacaroonIDs":
		return answer(s, new(lnrpc.ListMacaroonIDsRequest), new(lnrpc.ListMacaroonIDsResponse))
	case "/lnrpc.Lightning/CheckMacaroonPermissions":
		return f.checkPermissions(s)
	}
	if len(md["x-forwarded-user-agent"]) == 0 { // the guard's own connection
		<-s.Context().Done()
		return s.Context().Err()
	}
	return f.other(method, s)
}

func answer(s grpc.ServerStream, req, resp proto.Message) error {
	if err := s.RecvMsg(req); err != nil {
		return err
	}
	return s.SendMsg(resp)
}

func (f *fakeLnd) register(s grpc.ServerStream) error {
	stream := &grpc.GenericServerStream[lnrpc.RPCMiddlewareResponse, lnrpc.RPCMiddlewareRequest]{ServerStream: s}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetRegister().GetCustomMacaroonCaveatName() != "account" || first.GetRegister().GetReadOnlyMode() {
		return errors.New("wrong registration")
	}
	f.mu.Lock()
	if f.middleware != nil {
		f.mu.Unlock()
		return errors.New("a middleware with that name is already registered")
	}
	f.middleware = stream
	dropped := f.dropped
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.middleware = nil
	}()
	err = stream.Send(&lnrpc.RPCMiddlewareRequest{InterceptType: &lnrpc.RPCMiddlewareRequest_RegComplete{RegComplete: true}})
	if err != nil {
		return err
	}
	select {
	case <-s.Context().Done():
	case <-dropped:
	}
	return errors.New("middleware dropped")
}

// intercept asks the middleware about a call, as lnd does.
func (f *fakeLnd) intercept(t *testing.T) *lnrpc.RPCMiddlewareResponse {
	t.Helper()
	f.mu.Lock()
	m := f.middleware
	f.mu.Unlock()
	if err := m.Send(&lnrpc.RPCMiddlewareRequest{MsgId: 9}); err != nil {
		t.Fatal(err)
	}
	resp, err := m.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func (f *fakeLnd) checkPermissions(s grpc.ServerStream) error {
	req := new(lnrpc.CheckMacPermRequest)
	if err := s.RecvMsg(req); err != nil {
		return err
	}
	valid := f.check(req.GetMacaroon())
	f.mu.Lock()
	f.checks++
	err := f.checkErr
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if valid != nil {
		return status.Error(codes.InvalidArgument, valid.Error())
	}
	return s.SendMsg(&lnrpc.CheckMacPermResponse{Valid: true})
}

// other notes the call and answers with nothing.
func (f *fakeLnd) other(method string, s grpc.ServerStream) error {
	m := new(emptypb.Empty)
	if err := s.RecvMsg(m); err != nil {
		return err
	}
	f.mu.Lock()
	f.got = append(f.got, method)
	f.messages[method], _ = proto.Marshal(m)
	hang := f.hang
	f.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
	return s.SendMsg(m)
}

// reached returns the methods that were forwarded since it was asked last.
func (f *fakeLnd) reached() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.got
	f.got = nil
	return got
}

// fakePermissions offers the methods of the guard's table and a few others.
func fakePermissions() *lnrpc.ListPermissionsResponse {
	list := func(entity, action string) *lnrpc.MacaroonPermissionList {
		return &lnrpc.MacaroonPermissionList{Permissions: []*lnrpc.MacaroonPermission{{Entity: entity, Action: action}}}
	}
	m := map[string]*lnrpc.MacaroonPermissionList{
		"/lnrpc.Lightning/GetInfo":   list("info", "read"),
		"/future.Service/Pay":        list("offchain", "write"),
		"/future.Service/Look":       list("offchain", "read"),
		"/future.Service/Introduce":  list("peers", "write"),
		"/future.Service/Permission": {},
	}
	for method := range operations {
		m[method] = list("onchain", "write")
	}
	return &lnrpc.ListPermissionsResponse{MethodPermissions: m}
}

// dial connects to the socket as the guard does.
func (f *fakeLnd) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	pem, err := os.ReadFile(f.cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	conn, err := grpc.NewClient("unix://"+f.socket,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "localhost"})),
		grpc.WithPerRPCCredentials(credentialOf(mint(t, 0))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

type credentialOf []byte

func (c credentialOf) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"macaroon": hex.EncodeToString(c)}, nil
}
func (credentialOf) RequireTransportSecurity() bool { return true }

// stand is a guard in a front before a fake lnd.
type stand struct {
	*Guard
	lnd    *fakeLnd
	ledger *account.Ledger
	front  *front.Server
	client *grpc.ClientConn

	serving chan error // what Serve returned
	stop    context.CancelFunc
}

// newStand makes a stand whose guard is not attached yet.
func newStand(t *testing.T, change ...func(*Options)) *stand {
	t.Helper()
	s := &stand{lnd: newFakeLnd(t)}
	var err error
	if s.ledger, err = account.Open(t.Context(), filepath.Join(t.TempDir(), "guard.db"), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.ledger.Close() })
	opts := Options{
		Ledger: s.ledger, Program: "leyden", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		CutOff: func(r front.Refusal, which func(*front.Call) bool) int { return s.front.CutOff(r, which) },
	}
	for _, c := range change {
		c(&opts)
	}
	if s.Guard, err = New(opts); err != nil {
		t.Fatal(err)
	}
	s.openFront(t)
	return s
}

func (s *stand) openFront(t *testing.T) {
	t.Helper()
	certPEM, keyPEM, err := cert.GenCertPair("front", nil, nil, true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.front, err = front.New(front.Options{
		Listeners: []net.Listener{l}, TLS: &tls.Config{Certificates: []tls.Certificate{pair}}, Hook: s.Guard,
		Backend: front.Backend{Socket: s.lnd.socket, TLSCert: s.lnd.cert}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.front.Start()
	s.front.SetReady()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.front.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	s.client, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "localhost"})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.client.Close() })
}

// attachNow attaches the guard and waits until accounts are served.
func (s *stand) attachNow(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.serving = make(chan error, 1)
	access := Access{Conn: s.lnd.dial(t), Macaroon: mint(t, 0), Run: "run"}
	attached := make(chan *attachment, 1)
	go func() { s.serving <- s.Serve(ctx, access, func() { attached <- s.Guard.lnd.Load() }) }()
	t.Cleanup(cancel)
	select {
	case err := <-s.serving:
		t.Fatalf("did not attach: %v", err)
	case a := <-attached:
		select {
		case <-a.reconciled:
		case err := <-s.serving:
			t.Fatalf("was not reconciled: %v", err)
		}
	}
}

// ended waits for Serve to return.
func (s *stand) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.serving:
		return err
	case <-time.After(patience):
		t.Fatal("Serve did not return")
		return nil
	}
}

// call makes a unary call through the front.
func (s *stand) call(t *testing.T, method string, mac []byte, req, resp proto.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if mac != nil {
		ctx = metadata.AppendToOutgoingContext(ctx, "macaroon", hex.EncodeToString(mac))
	}
	return s.client.Invoke(ctx, method, req, resp)
}

// wantReason checks the reason of a refusal; "" means none.
func wantReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	st := status.Convert(err)
	if reason == "" {
		if st.Code() != code {
			t.Errorf("got %v, want code %v", err, code)
		}
		return
	}
	if st.Code() != code || !strings.HasPrefix(st.Message(), "leyden: "+reason+": ") {
		t.Errorf("got %v, want %v %s", err, code, reason)
	}
}
