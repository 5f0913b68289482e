package itest

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/guardd"
)

// guardHome is one home of a `leyden guard`.
type guardHome struct {
	w    *world
	lnd  *plainLnd
	home string
	rpc  string
}

func (w *world) guardHome(t *testing.T, l *plainLnd) *guardHome {
	t.Helper()
	g := &guardHome{w: w, lnd: l, home: t.TempDir(), rpc: net.JoinHostPort("127.0.0.1", freePort(t))}
	t.Cleanup(func() {
		if err := guardd.Stop(context.Background(), config.Home(g.home)); err != nil && fault.Code(err) != "not_running" {
			t.Error(err)
		}
		if log, err := os.ReadFile(filepath.Join(g.home, "guard", "guard.log")); err == nil && t.Failed() {
			t.Logf("the guard's log:\n%s", log)
		}
	})
	return g
}

// leyden runs the program on the home; code is its error's, if it failed.
func (g *guardHome) leyden(t *testing.T, args ...string) (out, code string) {
	t.Helper()
	s := g.w.lncli(t, append([]string{"--home", g.home}, args...))
	var voiced struct {
		Error struct{ Code, Message, Hint string }
	}
	if s.status == 0 {
		return s.stdout, ""
	}
	if err := json.Unmarshal([]byte(s.stderr), &voiced); err != nil || voiced.Error.Code == "" || voiced.Error.Hint == "" {
		t.Fatalf("leyden %q: %v", args, s)
	}
	return s.stderr, voiced.Error.Code
}

func (g *guardHome) must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := g.leyden(t, args...)
	if code != "" {
		t.Fatalf("leyden %q: %s", args, out)
	}
	return out
}

// startArgs start the guard before its lnd; more override them.
func (g *guardHome) startArgs(more ...string) []string {
	return append([]string{"guard", "start", "--detach", "--lnd-rpcserver", g.lnd.rpc, "--lnd-tlscertpath", g.lnd.cert(),
		"--lnd-macaroonpath", g.lnd.macaroon("admin"), "--rpclisten", g.rpc, "--apilisten", "127.0.0.1:0"}, more...)
}

func (g *guardHome) status(t *testing.T) (r guardd.Running) {
	t.Helper()
	if err := json.Unmarshal([]byte(g.must(t, "guard", "status")), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// client calls the guard's port.
func (g *guardHome) client(macaroon string) client {
	return client{addr: g.rpc, cert: filepath.Join(g.home, "guard", "tls.cert"), macaroon: macaroon}
}

// account makes an account and returns its macaroon.
func (g *guardHome) account(t *testing.T, sat string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "account.macaroon")
	g.must(t, "accounts", "create", sat, "--save_to", file)
	return readMacaroon(t, file)
}

// TestGuardRefusesToStart: an lnd on which the rules would not hold, and every
// mistake in how it is reached, is one code.
func TestGuardRefusesToStart(t *testing.T) {
	w := theWorld(t)
	l := w.plainLnd(t)
	g := w.guardHome(t, l)
	if out, code := g.leyden(t, g.startArgs()...); code != "bad_certificate" {
		t.Errorf("no lnd has ever run: %q %s", code, out)
	}
	refuses := func(name, want string, more ...string) {
		t.Helper()
		if out, code := g.leyden(t, g.startArgs(more...)...); code != want {
			t.Errorf("%s: got %q, want %q: %s", name, code, want, out)
		}
	}
	l.start(t)
	n := w.buyerNode()
	refuses("no middleware", "rpcmiddleware_off")
	refuses("weak macaroon", "weak_macaroon", "--lnd-macaroonpath", l.macaroon("readonly"))
	refuses("macaroon of another", "bad_macaroon", "--lnd-macaroonpath", n.AdminMacaroon)
	refuses("no macaroon", "bad_macaroon", "--lnd-macaroonpath", l.macaroon("none"))
	refuses("certificate for macaroon", "bad_macaroon", "--lnd-macaroonpath", l.cert())
	refuses("certificate of another", "bad_certificate", "--lnd-tlscertpath", n.TLSCert)
	refuses("lnd's own port", "own_port", "--rpclisten", l.rpc)
	refuses("port taken", "port_in_use", "--rpclisten", n.RPC)
	refuses("before a front", "middleware_taken", "--lnd-rpcserver", n.RPC, "--lnd-tlscertpath", n.TLSCert, "--lnd-macaroonpath", n.AdminMacaroon)
	if _, code := g.leyden(t, "guard", "start", "--lnd-rpcserver", l.rpc); code != "usage" {
		t.Errorf("without files: %q", code)
	}
	l.stop(t)
	refuses("lnd is away", "node_unreachable")
	l.start(t, "--rpcmiddleware.enable", "--no-macaroons")
	refuses("macaroons off", "macaroons_off")
	for _, command := range []string{"status", "stop"} {
		if _, code := g.leyden(t, "guard", command); code != "not_running" {
			t.Errorf("%s: %q", command, code)
		}
	}
}

// TestGuardsPage types what the page of the guard says before an lnd. lncli
// itself is not here: what it would ask is asked in its place.
func TestGuardsPage(t *testing.T) {
	const page = "docs/guard.md"
	w := theWorld(t)
	l := w.plainLnd(t)
	l.start(t, "--rpcmiddleware.enable")
	g := w.guardHome(t, l)
	r := reader{t: t, w: w, home: t.TempDir(), names: strings.NewReplacer(
		"localhost:10009", l.rpc, "~/.lnd/tls.cert", l.cert(), "~/.lnd/data/chain/bitcoin/mainnet/admin.macaroon", l.macaroon("admin"),
		"guard start", "guard start --apilisten 127.0.0.1:0 --rpclisten "+g.rpc, "lncli --rpcserver", "true",
	)}
	if err := os.Symlink(g.home, filepath.Join(r.home, ".leyden")); err != nil {
		t.Fatal(err)
	}
	r.types(page, "guard start") // which ends with its stop
	g.must(t, g.startArgs()...)
	r.types(page, "accounts create")
	checkBalance(t, g.client(readMacaroon(t, filepath.Join(r.home, "agent.macaroon"))).lightning(t), 50_000)
	r.line(page, "lnget config init --macaroon agent.macaroon")
	if out := r.line(page, "lnget ln info"); !strings.Contains(out, g.status(t).Network) {
		t.Errorf("lnget asks somebody else: %s", out)
	}
	if out := r.line(page, "lnget config show"); !strings.Contains(out, g.rpc) {
		t.Errorf("lnget is not pointed at the guard: %s", out)
	}
}

// TestGuardBesideLnd takes a guard through its life before an lnd that is not
// ours: accounts, addresses, a restart of lnd, the end.
func TestGuardBesideLnd(t *testing.T) {
	w := theWorld(t)
	l := w.plainLnd(t)
	l.start(t, "--rpcmiddleware.enable")
	g := w.guardHome(t, l)
	g.must(t, g.startArgs()...)
	before := g.status(t)
	if before.State != "attached" || before.Network != "regtest" || before.RPC[0] != g.rpc {
		t.Errorf("started: %+v", before)
	}

	t.Run("one guard only", func(t *testing.T) {
		if _, code := g.leyden(t, g.startArgs()...); code != "already_running" {
			t.Errorf("same home: %q", code)
		}
		other := w.guardHome(t, l)
		if out, code := other.leyden(t, other.startArgs()...); code != "middleware_taken" {
			t.Errorf("other home: %q %s", code, out)
		}
		if _, err := g.client(readMacaroon(t, l.macaroon("admin"))).lightning(t).GetInfo(t.Context(), &lnrpc.GetInfoRequest{}); err != nil {
			t.Errorf("the first guard: %v", err)
		}
	})
	t.Run("addresses", func(t *testing.T) { g.checkAddresses(t) })

	w.channelTo(t, w.buyerNode(), l)
	mac := g.account(t, "50000")
	t.Run("account", func(t *testing.T) { g.checkAccount(t, mac) })
	t.Run("lnd restarted", func(t *testing.T) {
		conn := g.client(mac).lightning(t)
		if err := l.process.Kill(); err != nil {
			t.Fatal(err)
		}
		await(t, "a refusal of the front", func() bool {
			_, err := conn.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
			return status.Code(err) == codes.Unavailable && strings.HasPrefix(status.Convert(err).Message(), "leyden: starting: ")
		})
		l.start(t, "--rpcmiddleware.enable")
		await(t, "the guard's return", func() bool {
			_, err := conn.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
			return err == nil
		})
		if after := g.status(t); after.PID != before.PID || after.State != "attached" {
			t.Errorf("after: %+v", after)
		}
	})
	t.Run("guard killed", func(t *testing.T) {
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, "its end", func() bool {
			_, code := g.leyden(t, "guard", "status")
			return code == "not_running"
		})
		g.must(t, g.startArgs()...)
		ours := g.client(mac).lightning(t)
		await(t, "accounts being served", func() bool {
			_, err := ours.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
			return status.Code(err) != codes.Unavailable
		})
		checkBalance(t, ours, 50_000-1000+2000)
	})
	t.Run("other node", func(t *testing.T) {
		g.must(t, "guard", "stop")
		theirs := w.plainLnd(t)
		theirs.start(t, "--rpcmiddleware.enable")
		at := &guardHome{w: w, lnd: theirs, home: g.home, rpc: g.rpc}
		if out, code := at.leyden(t, at.startArgs()...); code != "other_node" {
			t.Errorf("got %q %s", code, out)
		}
		admin := client{addr: l.rpc, cert: l.cert(), macaroon: readMacaroon(t, l.macaroon("admin"))}
		if _, err := admin.lightning(t).GetInfo(t.Context(), &lnrpc.GetInfoRequest{}); err != nil {
			t.Errorf("lnd itself: %v", err)
		}
	})
}

// checkAddresses: lnd sees the guard's own address, so the guard judges.
func (g *guardHome) checkAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		caveat, from string
		ok           bool
	}{
		"ok/this address":       {"ipaddr 127.0.0.1", "127.0.0.1", true},
		"ok/this range":         {"iprange 127.0.0.0/30", "127.0.0.2", true},
		"fail/another address":  {"ipaddr 127.0.0.1", "127.0.0.2", false},
		"fail/another range":    {"iprange 127.0.0.0/30", "127.0.0.9", false},
		"fail/guard's, for lnd": {"ipaddr 127.0.0.2", "127.0.0.2", false},
	} {
		t.Run(name, func(t *testing.T) {
			at := g.client(readMacaroon(t, g.lnd.macaroon("admin"), c.caveat))
			at.from = c.from
			_, err := at.lightning(t).GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// checkAccount pays 1000 sat from the account and receives 2000.
func (g *guardHome) checkAccount(t *testing.T, mac string) {
	buyer := g.w.buyerNode()
	ours := g.client(mac).lightning(t)
	checkBalance(t, ours, 50_000)

	direct := client{addr: g.lnd.rpc, cert: g.lnd.cert(), macaroon: mac}
	_, err := direct.lightning(t).ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
	if err == nil || !strings.Contains(err.Error(), "account_only_through_guard") {
		t.Errorf("at lnd's own port: %v", err)
	}
	if _, err := ours.NewAddress(t.Context(), &lnrpc.NewAddressRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a new address: %v", err)
	}

	stream, err := routerrpc.NewRouterClient(g.client(mac).dial(t)).SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{
		PaymentRequest: newInvoice(t, buyer, 1000), TimeoutSeconds: 30, FeeLimitSat: 10, NoInflightUpdates: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	paid, err := stream.Recv()
	if err != nil || paid.Status != lnrpc.Payment_SUCCEEDED || paid.FeeMsat != 0 {
		t.Fatalf("pay: %v, %v", paid, err)
	}
	checkBalance(t, ours, 50_000-1000)

	invoice, err := ours.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 2000, Memo: "for the account"})
	if err != nil {
		t.Fatal(err)
	}
	admin := g.client(readMacaroon(t, g.lnd.macaroon("admin"))).lightning(t)
	if _, err := admin.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 3}); err != nil {
		t.Fatal(err)
	}
	seen, err := ours.ListInvoices(t.Context(), &lnrpc.ListInvoiceRequest{})
	if err != nil || len(seen.Invoices) != 1 {
		t.Errorf("the account's invoices: %v, %v", seen, err)
	}
	payInvoice(t, buyer, invoice.PaymentRequest)
	await(t, "the credit", func() bool {
		b, err := ours.ChannelBalance(context.Background(), &lnrpc.ChannelBalanceRequest{})
		return err == nil && b.GetLocalBalance().GetSat() == 50_000-1000+2000
	})
}

func checkBalance(t *testing.T, c lnrpc.LightningClient, sat uint64) {
	t.Helper()
	b, err := c.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
	if err != nil || b.GetLocalBalance().GetSat() != sat {
		t.Errorf("balance %v, %v, want %d sat", b.GetLocalBalance(), err, sat)
	}
}
