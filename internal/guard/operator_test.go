package guard

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/signrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/front"
	"github.com/leydenln/leyden/internal/until"
)

// journaled returns the journal's entries of the kind, once there are n.
func (s *stand) journaled(t *testing.T, kind string, n int) (list []audit.Record) {
	t.Helper()
	for {
		var err error
		list, err = s.ledger.Journal().List(t.Context(), audit.Query{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) >= n || t.Context().Err() != nil {
			break
		}
	}
	if len(list) != n {
		t.Fatalf("%d entries %q, want %d", len(list), kind, n)
	}
	return list
}

func TestOperatorCallsAreJournaled(t *testing.T) {
	hash := lntypes.Hash{1, 2, 3}
	preimage := lntypes.Preimage{4, 5, 6}
	cases := map[string]struct {
		method string
		req    proto.Message
		result bool
		tells  []string
		hides  []byte
	}{
		"ok/SendCoins": {method: "/lnrpc.Lightning/SendCoins", req: &lnrpc.SendCoinsRequest{Addr: "bcrt1q", Amount: 5000}, result: true, tells: []string{`"address":"bcrt1q"`, `"amount_sat":5000`}},
		"ok/SendMany":  {method: "/lnrpc.Lightning/SendMany", req: &lnrpc.SendManyRequest{AddrToAmount: map[string]int64{"a": 1, "b": 2}}, result: true, tells: []string{`"amount_sat":3`, `"a":1`}},
		"ok/keysend": {method: "/routerrpc.Router/SendPaymentV2", req: &routerrpc.SendPaymentRequest{
			PaymentHash: hash[:], AmtMsat: 12, Dest: []byte{2, 3}, DestCustomRecords: map[uint64][]byte{5482373484: preimage[:]},
		}, result: true, tells: []string{`"hash":"` + hash.String() + `"`, `"amount_msat":12`, `"destination":"0203"`}, hides: preimage[:]},
		"ok/SettleInvoice": {method: "/invoicesrpc.Invoices/SettleInvoice", req: &invoicesrpc.SettleInvoiceMsg{Preimage: preimage[:]}, tells: []string{preimage.Hash().String()}, hides: preimage[:]},
		"ok/AddInvoice":    {method: "/lnrpc.Lightning/AddInvoice", req: &lnrpc.Invoice{Value: 7, RPreimage: preimage[:]}, tells: []string{`"amount_sat":7`}, hides: preimage[:]},
		"ok/BakeMacaroon": {method: "/lnrpc.Lightning/BakeMacaroon", req: &lnrpc.BakeMacaroonRequest{
			RootKeyId: 5, Permissions: []*lnrpc.MacaroonPermission{{Entity: "onchain", Action: "write"}},
		}, result: true, tells: []string{`"root_key_id":"5"`, "onchain:write"}},
		"ok/CloseChannel": {method: "/lnrpc.Lightning/CloseChannel", req: &lnrpc.CloseChannelRequest{ChannelPoint: &lnrpc.ChannelPoint{
			FundingTxid: &lnrpc.ChannelPoint_FundingTxidBytes{FundingTxidBytes: []byte{1, 2}}, OutputIndex: 3,
		}}, result: true, tells: []string{`"channel":"0201:3"`}},
		"ok/not in the table": {method: "/future.Service/Introduce", req: new(emptypb.Empty)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.attachNow(t)
			mac := mint(t, 0)
			if err := s.call(t, c.method, mac, c.req, new(emptypb.Empty)); err != nil {
				t.Fatal(err)
			}
			if got := s.lnd.reached(); !slices.Equal(got, []string{c.method}) {
				t.Errorf("lnd got %v", got)
			}
			entry := s.journaled(t, "operator.call", 1)[0]
			text, err := json.Marshal(entry)
			if err != nil {
				t.Fatal(err)
			}
			for _, tell := range append(c.tells, c.method, "127.0.0.1") {
				if !strings.Contains(strings.ReplaceAll(string(text), `\"`, `"`), tell) {
					t.Errorf("%s does not tell %s", text, tell)
				}
			}
			for _, secret := range [][]byte{c.hides, mac} {
				if len(secret) > 0 && strings.Contains(string(text), hex.EncodeToString(secret)) {
					t.Errorf("%s tells a secret", text)
				}
			}
			if c.result {
				s.journaled(t, "operator.result", 1)
			} else {
				s.journaled(t, "operator.result", 0)
			}
		})
	}
}

func TestOperatorReadsAreNot(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	for _, method := range []string{infoMethod, "/future.Service/Look", "/invoicesrpc.Invoices/LookupInvoiceV2"} {
		if err := s.call(t, method, mint(t, 0), new(emptypb.Empty), new(emptypb.Empty)); err != nil {
			t.Error(err)
		}
	}
	s.journaled(t, "operator.call", 0)
	if s.lnd.checks != 3 {
		t.Errorf("lnd verified %d of 3 reads before anything was read of them", s.lnd.checks)
	}
}

func TestStrangersDoNotReachTheJournal(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	s.lnd.mu.Lock()
	s.lnd.deleted[5] = true
	s.lnd.mu.Unlock()
	for name, mac := range map[string][]byte{
		"revoked": mint(t, 5), "forged": forge(t, mint(t, 0, "time-before 1"), "time-before 1", "time-before 9"),
		"none": nil, "nonsense": []byte("x"),
	} {
		t.Log(name)
		wantReason(t, s.call(t, "/lnrpc.Lightning/SendCoins", mac, new(lnrpc.SendCoinsRequest), new(emptypb.Empty)), codes.Unknown, "")
	}
	wantReason(t, s.call(t, "/nobody.Knows/It", mint(t, 0), new(emptypb.Empty), new(emptypb.Empty)), codes.Unimplemented, "unknown_method")
	s.journaled(t, "operator.call", 0)
	if s.lnd.checks != 2 {
		t.Errorf("lnd was asked about %d macaroons, want the revoked and the forged one", s.lnd.checks)
	}
	if got := s.lnd.reached(); len(got) > 0 {
		t.Errorf("lnd got %v", got)
	}
}

// TestRevokedWhileOpen: a stream that was opened in time does not keep a revoked
// macaroon's power, whether that was revoked here or at lnd's own port.
func TestRevokedWhileOpen(t *testing.T) {
	const pay, read, end = "/routerrpc.Router/SendPaymentV2", "/future.Service/Look", "/lnrpc.Lightning/DeleteMacaroonID"
	open := func(t *testing.T, s *stand, method string, rootKeyID uint64) grpc.ClientStream {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		ctx = metadata.AppendToOutgoingContext(ctx, "macaroon", hex.EncodeToString(mint(t, rootKeyID)))
		stream, err := s.client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	asks := func(t *testing.T, stream grpc.ClientStream) error {
		t.Helper()
		if err := stream.SendMsg(new(routerrpc.SendPaymentRequest)); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		return stream.RecvMsg(new(emptypb.Empty))
	}
	t.Run("here", func(t *testing.T) {
		s := newStand(t)
		s.attachNow(t)
		paying, reading, other := open(t, s, pay, 5), open(t, s, read, 5), open(t, s, pay, 6)
		s.awaitCalls(t, 3)
		if err := s.call(t, end, mint(t, 0), &lnrpc.DeleteMacaroonIDRequest{RootKeyId: 5}, new(emptypb.Empty)); err != nil {
			t.Fatal(err)
		}
		for _, stream := range []grpc.ClientStream{paying, reading} {
			wantReason(t, stream.RecvMsg(new(emptypb.Empty)), codes.PermissionDenied, "macaroon_revoked")
		}
		if err := asks(t, other); err != nil {
			t.Errorf("another macaroon: %v", err)
		}
		if got := s.lnd.reached(); !slices.Equal(got, []string{end, pay}) {
			t.Errorf("lnd got %v", got)
		}
	})
	t.Run("at lnd's own port", func(t *testing.T) {
		s := newStand(t)
		s.attachNow(t)
		paying := open(t, s, pay, 5)
		s.awaitCalls(t, 1)
		s.lnd.mu.Lock()
		s.lnd.deleted[5] = true
		s.lnd.mu.Unlock()
		s.forget(account.ID{}) // as after ten seconds
		wantReason(t, asks(t, paying), codes.Unknown, "")
		if got := s.lnd.reached(); len(got) > 0 {
			t.Errorf("lnd got %v", got)
		}
	})
}

// awaitCalls waits until lnd has been asked about that many calls' macaroons.
func (s *stand) awaitCalls(t *testing.T, n int) {
	t.Helper()
	until.True(t, "the calls to be open", func() bool {
		s.lnd.mu.Lock()
		defer s.lnd.mu.Unlock()
		return s.lnd.checks == n
	})
}

func TestMalformedMoneyIsRefused(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	bad := new(emptypb.Empty)
	bad.ProtoReflect().SetUnknown([]byte{10, 2, 0xff, 0xfe}) // an address that is not UTF-8
	wantReason(t, s.call(t, "/lnrpc.Lightning/SendCoins", mint(t, 0), bad, new(emptypb.Empty)), codes.InvalidArgument, "bad_request")
	s.journaled(t, "operator.call", 0)
}

// reserve opens a payment of an account.
func (s *stand) reserve(t *testing.T, a account.Account, hash lntypes.Hash) account.Payment {
	t.Helper()
	p, err := s.ledger.Reserve(t.Context(), operator, account.Spend{Account: a.ID, Hash: hash, Amount: 1000, Run: "run"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOperatorKeepsOffOpenPayments(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	hash, free := lntypes.Hash{1}, lntypes.Hash{2}
	p := s.reserve(t, s.newAccount(t, "agent"), hash)
	send := func(h lntypes.Hash) proto.Message {
		return &routerrpc.SendPaymentRequest{PaymentHash: h[:], AmtMsat: 1, Dest: []byte{2}}
	}
	const pay, route = "/routerrpc.Router/SendPaymentV2", "/routerrpc.Router/SendToRouteV2"
	const del, delAll = "/lnrpc.Lightning/DeletePayment", "/lnrpc.Lightning/DeleteAllPayments"
	try := func(method string, req proto.Message) error {
		return s.call(t, method, mint(t, 0), req, new(emptypb.Empty))
	}
	for method, req := range map[string]proto.Message{
		pay: send(hash), route: &routerrpc.SendToRouteRequest{PaymentHash: hash[:]},
		del: &lnrpc.DeletePaymentRequest{PaymentHash: hash[:]}, delAll: new(lnrpc.DeleteAllPaymentsRequest),
	} {
		wantReason(t, try(method, req), codes.AlreadyExists, "payment_in_flight")
	}
	if got := s.lnd.reached(); len(got) > 0 {
		t.Fatalf("lnd got %v", got)
	}
	if err := try(pay, send(free)); err != nil {
		t.Error(err)
	}
	if err := try(del, &lnrpc.DeletePaymentRequest{PaymentHash: free[:]}); err != nil {
		t.Error(err)
	}
	if _, err := s.ledger.Release(t.Context(), p.ID, account.StateFailed, account.Outcome{Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	for method, req := range map[string]proto.Message{pay: send(hash), delAll: new(lnrpc.DeleteAllPaymentsRequest)} {
		if err := try(method, req); err != nil {
			t.Error(err)
		}
	}
	until.True(t, "lnd to end its payments", func() bool { return !s.operatorPaying(hash) && !s.operatorPaying(free) })
}

func TestOperatorPayingLastsAsLongAsLnd(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	s.lnd.hang = make(chan struct{})
	hash := lntypes.Hash{3}
	ctx, hangUp := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "macaroon", hex.EncodeToString(mint(t, 0))))
	defer hangUp()
	stream, err := s.client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/routerrpc.Router/SendPaymentV2")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&routerrpc.SendPaymentRequest{PaymentHash: hash[:]}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	until.True(t, "the call to reach lnd", func() bool { return len(s.lnd.reached()) == 1 })
	if !s.operatorPaying(hash) {
		t.Error("not claimed")
	}
	hangUp()
	s.journaled(t, "operator.result", 1) // its call is over
	if !s.operatorPaying(hash) {
		t.Error("given back while lnd may be paying") // the fake's TrackPaymentV2 never ends
	}
	s.stop()
	_ = s.ended(t)
	until.True(t, "lnd to end its payment", func() bool { return !s.operatorPaying(hash) })
}

func TestFreeze(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	a := s.newAccount(t, "agent")
	p := s.reserve(t, a, lntypes.Hash{1})
	inFlight, err := s.Freeze(t.Context(), operator, nil, true)
	if err != nil || len(inFlight) != 1 || inFlight[0].ID != p.ID {
		t.Fatalf("in flight %+v, %v", inFlight, err)
	}
	refused := map[string]proto.Message{
		"/lnrpc.Lightning/SendCoins":      &lnrpc.SendCoinsRequest{Amount: 1},
		"/lnrpc.Lightning/CloseChannel":   new(lnrpc.CloseChannelRequest),
		"/routerrpc.Router/SendPaymentV2": new(routerrpc.SendPaymentRequest),
		"/walletrpc.WalletKit/SignPsbt":   new(emptypb.Empty),
		"/future.Service/Pay":             new(emptypb.Empty),
		"/future.Service/Permission":      new(emptypb.Empty),
	}
	allowed := map[string]proto.Message{
		"/lnrpc.Lightning/CloseChannel": &lnrpc.CloseChannelRequest{Force: true},
		"/lnrpc.Lightning/AddInvoice":   &lnrpc.Invoice{Value: 1},
		"/lnrpc.Lightning/BakeMacaroon": new(lnrpc.BakeMacaroonRequest),
		"/future.Service/Introduce":     new(emptypb.Empty),
		"/future.Service/Look":          new(emptypb.Empty),
		infoMethod:                      new(emptypb.Empty),
	}
	for method, req := range refused {
		err := s.call(t, method, mint(t, 0), req, new(emptypb.Empty))
		wantReason(t, err, codes.PermissionDenied, "frozen")
		if !strings.Contains(err.Error(), "leyden thaw --all") {
			t.Errorf("no hint in %v", err)
		}
	}
	if got := s.lnd.reached(); len(got) > 0 {
		t.Errorf("lnd got %v", got)
	}
	for _, r := range s.journaled(t, "operator.deny", len(refused)) {
		if !strings.Contains(r.Detail, `"reason":"frozen"`) {
			t.Errorf("journalled: %+v", r)
		}
	}
	for method, req := range allowed {
		if err := s.call(t, method, mint(t, 0), req, new(emptypb.Empty)); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	again, err := New(s.opts)
	if err != nil || !again.frozen.Load() {
		t.Errorf("another guard on the ledger: frozen %v, %v", err == nil && again.frozen.Load(), err)
	}
	if _, err := s.Freeze(t.Context(), operator, nil, false); err != nil {
		t.Fatal(err)
	}
	for method, req := range refused {
		if err := s.call(t, method, mint(t, 0), req, new(emptypb.Empty)); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestFreezeCutsWhatIsOpen(t *testing.T) {
	s := newStand(t)
	s.attachNow(t)
	a := s.newAccount(t, "agent")
	const pay = "/routerrpc.Router/SendPaymentV2"
	open := func(mac []byte, method string) grpc.ClientStream {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "macaroon", hex.EncodeToString(mac))
		stream, err := s.client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	entered := make(chan struct{}, 2)
	wait := rule(func(ctx context.Context, _ *accountCall, _ *front.Stream) error {
		entered <- struct{}{}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	s.rules[pay], s.rules[ownRule] = wait, wait
	early := open(mint(t, 0), pay)
	agents := open(mint(t, a.RootKeyID(), caveatOf(a)), pay)
	reading := open(mint(t, a.RootKeyID(), caveatOf(a)), ownRule)
	<-entered
	<-entered
	if _, err := s.Freeze(t.Context(), operator, &a.ID, true); err != nil {
		t.Fatal(err)
	}
	wantReason(t, agents.RecvMsg(new(emptypb.Empty)), codes.PermissionDenied, "frozen")
	if _, err := s.Freeze(t.Context(), operator, nil, true); err != nil {
		t.Fatal(err)
	}
	_ = early.SendMsg(&routerrpc.SendPaymentRequest{PaymentHash: make([]byte, 32)})
	wantReason(t, early.RecvMsg(new(emptypb.Empty)), codes.PermissionDenied, "frozen")
	if got := s.lnd.reached(); len(got) > 0 {
		t.Errorf("lnd got %v", got)
	}
	if reading.Context().Err() != nil {
		t.Error("a call that only reads was cut")
	}
}

// TestOperationsExist finds methods of the table that lnd never had.
func TestOperationsExist(t *testing.T) {
	linked := 0
	for method := range operations {
		service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
		if err != nil {
			continue // of a part of lnd that is not linked here
		}
		linked++
		if d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name)) == nil {
			t.Errorf("lnd has no method %s", method)
		}
	}
	if linked < 50 {
		t.Errorf("only %d methods looked up", linked)
	}
}

// FuzzOperatorRequests checks that no request brings a decoder down.
func FuzzOperatorRequests(f *testing.F) {
	seed := func(m proto.Message) {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	seed(&routerrpc.SendPaymentRequest{PaymentHash: make([]byte, 32), PaymentRequest: "lnbcrt1"})
	seed(&lnrpc.CloseChannelRequest{ChannelPoint: &lnrpc.ChannelPoint{}, Force: true})
	seed(&lnrpc.SendManyRequest{AddrToAmount: map[string]int64{"a": 1}})
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for method, op := range operations {
			if op.decode == nil {
				continue
			}
			r, err := op.decode(&chaincfg.RegressionNetParams, raw)
			if err != nil {
				continue
			}
			if text, err := json.Marshal(r.detail); err != nil || len(text) > 64<<10 {
				t.Errorf("%s: details of %d bytes, %v", method, len(text), err)
			}
		}
	})
}
