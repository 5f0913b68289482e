package itest

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite"
)

// The tests of this file are a thief's: they hold an account's macaroon and
// write their requests byte by byte.

const sendMethod = "/routerrpc.Router/SendPaymentV2"

// raw opens a call whose messages are sent as they are.
func raw(t *testing.T, conn *grpc.ClientConn, method string, opts ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method,
		append(opts, grpc.ForceCodec(rawCodec{}))...)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// thief is an account of 1,000 sat, and its payer.
func (w *world) thief(t *testing.T) (*tenant, *payer) {
	t.Helper()
	a := w.tenant(t)
	conn := a.as(t, constrained(t, a.Macaroon))
	return a, &payer{w, a.ID, lnrpc.NewLightningClient(conn), routerrpc.NewRouterClient(conn)}
}

// database opens the guard's, behind its back.
func (a *tenant) database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(a.node.Home().Guard(), "guard.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestAttackMacaroonHeaders: whatever way macaroons are sent, nobody gets more
// than the account, and of two nobody chooses.
func TestAttackMacaroonHeaders(t *testing.T) {
	w := theWorld(t)
	a, _ := w.thief(t)
	own, err := os.ReadFile(a.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	mine := hex.EncodeToString(own)
	forged := hex.EncodeToString(withoutCaveats(t, a.Macaroon))
	anonymous, err := grpc.NewClient(a.node.RPC, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})))
	if err != nil {
		t.Fatal(err)
	}
	defer anonymous.Close()
	for name, c := range map[string]struct {
		header []string
		want   string
	}{
		"ok/once":             {[]string{"macaroon", mine}, "account"},
		"ok/upper case hex":   {[]string{"macaroon", strings.ToUpper(mine)}, "account"},
		"ok/upper case name":  {[]string{"Macaroon", mine}, "account"},
		"fail/none":           {nil, "Unknown"},
		"fail/twice":          {[]string{"macaroon", mine, "macaroon", mine}, "Unknown"},
		"fail/twice in case":  {[]string{"macaroon", mine, "MACAROON", mine}, "Unknown"},
		"fail/with a forged":  {[]string{"macaroon", mine, "macaroon", forged}, "Unknown"},
		"fail/after a forged": {[]string{"macaroon", forged, "macaroon", mine}, "Unknown"},
		"fail/comma":          {[]string{"macaroon", mine + "," + mine}, "Unknown"},
		"fail/space":          {[]string{"macaroon", " " + mine[:len(mine)-1]}, "Unknown"},
		"fail/binary":         {[]string{"macaroon-bin", string(own)}, "Unknown"},
		"fail/empty":          {[]string{"macaroon", ""}, "Unknown"},
		"fail/forwarded":      {[]string{"macaroon", forged, "x-forwarded-for", "127.0.0.1", "x-forwarded-user-agent", "lnd"}, "Unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(t.Context(), c.header...)
			if got := look(ctx, anonymous); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}

	t.Run("REST", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		for name, c := range map[string]struct {
			path   string
			header http.Header
			ok     bool
		}{
			"ok/once":           {"/v1/getinfo", http.Header{"Grpc-Metadata-Macaroon": {mine}}, true},
			"ok/lower case":     {"/v1/getinfo", http.Header{"grpc-metadata-macaroon": {mine}}, true},
			"fail/twice":        {"/v1/getinfo", http.Header{"Grpc-Metadata-Macaroon": {mine, forged}}, false},
			"fail/in two cases": {"/v1/getinfo", http.Header{"grpc-metadata-macaroon": {mine}, "Grpc-Metadata-Macaroon": {forged}}, false},
			"fail/query":        {"/v1/getinfo?macaroon=" + mine, nil, false},
			"fail/query header": {"/v1/getinfo?Grpc-Metadata-macaroon=" + mine, nil, false},
			"fail/cookie":       {"/v1/getinfo", http.Header{"Cookie": {"macaroon=" + mine}}, false},
			"fail/plain header": {"/v1/getinfo", http.Header{"Macaroon": {mine}}, false},
			"fail/other path":   {"//v1/getinfo", http.Header{"Grpc-Metadata-Macaroon": {forged}}, false},
		} {
			t.Run(name, func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+a.node.REST+c.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = c.header
				if req.Header == nil {
					req.Header = http.Header{}
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				var info map[string]any
				_ = json.NewDecoder(resp.Body).Decode(&info)
				if got := resp.StatusCode == 200; got != c.ok || got && info["num_active_channels"] != 0.0 {
					t.Errorf("%d: %v", resp.StatusCode, info)
				}
			})
		}
	})
}

// keysend is a payment of msat to the seller, as fields on the wire.
func keysend(t *testing.T, w *world, msat int64) (msg []byte, hash lntypes.Hash) {
	t.Helper()
	preimage, hash := newSecret()
	msg, err := proto.Marshal(&routerrpc.SendPaymentRequest{
		Dest: pub(t, w, true), PaymentHash: hash[:], AmtMsat: msat, FinalCltvDelta: 40, TimeoutSeconds: 30, FeeLimitSat: 1,
		DestCustomRecords: map[uint64][]byte{5482373484: preimage[:]},
	})
	if err != nil {
		t.Fatal(err)
	}
	return msg, hash
}

// TestAttackWire: what the guard judged is what lnd pays, however it is encoded.
func TestAttackWire(t *testing.T) {
	w := theWorld(t)
	a, p := w.thief(t)
	defer p.check(t)
	conn := a.as(t, constrained(t, a.Macaroon))
	const amtMsat, futureField = 12, 9000
	varint := func(field protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v)
	}
	// 5,000 in ten bytes, where two are enough.
	overlong := append(protowire.AppendTag(nil, amtMsat, protowire.VarintType), 0x88, 0xa7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00)
	group := append(protowire.AppendTag(nil, futureField, protowire.StartGroupType),
		append(varint(1, 1), protowire.AppendTag(nil, futureField, protowire.EndGroupType)...)...)
	for name, c := range map[string]struct {
		more   []byte
		want   int64 // msat that lnd is asked for; 0: refused
		reason string
	}{
		"ok/the last amount counts": {varint(amtMsat, 7000), 7000, ""},
		"ok/overlong varint":        {overlong, 5000, ""},
		"fail/last one is too much": {varint(amtMsat, 1_000_001), 0, "balance"},
		"fail/last one is negative": {varint(amtMsat, math.MaxUint64), 0, "bad_request"},
		"fail/also in sat":          {varint(2, 3), 0, "bad_request"},
		"fail/future field":         {varint(futureField, 1), 0, "bad_request"},
		"fail/group":                {group, 0, "bad_request"},
		"fail/wrong wire type":      {protowire.AppendBytes(protowire.AppendTag(nil, amtMsat, protowire.BytesType), []byte{1}), 0, "bad_request"},
		"fail/cut off":              {[]byte{0x60}, 0, "bad_request"},
		"fail/amp at the end":       {varint(22, 1), 0, "amp_unsupported"},
		"fail/all of amount_sat":    {varint(2, 1<<63), 0, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			before := p.balance(t)
			msg, hash := keysend(t, w, 3000)
			stream := raw(t, conn, sendMethod)
			if err := stream.SendMsg(append(msg, c.more...)); err != nil {
				t.Fatal(err)
			}
			var last []byte
			err := stream.RecvMsg(&last)
			for err == nil {
				err = stream.RecvMsg(&last)
			}
			atLnd := lndsPayment(t, a, hash)
			if c.want == 0 {
				if !strings.Contains(err.Error(), c.reason) || atLnd != nil || p.balance(t) != before {
					t.Errorf("%v; lnd has %v, balance %d", err, atLnd, p.balance(t))
				}
				return
			}
			if atLnd.GetValueMsat() != c.want {
				t.Fatalf("lnd was asked for %d msat, want %d (%v)", atLnd.GetValueMsat(), c.want, err)
			}
			paid := uint64(0)
			if atLnd.Status == lnrpc.Payment_SUCCEEDED {
				paid = uint64(atLnd.ValueMsat + atLnd.FeeMsat)
			}
			if got := before - p.balance(t); got != paid {
				t.Errorf("charged %d msat for %d", got, paid)
			}
		})
	}
}

// lndsPayment is what lnd itself has under the hash, nil: nothing.
func lndsPayment(t *testing.T, a *tenant, hash lntypes.Hash) *lnrpc.Payment {
	t.Helper()
	all, err := a.node.Lightning().ListPayments(t.Context(), &lnrpc.ListPaymentsRequest{
		IncludeIncomplete: true, Reversed: true, MaxPayments: 50,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Payments {
		if p.PaymentHash == hash.String() {
			return p
		}
	}
	return nil
}

// TestAttackMessages: of a method that takes one message the first counts alone,
// and huge ones are refused, compressed or not.
func TestAttackMessages(t *testing.T) {
	w := theWorld(t)
	a, p := w.thief(t)
	defer p.check(t)
	conn := a.as(t, constrained(t, a.Macaroon))
	first, firstHash := keysend(t, w, 2000)
	second, secondHash := keysend(t, w, 900_000)
	stream := raw(t, conn, sendMethod)
	for _, msg := range [][]byte{first, second} {
		if err := stream.SendMsg(msg); err != nil {
			t.Fatal(err)
		}
	}
	var last []byte
	var err error
	for err == nil {
		err = stream.RecvMsg(&last)
	}
	if lndsPayment(t, a, firstHash) == nil || lndsPayment(t, a, secondHash) != nil {
		t.Errorf("the first message was not paid, or the second was: %v", err)
	}
	bomb := protowire.AppendTag(nil, 9, protowire.BytesType) // payment_request
	bomb = protowire.AppendBytes(bomb, bytes.Repeat([]byte{'0'}, 100<<20))
	for name, opts := range map[string][]grpc.CallOption{
		"plain": {grpc.MaxCallSendMsgSize(math.MaxInt32)}, "gzip": {grpc.MaxCallSendMsgSize(math.MaxInt32), grpc.UseCompressor(gzip.Name)},
	} {
		stream := raw(t, conn, sendMethod, opts...)
		if err := ended(stream.SendMsg(bomb)); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&last); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := look(t.Context(), conn); got != "account" {
		t.Errorf("afterwards: %q", got)
	}
}

// TestAttackFloods: a thief cannot keep others from the node, nor fill the
// journal with what is denied.
func TestAttackFloods(t *testing.T) {
	w := theWorld(t)
	a, p := w.thief(t)
	_, other := w.thief(t)
	conn := a.as(t, constrained(t, a.Macaroon))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const many = 600
	refused := make(chan error, many)
	for i := range many {
		method, msg := "/lnrpc.Lightning/SubscribeInvoices", proto.Message(new(lnrpc.InvoiceSubscription))
		switch i % 3 {
		case 1:
			method, msg = "/routerrpc.Router/TrackPayments", new(routerrpc.TrackPaymentsRequest)
		case 2:
			method, msg = "/invoicesrpc.Invoices/SubscribeSingleInvoice", &invoicesrpc.SubscribeSingleInvoiceRequest{RHash: make([]byte, 32)}
		}
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		if err := ended(stream.SendMsg(msg)); err != nil {
			t.Fatal(err)
		}
		go func() { refused <- stream.RecvMsg(new(lnrpc.Invoice)) }()
	}
	for range many - 256 {
		expectReason(t, <-refused, codes.ResourceExhausted, "too_many_calls")
	}
	if _, err := other.ListInvoices(t.Context(), &lnrpc.ListInvoiceRequest{NumMaxInvoices: math.MaxUint64, IndexOffset: math.MaxUint64}); err != nil {
		t.Error(err)
	}
	if _, err := other.ListPayments(t.Context(), &lnrpc.ListPaymentsRequest{MaxPayments: math.MaxUint64, IndexOffset: math.MaxUint64, Reversed: true}); err != nil {
		t.Error(err)
	}
	cancel()
	await(t, "the thief's own turn", func() bool { return look(t.Context(), conn) == "account" })

	db := a.database(t)
	entries := func() (n int) {
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM journal").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	logged := func() int64 {
		info, err := os.Stat(filepath.Join(string(a.node.Home()), "node.log"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	log := logged()
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		_, _ = p.ListInvoices(ctx, new(lnrpc.ListInvoiceRequest))
		_, _ = p.ListPayments(ctx, new(lnrpc.ListPaymentsRequest))
		_, _ = p.AddInvoice(ctx, &lnrpc.Invoice{Value: -1})
		cancel()
		for _, method := range []string{sendMethod, "/lnrpc.Lightning/LookupInvoice", "/lnrpc.Lightning/ListPayments"} {
			stream := raw(t, conn, method)
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(new([]byte)); status.Code(err) != codes.InvalidArgument {
				t.Fatalf("%s without a request: %v", method, err)
			}
		}
	}
	if more := logged() - log; more > 10_000 {
		t.Errorf("1200 calls that make no sense added %d bytes to the log", more)
	}

	before := entries()
	for range 300 {
		_, err := p.send(t.Context(), &routerrpc.SendPaymentRequest{
			Dest: pub(t, w, true), AmtMsat: 2_000_000, PaymentHash: bytes.Repeat([]byte{7}, 32), FinalCltvDelta: 40,
		})
		expectReason(t, err, codes.ResourceExhausted, "balance")
	}
	if more := entries() - before; more > 3 {
		t.Errorf("300 denials made %d entries", more)
	}
}

// TestAttackParts: a payment takes no more HTLCs than lncli would, and the other
// way to send several meets the same bound.
func TestAttackParts(t *testing.T) {
	w := theWorld(t)
	_, p := w.thief(t)
	defer p.check(t)
	request, preimage := w.holdInvoice(t, 160)
	stream, err := p.router.SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{
		PaymentRequest: request, TimeoutSeconds: 30, MaxParts: 1000, MaxShardSizeMsat: 10_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	w.awaitHeld(t, []lntypes.Preimage{preimage})
	w.settle(t, preimage)
	last := &lnrpc.Payment{}
	for err == nil {
		var state *lnrpc.Payment
		if state, err = stream.Recv(); err == nil {
			last = state
		}
	}
	if last.Status != lnrpc.Payment_SUCCEEDED || len(last.Htlcs) != 16 {
		t.Errorf("%s in %d parts: %v", last.Status, len(last.Htlcs), err)
	}
	_, err = p.send(t.Context(), &routerrpc.SendPaymentRequest{
		PaymentRequest: newInvoice(t, w.sellerNode(), 320), TimeoutSeconds: 10, MaxParts: 1000, MaxShardSizeMsat: 10_000,
	})
	if err == nil || !strings.Contains(err.Error(), "max_parts=16") {
		t.Errorf("in 32 parts: %v", err)
	}
	if got := p.balance(t); got != 1_000_000-160_000 {
		t.Errorf("balance %d msat", got)
	}
}

// TestAttackREST: bodies, queries and WebSockets reach the same rules.
func TestAttackREST(t *testing.T) {
	w := theWorld(t)
	a, p := w.thief(t)
	defer p.check(t)
	w.pay(t, 11) // the operator's
	theirs, err := a.node.Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Value: 12})
	if err != nil {
		t.Fatal(err)
	}
	rawMac, err := os.ReadFile(a.Macaroon)
	if err != nil {
		t.Fatal(err)
	}
	mac := hex.EncodeToString(rawMac)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	call := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+a.node.REST+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Grpc-Metadata-macaroon", mac)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(text), `": `, `":`)
	}
	for name, c := range map[string]struct{ method, path, body, want, never string }{
		"payments":              {"GET", "/v1/payments?include_incomplete=true&max_payments=18446744073709551615", "", `"payments":[]`, ""},
		"invoices":              {"GET", "/v1/invoices?num_max_invoices=18446744073709551615&reversed=true", "", `"invoices":[]`, ""},
		"another's invoice":     {"GET", "/v1/invoice/" + hex.EncodeToString(theirs.RHash), "", "unable to locate invoice", theirs.PaymentRequest},
		"by payment address":    {"GET", "/v2/invoices/lookup?payment_addr=" + base64.URLEncoding.EncodeToString(theirs.PaymentAddr), "", "unable to locate invoice", theirs.PaymentRequest},
		"channels":              {"GET", "/v1/channels?active_only=false", "", `"channels":[]`, "chan_id"},
		"cancel another's":      {"POST", "/v2/invoices/cancel", `{"payment_hash":"` + base64.URLEncoding.EncodeToString(theirs.RHash) + `"}`, "unable to locate invoice", ""},
		"query beside the body": {"POST", "/v2/router/send?amt=5&amt_msat=7", `{"dest":"` + base64.URLEncoding.EncodeToString(pub(t, w, true)) + `","amt":"2000"}`, "bad_request", ""},
		"names of both kinds":   {"POST", "/v2/router/send", `{"amtMsat":"1000","amt_msat":"900000"}`, "code", `"status":"SUCCEEDED"`},
		"unknown name":          {"POST", "/v2/router/send", `{"outgoing_chan_ids":["1"],"amt":"1"}`, "bad_request", ""},
		"middleware":            {"POST", "/v1/middleware", `{}`, "method_blocked", ""},
		"delete payments":       {"DELETE", "/v1/payments?all_payments=true", "", "method_denied", ""},
		"method override":       {"POST", "/v1/getinfo", `{}`, "", "num_active_channels"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(c.method, c.path, c.body)
			if !strings.Contains(got, c.want) || c.never != "" && strings.Contains(got, c.never) {
				t.Errorf("answers %s", got)
			}
		})
	}
	t.Run("WebSocket", func(t *testing.T) {
		dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: time.Minute}
		ws, resp, err := dialer.DialContext(t.Context(), "wss://"+a.node.REST+"/v1/invoices/subscribe?method=GET",
			http.Header{"Sec-Websocket-Protocol": {"Grpc-Metadata-Macaroon+" + mac}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer ws.Close()
		if err := ws.WriteMessage(websocket.TextMessage, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
		// When the subscription has begun cannot be seen: own invoices are made until
		// one is told of, and one of the operator's before each.
		told := make(chan string, 1)
		go func() {
			_, msg, err := ws.ReadMessage()
			if err != nil {
				msg = []byte(err.Error())
			}
			told <- string(msg)
		}()
		await(t, "news over the WebSocket", func() bool {
			if _, err := a.node.Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Memo: "theirs", Value: 1}); err != nil {
				t.Error(err)
			}
			if _, err := p.AddInvoice(t.Context(), &lnrpc.Invoice{Memo: "mine", Value: 1}); err != nil {
				t.Error(err)
			}
			select {
			case msg := <-told:
				if !strings.Contains(msg, "mine") || strings.Contains(msg, "theirs") {
					t.Errorf("told %s", msg)
				}
				return true
			default:
				return false
			}
		})
	})
	if got := p.balance(t); got != 1_000_000 {
		t.Errorf("balance %d msat", got)
	}
}

// TestAttackLedgerLocked: while the guard's database cannot be written nothing is
// paid and nothing operators do goes unwritten; what is in flight is settled
// when it can.
func TestAttackLedgerLocked(t *testing.T) {
	w := theWorld(t)
	a, p := w.thief(t)
	defer p.check(t)
	request, preimage := w.holdInvoice(t, 100)
	stream, err := p.router.SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: request, TimeoutSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	w.awaitHeld(t, []lntypes.Preimage{preimage})
	expect := w.payments(t)

	lock, err := a.database(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(t.Context(), "PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	unlock := func() { _, _ = lock.ExecContext(context.Background(), "ROLLBACK") }
	defer unlock()

	_, err = p.send(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: newInvoice(t, w.sellerNode(), 10)})
	expectReason(t, err, codes.Unavailable, "ledger_unavailable")
	_, err = p.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 1})
	expectReason(t, err, codes.Unavailable, "ledger_unavailable")
	_, err = a.node.Lightning().SendCoins(t.Context(), &lnrpc.SendCoinsRequest{Addr: "bcrt1q", Amount: 1000})
	expectReason(t, err, codes.Unavailable, "ledger_unavailable")
	if got := p.balance(t); got != 900_000 {
		t.Errorf("available %d msat", got)
	}
	w.settle(t, preimage)
	unlock()
	await(t, "the outcome", func() bool {
		list, err := p.ListPayments(t.Context(), new(lnrpc.ListPaymentsRequest), grpc.WaitForReady(true))
		return err == nil && len(list.Payments) == 1
	})
	if got := p.balance(t); got != 900_000 {
		t.Errorf("balance %d msat", got)
	}
	expect(1)
}
