package itest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// sessionRecord is a session as leyden sessions list shows it.
type sessionRecord struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Paired bool   `json:"paired"`
}

// readSessions reads what leyden sessions list --all prints.
func readSessions(t *testing.T, printed []byte) map[string]sessionRecord {
	t.Helper()
	var list struct {
		Sessions []sessionRecord `json:"sessions"`
	}
	if err := json.Unmarshal(printed, &list); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	all := make(map[string]sessionRecord)
	for _, s := range list.Sessions {
		all[s.ID] = s
	}
	return all
}

func (w *world) sessions(t *testing.T) map[string]sessionRecord {
	t.Helper()
	out, err := exec.Command(w.program("leyden"), "sessions", "list", "--all", "--json", "--home", string(w.buyerNode().Home())).Output()
	if err != nil {
		t.Fatal(err)
	}
	return readSessions(t, out)
}

// sessionKeys returns the ids of the sessions that have a root key at lnd.
func sessionKeys(t *testing.T, lnd lnrpc.LightningClient) (list []string) {
	t.Helper()
	there, err := lnd.ListMacaroonIDs(t.Context(), &lnrpc.ListMacaroonIDsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range there.RootKeyIds {
		if id, ok := account.SessionOfRootKey(key); ok {
			list = append(list, id.String())
		}
	}
	return list
}

// TestSessionRevokedWhilePaying: whenever it is revoked, its client is refused from
// then on, and the account has paid what its payees have got.
func TestSessionRevokedWhilePaying(t *testing.T) {
	const rounds = 3
	w := theWorld(t)
	r := w.relay(t)
	for range rounds {
		w.revokeWhilePaying(t, r)
	}
}

func (w *world) revokeWhilePaying(t *testing.T, r *relay) {
	t.Helper()
	const sat, each = 10_000, 7
	owner := w.payer(t, sat)
	c := w.remote(t, r, owner.id, "--type", "account", "--account_id", owner.id)
	c.info(t)
	var asked []string
	for range 200 {
		asked = append(asked, w.invoice(t, each))
	}
	paying, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i, request := range asked {
			if i == 1 {
				close(paying)
			}
			_, err := c.send(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: request})
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	<-paying
	select { // a moment like any other
	case <-time.After(rand.N(500 * time.Millisecond)):
	case <-t.Context().Done():
	}
	if err := shop.Operate(t.Context(), w.program("leyden"), w.buyerNode(), nil, "sessions", "revoke", c.session); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("it has paid on")
	}
	c.refused(t)
	if slices.Contains(sessionKeys(t, w.buyerNode().Lightning()), c.session) {
		t.Error("its root key is alive at lnd")
	}
	await(t, "the payees' receipts in the books", func() bool {
		got := 0
		for _, request := range asked {
			if w.received(t, request) {
				got++
			}
		}
		b, err := owner.ChannelBalance(t.Context(), &lnrpc.ChannelBalanceRequest{})
		return err == nil && len(w.inFlight(t)) == 0 && b.LocalBalance.Msat == uint64(sat-got*each)*1000
	})
	owner.check(t)
}

// received says whether an invoice of the seller's was paid.
func (w *world) received(t *testing.T, request string) bool {
	t.Helper()
	decoded, err := w.sellerNode().Lightning().DecodePayReq(t.Context(), &lnrpc.PayReqString{PayReq: request})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hex.DecodeString(decoded.PaymentHash)
	if err != nil {
		t.Fatal(err)
	}
	inv, err := w.sellerNode().Lightning().LookupInvoice(t.Context(), &lnrpc.PaymentHash{RHash: hash})
	if err != nil {
		t.Fatal(err)
	}
	return inv.State == lnrpc.Invoice_SETTLED
}

// TestSessionExpires: a stream that is open when its session expires is cut.
func TestSessionExpires(t *testing.T) {
	w := theWorld(t)
	r := w.relay(t)
	c := w.remote(t, r, "", "--type", "readonly", "--expiry", "15")
	c.info(t)
	stream, err := c.SubscribeInvoices(t.Context(), &lnrpc.InvoiceSubscription{})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	expectReason(t, err, codes.PermissionDenied, "session_ended")
	c.refused(t)
	if got := w.sessions(t)[c.session].State; got != "revoked" {
		t.Errorf("it is %s", got)
	}
	if slices.Contains(sessionKeys(t, w.buyerNode().Lightning()), c.session) {
		t.Error("its root key is alive at lnd")
	}
}

// TestSessionPaysAcrossRelayRestart: a payment's stream goes on where it was.
func TestSessionPaysAcrossRelayRestart(t *testing.T) {
	w := theWorld(t)
	r := w.relay(t)
	owner := w.payer(t, 5000)
	c := w.remote(t, r, owner.id, "--type", "account", "--account_id", owner.id)
	c.info(t)
	request, preimage := w.holdInvoice(t, 1500)
	paying, err := c.router.SendPaymentV2(t.Context(), &routerrpc.SendPaymentRequest{PaymentRequest: request, TimeoutSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	w.awaitHeld(t, []lntypes.Preimage{preimage})
	r.restart(t)
	w.settle(t, preimage)
	for {
		state, err := paying.Recv()
		if err != nil {
			t.Fatalf("the payment's stream did not outlive the relay: %v", err)
		}
		if state.Status == lnrpc.Payment_SUCCEEDED {
			break
		}
	}
	await(t, "the payment in the books", func() bool { return owner.balance(t) == 3_500_000 })
	owner.check(t)
}

// TestSessionsKilled: whenever the node is killed (-9) while sessions are made,
// paired and revoked, none is half there afterwards: what was revoked stays so,
// what is open works, and nothing else has a root key at lnd.
func TestSessionsKilled(t *testing.T) {
	const rounds = 2
	w := theWorld(t)
	r := w.relay(t)
	for range rounds {
		w.killWithSessions(t, r)
	}
}

func (w *world) killWithSessions(t *testing.T, r *relay) {
	t.Helper()
	operate := func(v any, args ...string) error {
		return shop.Operate(context.Background(), w.program("leyden"), w.buyerNode(), v, args...)
	}
	type outcome struct {
		clients []*remote
		revoked []string
	}
	first, done := make(chan struct{}), make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() { done <- o }()
		for n := 0; ; n++ {
			if n == 1 {
				close(first)
			}
			var made madeSession
			if operate(&made, "sessions", "add", "--mailboxserveraddr", r.addr, "--devserver", "--type", "readonly") != nil {
				break
			}
			c, err := w.client(r, made)
			if err != nil {
				t.Error(err)
				break
			}
			o.clients = append(o.clients, c)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, _ = c.GetInfo(ctx, &lnrpc.GetInfoRequest{}, grpc.WaitForReady(n%3 > 0))
			cancel()
			if n%2 == 0 && operate(nil, "sessions", "revoke", made.ID) == nil {
				o.revoked = append(o.revoked, made.ID)
			}
		}
		if len(o.clients) == 0 {
			close(first)
		}
	}()
	<-first
	select { // a moment like any other
	case <-time.After(rand.N(4 * time.Second)):
	case <-t.Context().Done():
	}
	if err := w.buyerNode().Kill(); err != nil {
		t.Fatal(err)
	}
	o := <-done
	for _, c := range o.clients {
		defer c.close()
	}
	w.startAgain(t, w.buyerNode())
	all := w.sessions(t)
	var open []string
	for id, s := range all {
		switch s.State {
		case "created":
			open = append(open, id)
		case "revoked", "expired":
		default:
			t.Errorf("session %s is %s", id, s.State)
		}
	}
	for _, id := range o.revoked {
		if all[id].State != "revoked" {
			t.Errorf("session %s was revoked, and is %s", id, all[id].State)
		}
	}
	for _, c := range o.clients {
		if slices.Contains(open, c.session) {
			await(t, "an answer through a session that is open", func() bool {
				_, err := c.GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
				return err == nil
			})
		}
	}
	slices.Sort(open)
	await(t, "no root keys but those of open sessions", func() bool {
		return slices.Equal(slices.Sorted(slices.Values(sessionKeys(t, w.buyerNode().Lightning()))), open)
	})
	for _, id := range open {
		if err := operate(nil, "sessions", "revoke", id); err != nil {
			t.Error(err)
		}
	}
	if left := sessionKeys(t, w.buyerNode().Lightning()); len(left) > 0 {
		t.Errorf("root keys of %s are alive", strings.Join(left, ", "))
	}
	if err := operate(nil, "accounts", "check"); err != nil {
		t.Error(err)
	}
}
