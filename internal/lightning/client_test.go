package lightning_test

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/cert"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/rpc/lndwire"
)

// fakeNode answers every method with answer; real nodes are in itest.
type fakeNode struct {
	addr, certPath, macPath string
	answer                  func(method string, md metadata.MD, s grpc.ServerStream) error
}

func newFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	certPEM, keyPEM, err := cert.GenCertPair("test", nil, nil, true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n := &fakeNode{certPath: filepath.Join(dir, "tls.cert"), macPath: filepath.Join(dir, "m.macaroon")}
	for path, data := range map[string][]byte{n.certPath: certPEM, n.macPath: []byte("macaroon")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = lis.Addr().String()
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&pair)),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(s)
			md, _ := metadata.FromIncomingContext(s.Context())
			return n.answer(method, md, s)
		}))
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	return n
}

func (n *fakeNode) dial(t *testing.T) *lightning.Client {
	t.Helper()
	c, err := lightning.Dial(lightning.Config{Host: n.addr, TLSCertPath: n.certPath, MacaroonPath: n.macPath})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestGetInfoSendsTheMacaroon(t *testing.T) {
	n := newFakeNode(t)
	n.answer = func(method string, md metadata.MD, s grpc.ServerStream) error {
		if got := strings.Join(md.Get("macaroon"), ","); got != hex.EncodeToString([]byte("macaroon")) {
			return status.Errorf(codes.Unknown, "macaroon %q", got)
		}
		if method != "/lnrpc.Lightning/GetInfo" {
			return status.Errorf(codes.Unknown, "method %q", method)
		}
		return s.SendMsg(&lndwire.GetInfoResponse{Alias: "alice", Chains: []*lndwire.Chain{{Network: "regtest"}}})
	}
	info, err := n.dial(t).GetInfo(t.Context())
	if err != nil || info.Alias != "alice" || info.Network != "regtest" {
		t.Fatalf("got %+v, %v", info, err)
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	cases := map[string]struct {
		answer error
		code   string
	}{
		"locked":       {status.Error(codes.Unknown, "wallet locked, unlock it to enable full RPC access"), "node_locked"},
		"starting":     {status.Error(codes.Unknown, "the RPC server is in the process of starting up, but not yet ready to accept calls"), "node_starting"},
		"permission":   {status.Error(codes.Unknown, "permission denied"), "permission_denied"},
		"bad macaroon": {status.Error(codes.Unknown, "verification failed: signature mismatch after caveat verification"), "bad_macaroon"},
		"unavailable":  {status.Error(codes.Unavailable, "gone"), "node_unreachable"},
		"not found":    {status.Error(codes.NotFound, "unable to locate invoice"), "not_found"},
		"front":        {status.Error(codes.ResourceExhausted, "leyden: limit_day:abc: spent"), "limit_day"},
		"front locked": {status.Error(codes.Unavailable, "leyden: wallet_locked: the wallet is locked (try: leyden node unlock)"), "node_locked"},
		"front away":   {status.Error(codes.Unavailable, "leyden: lnd_down: lnd is down (try: leyden node status)"), "node_unreachable"},
		"signer away":  {status.Error(codes.Unavailable, "leyden: signer_unreachable: the node's signer is away: signer_unreachable (try: leyden node status)"), "node_unreachable"},
		"no front":     {status.Error(codes.Unknown, "leyden: Limit Day: spent"), "node_error"},
		"other":        {status.Error(codes.Unknown, "strange"), "node_error"},
	}
	n := newFakeNode(t)
	c := n.dial(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n.answer = func(string, metadata.MD, grpc.ServerStream) error { return tc.answer }
			_, err := c.GetInfo(t.Context())
			if fault.Code(err) != tc.code {
				t.Errorf("got %q (%v), want %q", fault.Code(err), err, tc.code)
			}
			if name == "front away" && fault.Hint(err) != "leyden node status" {
				t.Errorf("hint %q", fault.Hint(err))
			}
			if st, ok := status.FromError(errors.Unwrap(err)); !ok || st.Message() != status.Convert(tc.answer).Message() {
				t.Errorf("the node's status is lost: %v", st)
			}
		})
	}
}

func TestPaymentStates(t *testing.T) {
	preimage := lntypes.Preimage{1}
	ok := &lndwire.Payment{Status: lndwire.PaymentStatus_SUCCEEDED, PaymentPreimage: preimage.String(),
		Htlcs: []*lndwire.HTLCAttempt{
			{Status: lndwire.HTLCStatus_HTLC_SUCCEEDED, Route: &lndwire.Route{TotalAmtMsat: 1_010, TotalFeesMsat: 10}},
			{Status: lndwire.HTLCStatus_HTLC_FAILED, Route: &lndwire.Route{TotalAmtMsat: 9_999, TotalFeesMsat: 99}},
			{Status: lndwire.HTLCStatus_HTLC_SUCCEEDED, Route: &lndwire.Route{TotalAmtMsat: 2_020, TotalFeesMsat: 20}},
		}}
	failed := &lndwire.Payment{Status: lndwire.PaymentStatus_FAILED, FailureReason: lndwire.PaymentFailureReason_NO_ROUTE}
	n := newFakeNode(t)
	c := n.dial(t)
	answer := func(updates ...*lndwire.Payment) {
		n.answer = func(_ string, _ metadata.MD, s grpc.ServerStream) error {
			for _, u := range updates {
				if err := s.SendMsg(u); err != nil {
					return err
				}
			}
			return nil
		}
	}

	answer(&lndwire.Payment{Status: lndwire.PaymentStatus_IN_FLIGHT}, ok)
	p, err := c.SendPayment(t.Context(), lightning.SendPayment{Invoice: "lnbc1", Timeout: time.Second})
	if err != nil || p.Preimage != preimage || p.Total != 3_030 || p.Fee != 30 {
		t.Errorf("succeeded: %+v, %v", p, err)
	}
	answer(failed)
	p, err = c.SendPayment(t.Context(), lightning.SendPayment{})
	if fault.Code(err) != "payment_failed" || p.State != lightning.PaymentFailed || p.Reason != "NO_ROUTE" {
		t.Errorf("failed: %+v, %v", p, err)
	}
	p, err = c.TrackPayment(t.Context(), lntypes.Hash{})
	if err != nil || p.State != lightning.PaymentFailed {
		t.Errorf("tracked: %+v, %v", p, err)
	}
	answer(&lndwire.Payment{Status: lndwire.PaymentStatus_IN_FLIGHT})
	if _, err = c.SendPayment(t.Context(), lightning.SendPayment{}); fault.Code(err) != "node_error" {
		t.Errorf("cut short: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.SendPayment(ctx, lightning.SendPayment{}); err == nil {
		t.Error("cancelled: no error")
	}
}

func TestDialErrors(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		cfg  lightning.Config
		code string
	}{
		"fail/no certificate":    {lightning.Config{TLSCertPath: filepath.Join(dir, "none")}, "bad_certificate"},
		"fail/empty certificate": {lightning.Config{TLSCertPath: empty}, "bad_certificate"},
		"fail/no macaroon":       {lightning.Config{MacaroonPath: filepath.Join(dir, "none")}, "bad_macaroon"},
		"fail/empty macaroon":    {lightning.Config{MacaroonPath: empty}, "bad_macaroon"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := lightning.Dial(c.cfg); fault.Code(err) != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func TestUnreachableAndWrongCertificate(t *testing.T) {
	n := newFakeNode(t)
	other := newFakeNode(t)
	c, err := lightning.Dial(lightning.Config{Host: n.addr, TLSCertPath: other.certPath})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.State(t.Context()); fault.Code(err) != "bad_certificate" {
		t.Errorf("wrong certificate: %v", err)
	}
	gone, err := lightning.Dial(lightning.Config{Host: "127.0.0.1:1", TLSCertPath: n.certPath})
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	if _, err := gone.State(t.Context()); fault.Code(err) != "node_unreachable" {
		t.Errorf("nobody there: %v", err)
	}
}

func TestNotSent(t *testing.T) {
	n := newFakeNode(t)
	n.answer = func(string, metadata.MD, grpc.ServerStream) error {
		return status.Error(codes.Unavailable, "going away")
	}
	send := lightning.SendPayment{Invoice: "lnbc1", Timeout: time.Second}
	if _, err := n.dial(t).SendPayment(t.Context(), send); err == nil || lightning.NotSent(err) {
		t.Errorf("the node answered: %v counts as not sent", err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = lis.Addr().String()
	lis.Close()
	_, err = n.dial(t).SendPayment(t.Context(), send)
	if !lightning.NotSent(err) || fault.Code(err) != lightning.CodeUnreachable {
		t.Errorf("nobody listens: %v, not sent %v", err, lightning.NotSent(err))
	}
}
