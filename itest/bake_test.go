package itest

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// TestBakePage types the page of leyden bake; the other node on it is a plain
// lnd.
func TestBakePage(t *testing.T) {
	const page = "docs/bake.md"
	w := theWorld(t)
	other := w.plainLnd(t)
	other.start(t)
	n := w.buyerNode()
	r := w.reader(t, n, "localhost:10009", other.rpc,
		"~/.lnd/tls.cert", other.cert(), "~/.lnd/data/chain/bitcoin/mainnet/admin.macaroon", other.macaroon("admin"))
	beside := filepath.Join(filepath.Dir(n.AdminMacaroon), "pay-only.macaroon")
	t.Cleanup(func() { _ = os.Remove(beside) }) // not there if the page is wrong
	for _, text := range []string{"--role pay-only", "bake permissions", "bake inspect", "bake rotate seller", "--role read-only"} {
		r.types(page, text)
	}
	for _, made := range []string{beside, filepath.Join(r.home, "seller.macaroon"), filepath.Join(r.home, "monitor.macaroon")} {
		info, err := os.Stat(made)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", made, info, err)
		}
	}
	r.line(page, "leyden bake revoke "+beside)
	r.line(page, "leyden bake revoke seller.macaroon")
	if out := r.line(page, "leyden bake list"); out != "{\n  \"macaroons\": []\n}\n" {
		t.Errorf("still there: %s", out)
	}
}

// TestRolesAreEnoughToTrade sells with an invoice-only macaroon and buys with a
// pay-only one.
func TestRolesAreEnoughToTrade(t *testing.T) {
	w, back := theWorld(t), startBackend(t)
	macDir, wallet := t.TempDir(), t.TempDir()
	bake := func(n *devnet.Node, role, file string) {
		t.Helper()
		if err := shop.Operate(t.Context(), w.program("leyden"), n, nil, "bake", "--role", role, "--save-to", file); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := shop.Operate(context.Background(), w.program("leyden"), n, nil, "bake", "revoke", file); err != nil {
				t.Error(err)
			}
		})
	}
	bake(w.sellerNode(), "invoice-only", filepath.Join(macDir, "invoice.macaroon"))
	bake(w.buyerNode(), "pay-only", filepath.Join(wallet, "pay.macaroon"))
	gate := w.gateWith(t, shop.GateOptions{MacDir: macDir, Services: back.services()})
	buyer, err := shop.NewBuyerWith(t.TempDir(), w.program("lnget"), w.buyerNode(), filepath.Join(wallet, "pay.macaroon"))
	if err != nil {
		t.Fatal(err)
	}
	expect := w.payments(t)
	gets(t, buyer, answer("GET", "/a", ""), "-q", gate.URL+"/a")
	lnget(t, buyer, done, "ln", "info")
	expect(1)
}

// TestBakedMacaroonExpires waits until lnd refuses one.
func TestBakedMacaroonExpires(t *testing.T) {
	w := theWorld(t)
	n := w.buyerNode()
	file := filepath.Join(t.TempDir(), "short.macaroon")
	var made struct {
		Expires time.Time `json:"expires"`
	}
	err := shop.Operate(t.Context(), w.program("leyden"), n, &made, "bake", "--role", "read-only", "--expires", "3s", "--save-to", file)
	if err != nil {
		t.Fatal(err)
	}
	client := lnrpc.NewLightningClient(dialed(t, n.DialAs, file))
	calls := func() bool {
		_, err := client.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		return err == nil
	}
	if !calls() && time.Now().Before(made.Expires) {
		t.Error("it does not work before it expires")
	}
	await(t, "the macaroon to expire", func() bool { return !calls() })
	if err := shop.Operate(t.Context(), w.program("leyden"), n, nil, "bake", "revoke", file); err != nil {
		t.Error(err)
	}
}

// TestRevokedMacaroonPaysNoMore opens a payment's stream, revokes the macaroon, and
// only then says what to pay.
func TestRevokedMacaroonPaysNoMore(t *testing.T) {
	w := theWorld(t)
	n := w.buyerNode()
	file := filepath.Join(t.TempDir(), "pay.macaroon")
	if err := shop.Operate(t.Context(), w.program("leyden"), n, nil, "bake", "--role", "pay-only", "--save-to", file); err != nil {
		t.Fatal(err)
	}
	stream, err := dialed(t, n.DialAs, file).NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/routerrpc.Router/SendPaymentV2")
	if err != nil {
		t.Fatal(err)
	}
	if err := shop.Operate(t.Context(), w.program("leyden"), n, nil, "bake", "revoke", file); err != nil {
		t.Fatal(err)
	}
	invoice := newInvoice(t, w.sellerNode(), 5)
	_ = stream.SendMsg(&routerrpc.SendPaymentRequest{PaymentRequest: invoice, TimeoutSeconds: 30, FeeLimitSat: 10}) // fails when the stream is cut
	if err := stream.RecvMsg(new(lnrpc.Payment)); err == nil {
		t.Error("a revoked macaroon pays")
	}
	decoded, err := n.Lightning().DecodePayReq(t.Context(), &lnrpc.PayReqString{PayReq: invoice})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hex.DecodeString(decoded.PaymentHash)
	if err != nil {
		t.Fatal(err)
	}
	found, err := w.sellerNode().Lightning().LookupInvoice(t.Context(), &lnrpc.PaymentHash{RHash: hash})
	if err != nil || found.State != lnrpc.Invoice_OPEN {
		t.Errorf("%v, %v", found, err)
	}
}
