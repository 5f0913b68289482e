package gate

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lightning"
	"github.com/leydenln/leyden/internal/lightning/lnctest"
	"github.com/leydenln/leyden/internal/paired"
	"github.com/leydenln/leyden/internal/rpc/lndwire"
	"github.com/leydenln/leyden/internal/until"
)

// overSession is the node as an lnd that is reached through a session.
func (n *fakeNode) overSession(_ any, s grpc.ServerStream) error {
	if got := metadata.ValueFromIncomingContext(s.Context(), "macaroon"); len(got) != 1 || got[0] != "0201" {
		return status.Errorf(codes.PermissionDenied, "permission denied")
	}
	method, _ := grpc.MethodFromServerStream(s)
	switch method {
	case "/lnrpc.Lightning/AddInvoice":
		var in lndwire.Invoice
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		preimage, err := lntypes.MakePreimage(in.RPreimage)
		if err != nil {
			return err
		}
		made, err := n.AddInvoice(s.Context(), lightning.NewInvoice{Memo: in.Memo, Value: lnwire.MilliSatoshi(in.ValueMsat), Preimage: preimage})
		if err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		return s.SendMsg(&lndwire.AddInvoiceResponse{RHash: made.Hash[:], PaymentRequest: made.PaymentRequest})
	case "/lnrpc.Lightning/LookupInvoice":
		var in lndwire.PaymentHash
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		made, err := n.LookupInvoice(s.Context(), lntypes.Hash(in.RHash))
		if err != nil {
			return status.Error(codes.NotFound, err.Error())
		}
		return s.SendMsg(onWire(made))
	case "/lnrpc.Lightning/SubscribeInvoices":
		return n.SubscribeInvoices(s.Context(), 0, 0, func(made lightning.Invoice) error { return s.SendMsg(onWire(made)) })
	}
	return status.Error(codes.Unimplemented, method)
}

func onWire(in lightning.Invoice) *lndwire.Invoice {
	return &lndwire.Invoice{RHash: in.Hash[:], PaymentRequest: in.PaymentRequest, ValueMsat: int64(in.Value),
		AmtPaidMsat: int64(in.AmountPaid), State: lndwire.InvoiceState(lndwire.InvoiceState_value[string(in.State)])}
}

// TestWordsAreSecret: a file with words that others can read is refused.
func TestWordsAreSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.yaml")
	text := fmt.Sprintf(twoServices, "127.0.0.1:1") + fmt.Sprintf(
		"authenticator: {passphrase: %q, mailboxaddress: 'relay.example:443'}\n", strings.Repeat("zoo ", 10))
	for mode, want := range map[os.FileMode]string{0o600: "", 0o640: "insecure_file"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, t.TempDir()); fault.Code(err) != want {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

// TestSession: a gate whose node is behind a session pairs with it once, sells,
// and is back by itself after the relay, the node or the gate was away.
func TestSession(t *testing.T) {
	relay, err := lnctest.StartRelay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Stop()
	node, b, dir := newFakeNode(), newBackend(t), t.TempDir()
	session, err := relay.Serve([]byte{2, 1}, node.overSession)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Stop()
	yaml := "listenaddr: 127.0.0.1:0\ninsecure: true\n" + fmt.Sprintf(twoServices, b.addr()) + fmt.Sprintf(
		"authenticator: {network: regtest, passphrase: %q, mailboxaddress: %q, devserver: true}\n", session.Phrase.Words(), relay.Addr)
	begin := func() *Gate {
		cfg, err := Parse(filepath.Join(dir, "gate.yaml"), []byte(yaml), dir)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", *cfg, cfg.Authenticator, cfg.Authenticator.Passphrase.LogValue()), session.Phrase.Words()) {
			t.Error("the words print")
		}
		g, err := Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	sells := func(g *Gate) bool { return get(t, g, "/news/today").StatusCode == http.StatusPaymentRequired }

	cfg, err := Parse(filepath.Join(dir, "gate.yaml"), []byte(yaml), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.probeNode(t.Context()); fault.Code(err) != paired.CodeNone || session.Accepted() != 0 {
		t.Errorf("a look at a gate that never ran: %v, %d connections", err, session.Accepted())
	}
	g := begin()
	until.True(t, "the gate sells", func() bool { return sells(g) })
	token := buy(t, node, get(t, g, "/news/today"))
	until.True(t, "the payment is on record", func() bool { _, n := totals(t, g); return n == 1 })
	if resp := get(t, g, "/news/today", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "lnc", "*.json"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %q, %v", kept, err)
	}
	if info, err := os.Stat(kept[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	for away, f := range map[string]func() error{
		"relay": func() error { _ = relay.Stop(); return relay.Start() },
		"node":  func() error { session.Stop(); return session.Start() },
	} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
		until.True(t, "the gate sells after its "+away+" was away", func() bool {
			return g.link.probe(t.Context()) == nil && sells(g)
		})
	}
	if s, err := g.statusNow(t.Context()); err != nil || !s.Node.Reachable || s.Node.Host != relay.Addr {
		t.Errorf("%+v, %v", s.Node, err)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}

	g = begin()
	defer g.Stop()
	if resp := get(t, g, "/news/today", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	until.True(t, "the gate sells after a restart", func() bool { return sells(g) })
	session.Stop()
	until.True(t, "the gate says that the session is over", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), probeTimeout)
		defer cancel()
		return fault.Code(g.link.probe(ctx)) == lightning.CodeSessionNotFound
	})
	if resp := get(t, g, "/news/today", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("a token that was sold: status %d", resp.StatusCode)
	}
}
