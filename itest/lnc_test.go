package itest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/lnc"
)

// relay is a relay of ours on loopback.
type relay struct {
	w    *world
	home string
	addr string
}

func (w *world) relay(t *testing.T) *relay {
	t.Helper()
	r := &relay{w: w, home: t.TempDir(), addr: net.JoinHostPort("127.0.0.1", freePort(t))}
	r.start(t)
	t.Cleanup(func() { _ = r.command("mailbox", "stop").Run() })
	return r
}

func (r *relay) command(args ...string) *exec.Cmd {
	return exec.Command(r.w.program("leyden"), append(args, "--home", r.home)...)
}

func (r *relay) start(t *testing.T) {
	t.Helper()
	if out, err := r.command("mailbox", "start", "--detach", "--listen", r.addr).CombinedOutput(); err != nil {
		t.Fatalf("start the relay: %v\n%s", err, out)
	}
}

func (r *relay) restart(t *testing.T) {
	t.Helper()
	if out, err := r.command("mailbox", "stop").CombinedOutput(); err != nil {
		t.Fatalf("stop the relay: %v\n%s", err, out)
	}
	r.start(t)
}

// remote is the client of a session of the buyer's node.
type remote struct {
	*payer
	session string // its id
	phrase  lnc.Phrase
	dialer  *lnc.Dialer
	conn    *grpc.ClientConn

	mu       sync.Mutex
	identity lnc.Identity
}

type madeSession struct {
	ID     string `json:"id"`
	Phrase string `json:"pairing_phrase"`
}

func (w *world) addSession(t *testing.T, r *relay, flags ...string) (made madeSession) {
	t.Helper()
	args := append([]string{"sessions", "add", "--mailboxserveraddr", r.addr, "--devserver"}, flags...)
	if err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), &made, args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shop.Operate(context.Background(), w.program("leyden"), w.buyerNode(), nil, "sessions", "revoke", made.ID)
	})
	return made
}

// remote makes a session and a client with its words. account is that of an
// account session.
func (w *world) remote(t *testing.T, r *relay, account string, flags ...string) *remote {
	t.Helper()
	c, err := w.client(r, w.addSession(t, r, flags...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	c.id = account
	return c
}

// client is one of a session, which the caller closes.
func (w *world) client(r *relay, made madeSession) (*remote, error) {
	phrase, err := lnc.ParsePhrase(made.Phrase)
	if err != nil {
		return nil, err
	}
	c := &remote{session: made.ID, phrase: phrase}
	return c, c.connect(w, r, "")
}

func (c *remote) close() {
	c.conn.Close()
	c.dialer.Close()
}

// connect begins a client, anew if there was one.
func (c *remote) connect(w *world, r *relay, account string) (err error) {
	c.dialer = &lnc.Dialer{
		Mailbox: lnc.Mailbox{Addr: r.addr, TLS: &tls.Config{InsecureSkipVerify: true}},
		Phrase:  c.phrase, Identity: c.identity,
		Persist: func(i lnc.Identity) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.identity = i
			return nil
		},
	}
	if c.conn, err = c.dialer.NewClient(); err != nil {
		return err
	}
	c.payer = &payer{w, account, lnrpc.NewLightningClient(c.conn), routerrpc.NewRouterClient(c.conn)}
	return nil
}

// again is the client started anew, with what it has kept.
func (c *remote) again(t *testing.T, r *relay) {
	t.Helper()
	c.close()
	if err := c.connect(c.w, r, c.id); err != nil {
		t.Fatal(err)
	}
}

func (c *remote) info(t *testing.T) *lnrpc.GetInfoResponse {
	t.Helper()
	info, err := c.GetInfo(t.Context(), &lnrpc.GetInfoRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// over waits until the client finds that its session is no more.
func (c *remote) over(t *testing.T) {
	t.Helper()
	await(t, "the end of the session", func() bool {
		_, err := c.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		return err != nil
	})
	if _, err := c.GetInfo(t.Context(), &lnrpc.GetInfoRequest{}); err == nil {
		t.Error("the session is over, and its client is answered")
	}
}

// refused makes sure that the client gets no answer any more.
func (c *remote) refused(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := c.GetInfo(ctx, &lnrpc.GetInfoRequest{}); err == nil {
		t.Error("the session is over, and its client is answered")
	}
}

// TestSessionAdmin: ten words reach the node, which the journal knows; the words
// are good for one client, and another macaroon is none here.
func TestSessionAdmin(t *testing.T) {
	w := theWorld(t)
	r := w.relay(t)
	admin := w.remote(t, r, "", "--type", "admin", "--label", "home")
	if got, want := admin.info(t).IdentityPubkey, fmt.Sprintf("%x", pub(t, w, false)); got != want {
		t.Errorf("node %s answered, want %s", got, want)
	}
	if _, err := admin.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 5, Memo: "through the tunnel"}); err != nil {
		t.Fatal(err)
	}
	journal, err := exec.Command(w.program("leyden"), "audit", "export", "--home", string(w.buyerNode().Home())).Output()
	if err != nil || !strings.Contains(string(journal), `"lnc/`+admin.session+`"`) {
		t.Errorf("the journal does not name the session: %v", err)
	}
	listed, err := exec.Command(w.program("leyden"), "sessions", "list", "--home", string(w.buyerNode().Home())).Output()
	if err != nil || !strings.Contains(string(listed), admin.session) || strings.Contains(string(listed), "phrase") {
		t.Errorf("listed: %v, %s", err, listed)
	}

	other := w.remote(t, r, "", "--type", "readonly")
	other.info(t)
	foreign := lnc.AuthHeaders(authOf(t, other))["macaroon"]
	direct := admin.direct(t)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "macaroon", foreign)
	_, err = lnrpc.NewLightningClient(direct).GetInfo(ctx, &lnrpc.GetInfoRequest{}, grpc.WaitForReady(true))
	expectReason(t, err, codes.PermissionDenied, "session_macaroon")
	if _, err := other.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 5}); status.Code(err) != codes.Unknown {
		t.Errorf("a session that can only read has made an invoice: %v", err)
	}
}

// authOf returns what the node tells a client in the handshake.
func authOf(t *testing.T, c *remote) []byte {
	t.Helper()
	c.conn.Close()
	conn, err := c.dialer.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer c.again(t, &relay{addr: c.dialer.Mailbox.Addr})
	return slices.Clone(conn.AuthData())
}

// direct is a connection of the session that adds no macaroon.
func (c *remote) direct(t *testing.T) *grpc.ClientConn {
	t.Helper()
	c.conn.Close()
	conn, err := grpc.NewClient("passthrough:///lnd", grpc.WithTransportCredentials(lnc.Credentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c.dialer.Dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestSessionAccount: an account session pays from its account and sees that
// alone; it outlives its client, the relay and the node; when it is revoked while
// it pays, it is refused, and the books are right.
func TestSessionAccount(t *testing.T) {
	w := theWorld(t)
	r := w.relay(t)
	owner := w.payer(t, 10_000)
	c := w.remote(t, r, owner.id, "--type", "account", "--account_id", owner.id)
	if got := c.balance(t); got != 10_000_000 {
		t.Errorf("balance %d msat", got)
	}
	paid := c.mustPay(t, &routerrpc.SendPaymentRequest{PaymentRequest: w.invoice(t, 1000)})
	if got := c.balance(t); got != 10_000_000-uint64(paid.ValueMsat+paid.FeeMsat) {
		t.Errorf("balance %d msat after a payment of %d", got, paid.ValueMsat)
	}
	if _, err := c.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 5}); err != nil {
		t.Error(err)
	}
	_, err := c.StopDaemon(t.Context(), &lnrpc.StopRequest{})
	expectReason(t, err, codes.PermissionDenied, "method_denied")

	c.again(t, r) // by the keys alone
	c.info(t)

	stream, err := c.SubscribeInvoices(t.Context(), &lnrpc.InvoiceSubscription{})
	if err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	made, err := c.AddInvoice(t.Context(), &lnrpc.Invoice{Value: 7}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	for {
		seen, err := stream.Recv()
		if err != nil {
			t.Fatalf("the stream did not outlive the relay: %v", err)
		}
		if seen.PaymentRequest == made.PaymentRequest {
			break
		}
	}

	w.stopNode(t, w.buyerNode())()
	c.info(t)
	if err := w.buyerNode().Kill(); err != nil {
		t.Fatal(err)
	}
	w.startAgain(t, w.buyerNode())
	await(t, "an answer of the node that was killed", func() bool {
		_, err := c.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		return err == nil
	})

	request, preimage := w.holdInvoice(t, 2000)
	before := c.balance(t)
	paying, err := c.router.SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: request, TimeoutSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := paying.Recv(); err != nil {
		t.Fatal(err)
	}
	w.awaitHeld(t, []lntypes.Preimage{preimage})
	if err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), nil, "sessions", "revoke", c.session); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = paying.Recv()
	}
	if errors.Is(err, io.EOF) {
		t.Error("the stream of a revoked session ended well")
	}
	c.over(t)
	w.settle(t, preimage)
	await(t, "the payment in the books", func() bool {
		b, err := owner.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
		return err == nil && b.LocalBalance.Msat == before-2_000_000
	})
	owner.check(t)
}

// startAgain starts a node that was killed.
func (w *world) startAgain(t *testing.T, n *devnet.Node) {
	t.Helper()
	if err := n.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := w.AwaitChannels(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// invoice makes one of the seller's.
func (w *world) invoice(t *testing.T, sat int64) string {
	t.Helper()
	made, err := w.sellerNode().Lightning().AddInvoice(t.Context(), &lnrpc.Invoice{Value: sat})
	if err != nil {
		t.Fatal(err)
	}
	return made.PaymentRequest
}

// TestSessionsEndWithTheirAccount: at its rotation, and at its removal.
func TestSessionsEndWithTheirAccount(t *testing.T) {
	w := theWorld(t)
	r := w.relay(t)
	owner := w.payer(t, 1000)
	for _, command := range [][]string{{"rotate", "--save_to", filepath.Join(t.TempDir(), "new.macaroon")}, {"remove"}} {
		c := w.remote(t, r, owner.id, "--type", "account", "--account_id", owner.id)
		c.info(t)
		args := append([]string{"accounts", command[0], owner.id}, command[1:]...)
		if err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), nil, args...); err != nil {
			t.Fatal(err)
		}
		c.over(t)
	}
}

// largest is how much memory a session may take in the node, with room for the
// stretching of a phrase, in kB.
const largest = 8 << 10

// memory is what a process has resident, in kB.
func memory(t *testing.T, pid int) (kB int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(after, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}

// TestSessionsAtOnce: twenty sessions pay at the same time, each from its account,
// and the node has memory for many more.
func TestSessionsAtOnce(t *testing.T) {
	const sessions = 20
	w := theWorld(t)
	r := w.relay(t)
	running, err := node.Status(w.buyerNode().Home())
	if err != nil {
		t.Fatal(err)
	}
	before := memory(t, running.PID)
	clients := make([]*remote, sessions)
	owners := make([]*payer, sessions)
	for i := range clients {
		owners[i] = w.payer(t, 100)
		clients[i] = w.remote(t, r, owners[i].id, "--type", "account", "--account_id", owners[i].id)
	}
	var all sync.WaitGroup
	for i, c := range clients {
		invoice := w.invoice(t, int64(10+i))
		all.Go(func() {
			if _, err := c.GetInfo(t.Context(), &lnrpc.GetInfoRequest{}, grpc.WaitForReady(true)); err != nil {
				t.Errorf("session %d: %v", i, err)
				return
			}
			last, err := c.send(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: invoice})
			if err != nil || last.GetStatus() != lnrpc.Payment_SUCCEEDED {
				t.Errorf("session %d: %v, %v", i, last.GetStatus(), err)
			}
		})
	}
	all.Wait()
	if more := memory(t, running.PID) - before; more > sessions*largest {
		t.Errorf("%d sessions take %d kB", sessions, more)
	} else {
		t.Logf("%d sessions take %d kB beside the %d kB before", sessions, more, before)
	}
	for i, owner := range owners {
		if got, want := owner.balance(t), uint64(100-10-i)*1000; got != want {
			t.Errorf("account %d: %d msat, want %d", i, got, want)
		}
	}
	owners[0].check(t)
	var list struct {
		Sessions []json.RawMessage `json:"sessions"`
	}
	if err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), &list, "sessions", "list"); err != nil || len(list.Sessions) < sessions {
		t.Errorf("%d sessions listed, %v", len(list.Sessions), err)
	}
}

// TestSessionsPage types the page of sessions.
func TestSessionsPage(t *testing.T) {
	const page = "docs/lnc.md"
	w := theWorld(t)
	at := w.relay(t).addr // instead of the public one, which no test may reach
	r := w.reader(t, w.buyerNode(), "sessions add", "sessions add --mailboxserveraddr "+at+" --devserver", "relay.example:11110", at)
	defer r.line(page, "leyden accounts remove pos")
	r.types(page, "accounts create")
	r.types(page, "sessions list")
	r.types(page, "--devserver")
	for _, left := range []string{"watcher", "home"} {
		r.line(page, "leyden sessions revoke "+left)
	}
}
