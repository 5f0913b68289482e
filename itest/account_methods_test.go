package itest

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"gopkg.in/macaroon.v2"

	// The descriptors of all of lnd's services.
	_ "github.com/lightningnetwork/lnd/lnrpc/autopilotrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/chainrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/devrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/neutrinorpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/peersrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/signrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/verrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/watchtowerrpc"
	_ "github.com/lightningnetwork/lnd/lnrpc/wtclientrpc"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/front"
)

// methodTable is what every method of lnd answers to an account's macaroon when
// it is called with an empty message.
const methodTable = "testdata/account_methods.txt"

var update = flag.Bool("update", false, "write "+methodTable+" anew")

const methodTableHead = `# What every method of lnd answers to an account's macaroon. A method that is
# missing here, of a newer lnd, fails the test: write the table anew with
#   go test ./itest -run TestEveryMethod -update
# and judge each line that is new. Requests are empty, but for those of methods
# that only read and need more. Columns: the method; through the front with a
# macaroon made by hand as documented, and with that of "accounts create"; at
# lnd's own port with the admin macaroon and the account's caveat, which the
# front refuses, and with that of "accounts create".
#
# ok: a message came. open: a stream that waits. A refusal of ours has its
# reason, lnd's own its code alone.
`

// TestEveryMethod calls every method there is with account macaroons.
func TestEveryMethod(t *testing.T) {
	w := theWorld(t)
	n := w.buyerNode()
	account, err := shop.NewAccount(t.Context(), w.program("leyden"), n, 1000, filepath.Join(t.TempDir(), "own.macaroon"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := shop.Operate(context.Background(), w.program("leyden"), n, nil, "accounts", "remove", account.ID)
		if err != nil {
			t.Error(err)
		}
	})
	all, byHand := handMade(t, n.AdminMacaroon, account.ID), handMade(t, bake(t, n), account.ID)
	columns := []*grpc.ClientConn{
		dialed(t, n.DialAs, byHand), dialed(t, n.DialAs, account.Macaroon),
		dialed(t, n.DialLnd, all), dialed(t, n.DialLnd, account.Macaroon),
	}
	requests := tellingRequests(t, w)
	golden := readMethodTable(t)

	var table strings.Builder
	table.WriteString(methodTableHead)
	for _, method := range everyMethod(t, n) {
		want, known := golden[method]
		line := []string{method}
		for i, conn := range columns {
			wait := time.Minute
			if *update || known && want[i] == "open" {
				wait = 3 * time.Second
			}
			line = append(line, tryMethod(t, conn, method, requests[method], wait))
		}
		fmt.Fprintln(&table, strings.Join(line, " "))
		switch got := line[1:]; {
		case *update:
		case !known:
			t.Errorf("%s is not in %s; it answers %q", method, methodTable, got)
		case !slices.Equal(got, want):
			t.Errorf("%s answers %q, want %q", method, got, want)
		}
		if atLnd := line[3]; atLnd != "Unknown:account_only_through_guard" && !unasked(method, atLnd) {
			t.Errorf("at lnd's own port %s answers %q", method, atLnd)
		}
		if atLnd := line[4]; atLnd == "ok" || atLnd == "open" {
			t.Errorf("at lnd's own port %s answers an account", method)
		}
	}
	if *update {
		if err := os.WriteFile(methodTable, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// unasked says whether lnd refuses a method without asking the guard's
// middleware, whatever the macaroon: because the wallet is open, this lnd does
// not have it, or lnd knows no permission for it. About the registration of
// middleware no middleware is asked; it takes a macaroon with macaroon:write,
// which an account's has not.
func unasked(method, answer string) bool {
	switch {
	case strings.HasPrefix(method, "/lnrpc.WalletUnlocker/"), method == "/routerrpc.Router/XFindBaseLocalChanAlias",
		method == "/lnrpc.Lightning/RegisterRPCMiddleware":
		return answer == "Unknown"
	}
	return answer == "Unimplemented"
}

// tellingRequests are requests for methods that tell nothing without.
func tellingRequests(t *testing.T, w *world) map[string]proto.Message {
	t.Helper()
	seller := w.sellerNode()
	invoice, err := seller.Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Value: 10})
	if err != nil {
		t.Fatal(err)
	}
	dest, err := hex.DecodeString(seller.Pubkey)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]proto.Message{
		"/lnrpc.Lightning/DecodePayReq":      &lnrpc.PayReqString{PayReq: invoice.PaymentRequest},
		"/lnrpc.Lightning/GetNodeInfo":       &lnrpc.NodeInfoRequest{PubKey: w.buyerNode().Pubkey},
		"/lnrpc.Lightning/QueryRoutes":       &lnrpc.QueryRoutesRequest{PubKey: seller.Pubkey, Amt: 10},
		"/routerrpc.Router/EstimateRouteFee": &routerrpc.RouteFeeRequest{Dest: dest, AmtSat: 10},
	}
}

// everyMethod names the methods that lnd says it offers, and those of its
// services' descriptors.
func everyMethod(t *testing.T, n *devnet.Node) []string {
	t.Helper()
	offered, err := n.Lightning().ListPermissions(t.Context(), &lnrpc.ListPermissionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var methods []string
	for method := range offered.GetMethodPermissions() {
		methods = append(methods, method)
	}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for _, service := range each(file.Services()) {
			switch {
			case file.Package() == "litrpc", file.Package() == "hashmailrpc": // ours, not lnd's
				continue
			case !strings.HasSuffix(string(file.Package()), "rpc"):
				continue
			}
			for _, method := range each(service.Methods()) {
				methods = append(methods, "/"+string(service.FullName())+"/"+string(method.Name()))
			}
		}
		return true
	})
	slices.Sort(methods)
	methods = slices.Compact(methods)
	if len(methods) < 150 {
		t.Fatalf("only %d methods", len(methods))
	}
	return methods
}

// each makes a slice of a protobuf list.
func each[T any](list interface {
	Len() int
	Get(int) T
}) (all []T) {
	for i := range list.Len() {
		all = append(all, list.Get(i))
	}
	return all
}

// handMade adds the account's caveat to a macaroon, as `lncli
// constrainmacaroon` does.
func handMade(t *testing.T, file, id string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := new(macaroon.Macaroon)
	if err := m.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	if err := m.AddFirstPartyCaveat([]byte("lnd-custom account " + id)); err != nil {
		t.Fatal(err)
	}
	made, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "all.macaroon")
	if err := os.WriteFile(path, made, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func dialed(t *testing.T, dial func(string) (*grpc.ClientConn, error), macaroonFile string) *grpc.ClientConn {
	t.Helper()
	conn, err := dial(macaroonFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// tryMethod calls a method and tells what came back: "ok", "open" when nothing
// did, or the code and, of our refusals, the reason.
func tryMethod(t *testing.T, conn *grpc.ClientConn, method string, request proto.Message, wait time.Duration) string {
	t.Helper()
	open, err := callMethod(t, conn, method, request, wait)
	switch {
	case open:
		return "open"
	case err == nil:
		return "ok"
	}
	st := status.Convert(err)
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == front.ErrorDomain {
			return st.Code().String() + ":" + info.GetReason()
		}
	}
	if rest, ok := strings.CutPrefix(afterLast(st.Message(), "leyden: "), "leyden: "); ok {
		reason, _, _ := strings.Cut(rest, ":")
		return st.Code().String() + ":" + reason
	}
	if st.Code() == codes.Unavailable {
		t.Fatalf("%s: %v", method, err)
	}
	return st.Code().String()
}

// callMethod sends one message, empty if there is none, and returns how the
// method answered; open says that it did not, and did not end either.
func callMethod(t *testing.T, conn *grpc.ClientConn, method string, request proto.Message, wait time.Duration) (open bool, err error) {
	t.Helper()
	raw, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method,
		grpc.ForceCodec(rawCodec{}))
	if err == nil {
		err = errors.Join(ended(stream.SendMsg(raw)), stream.CloseSend())
	}
	if err == nil {
		err = ended(stream.RecvMsg(new([]byte)))
	}
	open = err != nil && (ctx.Err() != nil || status.Code(err) == codes.DeadlineExceeded)
	return open, err
}

// afterLast returns text from the last mark on.
func afterLast(text, mark string) string { return text[max(0, strings.LastIndex(text, mark)):] }

// ended is the error of a send or a receive, unless it is io.EOF: of a send the
// next receive has why, and a receive has come to the stream's end.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// rawCodec sends and receives protobuf's wire form as it is.
type rawCodec struct{}

func (rawCodec) Name() string                       { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = slices.Clone(data); return nil }

func readMethodTable(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(methodTable)
	if err != nil && !*update {
		t.Fatal(err)
	}
	table := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 5 && !strings.HasPrefix(line, "#") {
			table[fields[0]] = fields[1:]
		}
	}
	return table
}
